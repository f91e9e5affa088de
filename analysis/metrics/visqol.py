"""ViSQOL (version 3, audio mode) of W, by the optional package visqol-python.

Estimates the mean opinion score of the timbre of one channel (1 to 4.732); it was trained on mono and stereo
codecs and hears no direction. The package equals Google's program to six digits on its conformance files.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import soxr

from analysis.metrics.evaluation import Prepared
from render.common.errors import InputError

RATE_HZ = 48_000


def require() -> None:
    """Raise `InputError` if the package is not installed, before any work."""
    if find_spec("visqol") is None:
        raise InputError("--visqol needs an optional package: pip install visqol-python")


def visqol_w(prepared: Prepared, condition: str) -> float | None:
    """Score of the W channel, resampled to 48 kHz; None for a silent test, or what the package cannot judge."""
    from visqol import VisqolApi  # pyrefly: ignore[missing-import]

    signals = [prepared.reader(of)(0, prepared.total)[0].astype(np.float64) for of in (None, condition)]
    if not all(np.var(signal) > 1e-10 for signal in signals):
        return None
    resampled = [soxr.resample(signal, prepared.sample_rate_hz, RATE_HZ, "VHQ") for signal in signals]
    judge = VisqolApi()
    judge.create(mode="audio")
    try:
        score = float(judge.measure_from_arrays(*resampled, RATE_HZ).moslqo)
    except ValueError:  # too short for a patch
        return None
    return score if np.isfinite(score) else None
