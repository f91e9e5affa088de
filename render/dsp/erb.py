"""Frequency bands of equal width on the ERB-rate scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Float


def erb_edges_hz(low_hz: float, high_hz: float, bands: int) -> Float[ndarray, " edge"]:
    """Edges of bands of equal width on the ERB-rate scale E(f) = 21.4 log10(1 + 0.00437 f), f in Hz.

    Glasberg and Moore (1990), "Derivation of auditory filter shapes from notched-noise data", eq. 4.

    Returns
    -------
    float (bands + 1,)
        In Hz, from `low_hz` to `high_hz`.
    """
    low, high = (21.4 * np.log10(1 + 0.00437 * hz) for hz in (low_hz, high_hz))
    return (10 ** (np.linspace(low, high, bands + 1) / 21.4) - 1) / 0.00437
