"""ViSQOL (version 3, audio mode) of one channel, by the optional package visqol-python.

ViSQOL estimates the mean opinion score of the timbre of one channel (1 to 4.732). It was trained on mono and
stereo codecs and is blind to directions. On the conformance files of Google's program the package agrees with it
to six digits.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import soxr
from jaxtyping import Float64
from numpy import ndarray

from render.common.errors import InputError

RATE_HZ = 48_000
_SILENCE = 1e-10


def require_visqol() -> None:
    """Raise `InputError` if the package is not installed, before any work begins."""
    if find_spec("visqol") is None:
        raise InputError("--visqol needs an optional package: pip install visqol-python")


def visqol(
    reference: Float64[ndarray, " time"], test: Float64[ndarray, " time"], sample_rate_hz: int
) -> float | None:
    """Return the ViSQOL score of a signal, resampled to 48 kHz (Chinen et al. 2020, QoMEX).

    Parameters
    ----------
    reference, test : float64 (time,)
        Aligned signals of one channel.
    sample_rate_hz : int

    Returns
    -------
    float or None
        1 to 4.732; None if either signal is silent, or if they are too short for the package.
    """
    from visqol import VisqolApi  # pyrefly: ignore[missing-import]  # an optional extra

    if not all(np.var(signal) > _SILENCE for signal in (reference, test)):
        return None
    resampled = [soxr.resample(signal, sample_rate_hz, RATE_HZ, "VHQ") for signal in (reference, test)]
    api = VisqolApi()
    api.create(mode="audio")
    try:
        score = float(api.measure_from_arrays(*resampled, RATE_HZ).moslqo)
    except ValueError:  # shorter than a patch of the spectrogram
        return None
    return score if np.isfinite(score) else None
