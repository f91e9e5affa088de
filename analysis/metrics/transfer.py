"""How a test follows its reference in time and frequency: lag, correlation and transfer function.

One estimate of all channels together, from Welch's averaged spectra. It answers whether a stimulus that should
have the reference's waveform does: without delay, and with the frequency response that it declares.
`analysis.metrics.alignment` finds the delays of unknown files, channel by channel and further apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import hann

WINDOW = 16384
"""Window in samples, half of which is the hop: bins are 2.7 Hz apart at 44.1 kHz."""
MAX_LAG = WINDOW // 8
"""The lag is searched within plus and minus this many samples."""
_CHUNK_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Transfer:
    """Transfer function and cross-correlation of a test with its reference.

    Attributes
    ----------
    frequency_hz : float (bin,)
    gain_db : float (bin,)
        Gain |S_xy| / S_xx of all channels together.
    lag : int
        Samples by which the test comes after the reference: the position of the cross-correlation's maximum.
    peak : float
        The cross-correlation at that lag, about 1 for equal waveforms.
    cross_correlation : float (lag,)
        Normalised cross-correlation at the lags ``-MAX_LAG`` to ``MAX_LAG``.
    """

    frequency_hz: Float64[ndarray, " bin"]
    gain_db: Float64[ndarray, " bin"]
    lag: int
    peak: float
    cross_correlation: Float64[ndarray, " lag"]


def transfer(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> Transfer:
    """Estimate the transfer function from a reference to a test, and the lag of the test.

    The estimator is H1 = S_xy / S_xx (Bendat and Piersol 2010, section 6.1.2) with spectra averaged over frames
    (Welch 1967; periodic Hann window, half overlap) and summed over channels, so that a delay or a filter must be
    common to all channels. The lag is the maximum of the inverse transform of S_xy.

    Parameters
    ----------
    reference, test : float32 (acn, time)
        Equal shapes. Signals shorter than `WINDOW` are padded with zeros; samples after the last full frame are
        not used.
    sample_rate_hz : int
    """
    cross = np.zeros(WINDOW // 2 + 1, np.complex128)
    power, test_energy = np.zeros(WINDOW // 2 + 1), 0.0
    for x, y in zip(_frames(reference), _frames(test), strict=True):
        cross += (x.conj() * y).sum(axis=(0, 1))
        power += (np.square(x.real) + np.square(x.imag)).sum(axis=(0, 1))
        test_energy += float((np.square(y.real) + np.square(y.imag)).sum(dtype=np.float64))
    circular = scipy.fft.irfft(cross, WINDOW)
    norm = np.sqrt(scipy.fft.irfft(power, WINDOW)[0] * max(test_energy, 1e-30) * 2 / WINDOW)
    cross_correlation = np.concatenate([circular[-MAX_LAG:], circular[: MAX_LAG + 1]]) / max(norm, 1e-30)
    best = int(np.argmax(cross_correlation))
    return Transfer(
        scipy.fft.rfftfreq(WINDOW, 1 / sample_rate_hz),
        20 * np.log10(np.maximum(np.abs(cross), 1e-30) / np.maximum(power, 1e-30)),
        best - MAX_LAG,
        float(cross_correlation[best]),
        cross_correlation,
    )


def _frames(samples: Float32[ndarray, "acn time"]) -> Iterator[Complex64[ndarray, "acn frame bin"]]:
    """Spectra of the frames, some at a time."""
    padded = np.pad(samples, ((0, 0), (0, max(WINDOW - samples.shape[1], 0))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, :: WINDOW // 2]
    for first in range(0, frames.shape[1], _CHUNK_FRAMES):
        yield scipy.fft.rfft(frames[:, first : first + _CHUNK_FRAMES] * hann(WINDOW), axis=2, overwrite_x=True)
