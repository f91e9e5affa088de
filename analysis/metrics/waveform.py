"""Signal-to-noise ratio at low frequencies, where a codec can follow the waveform even at 1 kbit/s per channel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics.covariance import MATCH_LIMIT_DB, SILENCE
from analysis.metrics.framing import WINDOW, Segment, accumulate, hann

LIMIT_HZ = 500.0
"""The ratio is of the bins below this frequency."""


def describe(segment: Segment) -> Complex64[ndarray, "acn frame bin"]:
    """Return the shared spectrum from bin 2 on, where a constant has no energy, to below `LIMIT_HZ`."""
    return segment.field[:, :, 2 : int(np.ceil(LIMIT_HZ * WINDOW / segment.sample_rate_hz))]


def compare(
    reference: Complex64[ndarray, "acn frame bin"], test: Complex64[ndarray, "acn frame bin"]
) -> Float64[ndarray, " 3"]:
    """Return the energy of the reference, that of the difference, and the number of frames."""
    energies = [np.square(np.abs(of)).sum(dtype=np.float64) for of in (reference, test - reference)]
    return np.array([*energies, reference.shape[1]])


def conclude(sums: Float64[ndarray, " 3"]) -> dict[str, float | None]:
    """Return ``snr_lf_db``, 10 log10 Σ|X|² / Σ|Y - X|² over all channels, within ± `MATCH_LIMIT_DB`.

    It is None if the reference is silent below `LIMIT_HZ`.
    """
    signal, noise, frames = sums
    power = 2 * signal / (WINDOW * np.square(hann(WINDOW)).sum() * frames)  # Parseval with one-sided spectra
    if power <= SILENCE:
        return {"snr_lf_db": None}
    limit = 10 ** (MATCH_LIMIT_DB / 10)
    return {"snr_lf_db": float(10 * np.log10(np.clip(signal / max(noise, 1e-300), 1 / limit, limit)))}


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return ``snr_lf_db`` of two scenes in memory; see `conclude`.

    Parameters
    ----------
    reference, test : float32 (acn, time)
        Aligned ACN/SN3D scenes of equal shape.
    sample_rate_hz : int

    Raises
    ------
    ValueError
        If the shapes differ, or if the scenes are shorter than `analysis.metrics.framing.SHORTEST`.
    """
    return conclude(accumulate(describe, compare, reference, test, sample_rate_hz))
