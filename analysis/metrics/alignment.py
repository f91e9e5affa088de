"""Delay of a test scene against its reference, and whether the test has the waveform of the reference at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Complex128, Float64
from numpy import ndarray

from analysis.metrics.covariance import SILENCE
from analysis.metrics.framing import LENGTH, Reader

MAX_LAG = 4096
"""The lag is searched within plus and minus this many samples."""
MIN_CORRELATION = 0.2
"""Below this correlation the test does not have the waveform of the reference, and no lag."""
_FFT = 2 ** int(np.ceil(np.log2(LENGTH + 2 * MAX_LAG)))
_MIXTURES = 12
# A lag other than 0 is accepted if without it the unexplained part is this many times as large
_MIN_IMPROVEMENT = 1.05


@dataclass(frozen=True)
class Alignment:
    """Position of a test relative to its reference.

    Attributes
    ----------
    lag : int
        Samples by which the test comes later; 0 where the correlation is too small for one.
    correlation : float
        Correlation of the compared channels at that lag, -1 to 1; negative if the polarity is inverted.
    channel : str
        What was compared: ``W``, ``orders 1-N`` where W is silent in either scene, or ``mixtures``.
    level : float
        Largest variance of a channel of the test.
    """

    lag: int
    correlation: float
    channel: str
    level: float

    @property
    def is_match(self) -> bool:
        """Whether the test has the waveform of the reference."""
        return abs(self.correlation) >= MIN_CORRELATION


def align(reference: Reader, test: Reader, length: int, test_length: int) -> Alignment:
    """Find the lag by cross-correlation.

    A lag other than 0 is accepted only if it explains clearly more of the test: the correlation of coloured
    signals is flat around its peak, so that coding noise would give an aligned pair a small random lag.

    Parameters
    ----------
    reference, test : Reader
    length, test_length : int
        Samples of the two scenes; the memory does not depend on them.
    """
    length = min(length, test_length + MAX_LAG)
    sums = _Spectra.of(reference, test, length, test_length)
    powers = sums.energies / min(length, test_length)
    with_w = bool((powers[:, 0] > SILENCE).all()) or powers.shape[1] == 1
    used = slice(0, 1) if with_w else slice(1, None)
    energy = np.sqrt(sums.energies[0, used].sum() * sums.energies[1, used].sum())
    lags = scipy.fft.irfft(sums.cross[used], _FFT, axis=1)[:, : 2 * MAX_LAG + 1] / max(energy, 1e-30)
    # Magnitudes are added because a mirrored scene has some channels with the opposite sign
    explained = np.square(np.minimum(np.abs(lags).sum(axis=0), 1.0))
    best = int(explained.argmax())
    if 1 - explained[MAX_LAG] < _MIN_IMPROVEMENT * (1 - explained[best]) + 1e-12:
        best = MAX_LAG
    correlation = lags[0, best] if with_w else np.sqrt(explained[best])
    matches = abs(correlation) >= MIN_CORRELATION
    return Alignment(
        best - MAX_LAG if matches else 0,
        float(np.clip(correlation, -1, 1)),
        "W" if with_w else "orders 1-N",
        float(powers[1].max()),
    )


def align_mixtures(reference: Reader, test: Reader, length: int, test_length: int) -> Alignment:
    """Find the lag of a test whose channels may be rearranged, from random mixtures of the channels.

    The correlation in the result is that of the mixtures, which is low even if a rearranged scene matches exactly.
    """
    length = min(length, test_length + MAX_LAG)
    whole = reference(0, length), test(0, test_length)
    scales = [1 / np.sqrt(np.mean(np.square(of), axis=1, keepdims=True) + SILENCE) for of in whole]
    del whole
    signs = np.random.Generator(np.random.Philox(1)).choice([-1.0, 1.0], (2, _MIXTURES, len(scales[0])))
    mixers = [(sign * scale.T).astype(np.float32) for sign, scale in zip(signs, scales, strict=True)]
    sums = _Spectra.of(
        lambda a, b: mixers[0] @ reference(a, b), lambda a, b: mixers[1] @ test(a, b), length, test_length
    )
    energy = np.sqrt(sums.energies[0] * sums.energies[1])[:, None]
    lags = scipy.fft.irfft(sums.cross, _FFT, axis=1)[:, : 2 * MAX_LAG + 1] / np.maximum(energy, 1e-30)
    explained = np.square(lags).mean(axis=0)
    best = int(explained.argmax())
    level = float((1 / np.square(scales[1])).max() - SILENCE)
    return Alignment(best - MAX_LAG, float(np.sqrt(explained[best])), "mixtures", level)


@dataclass(frozen=True)
class _Spectra:
    """Cross-spectrum of two scenes, summed over segments, and their energies."""

    cross: Complex128[ndarray, "acn bin"]
    energies: Float64[ndarray, "scene acn"]

    @staticmethod
    def of(reference: Reader, test: Reader, length: int, test_length: int) -> _Spectra:
        channels = len(reference(0, 1))
        cross = np.zeros((channels, _FFT // 2 + 1), np.complex128)
        energies = np.zeros((2, channels))
        for start in range(0, length, LENGTH):
            x = reference(start, min(start + LENGTH, length))
            begin, end = max(start - MAX_LAG, 0), min(start + LENGTH + MAX_LAG, test_length)
            y = test(begin, end) if end > begin else np.zeros((channels, 0), np.float32)
            y = np.pad(y, ((0, 0), (begin - (start - MAX_LAG), 0)))[:, : LENGTH + 2 * MAX_LAG]
            own = y[:, MAX_LAG : MAX_LAG + x.shape[1]].astype(np.float64)
            energies += np.stack([np.square(x.astype(np.float64)).sum(axis=1), np.square(own).sum(axis=1)])
            cross += np.conj(scipy.fft.rfft(x, _FFT, axis=1)) * scipy.fft.rfft(y, _FFT, axis=1)
        return _Spectra(cross, energies)
