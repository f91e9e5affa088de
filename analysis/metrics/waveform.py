"""Signal-to-noise ratio at low frequencies, where a codec of a kbit/s per channel can still follow a waveform."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex64, Float64
from numpy import ndarray

from analysis.metrics.covariance import MATCH_LIMIT_DB, SILENCE
from analysis.metrics.framing import WINDOW, Segment, hann

LIMIT_HZ = 500.0


def describe(segment: Segment) -> Complex64[ndarray, "acn frame bin"]:
    """Shared spectrum from bin 2 on, where a constant leaves nothing, and below `LIMIT_HZ`."""
    return segment.field[:, :, 2 : int(np.ceil(LIMIT_HZ * WINDOW / segment.sample_rate_hz))]


def compare(
    reference: Complex64[ndarray, "acn frame bin"], test: Complex64[ndarray, "acn frame bin"]
) -> Float64[ndarray, " 3"]:
    """Energy of the reference and of the difference, over channels, and the number of frames; they add up."""
    energies = [np.square(np.abs(of)).sum(dtype=np.float64) for of in (reference, test - reference)]
    return np.array([*energies, reference.shape[1]])


def conclude(sums: Float64[ndarray, " 3"]) -> dict[str, float | None]:
    """10 log10 Σ|X|² / Σ|Y - X|², within ± `MATCH_LIMIT_DB`; None if the reference is silent down there."""
    signal, noise, frames = sums
    power = 2 * signal / (WINDOW * np.square(hann(WINDOW)).sum() * frames)  # Parseval with one-sided spectra
    if power <= SILENCE:
        return {"snr_lf_db": None}
    limit = 10 ** (MATCH_LIMIT_DB / 10)
    return {"snr_lf_db": float(10 * np.log10(np.clip(signal / max(noise, 1e-300), 1 / limit, limit)))}
