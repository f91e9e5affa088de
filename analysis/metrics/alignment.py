"""How much later than the reference a test scene comes, and whether it is its rendition at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Complex128, Float64
from numpy import ndarray

from analysis.metrics.covariance import SILENCE
from analysis.metrics.framing import LENGTH, Reader

REACH = 4096
"""Lags are looked for within ± this many samples."""
MIN_CORRELATION = 0.2
"""Under this the test has no waveform of the reference, and no lag."""
_FFT = 2 ** int(np.ceil(np.log2(LENGTH + 2 * REACH)))
_MIXTURES = 12
# A lag is taken if without it this many times as much stays unexplained
_CLEARLY_WORSE = 1.05


@dataclass(frozen=True)
class Alignment:
    """Where a test stands against its reference.

    Attributes
    ----------
    lag : int
        Samples by which the test comes later; 0 where the correlation is too small for one.
    correlation : float
        Of the channels that were compared at that lag, -1 .. 1; negative if the polarity is inverted.
    channel : str
        What was compared: ``W``, or ``orders 1-N`` where W is silent in either.
    level : float
        Largest variance of a channel of the test.
    """

    lag: int
    correlation: float
    channel: str
    level: float

    @property
    def is_match(self) -> bool:
        """Whether the test has the reference's waveform."""
        return abs(self.correlation) >= MIN_CORRELATION


def align(reference: Reader, test: Reader, frames: int, test_frames: int) -> Alignment:
    """Find the lag by cross-correlation.

    A lag other than 0 is taken only if it explains clearly more of the test: the correlation of coloured
    signals is flat around its peak, and coding noise would move the peak of an aligned pair about.

    Parameters
    ----------
    reference, test : Reader
    frames, test_frames : int
        Their lengths in samples; memory does not depend on them.
    """
    frames = min(frames, test_frames + REACH)
    sums = _Spectra.of(reference, test, frames, test_frames)
    powers = sums.energies / min(frames, test_frames)
    with_w = bool((powers[:, 0] > SILENCE).all()) or powers.shape[1] == 1
    used = slice(0, 1) if with_w else slice(1, None)
    energy = np.sqrt(sums.energies[0, used].sum() * sums.energies[1, used].sum())
    lags = scipy.fft.irfft(sums.cross[used], _FFT, axis=1)[:, : 2 * REACH + 1] / max(energy, 1e-30)
    # Magnitudes are added, as a mirror changes the signs of some channels
    explained = np.square(np.minimum(np.abs(lags).sum(axis=0), 1.0))
    best = int(explained.argmax())
    if 1 - explained[REACH] < _CLEARLY_WORSE * (1 - explained[best]) + 1e-12:
        best = REACH
    correlation = lags[0, best] if with_w else np.sqrt(explained[best])
    matches = abs(correlation) >= MIN_CORRELATION
    return Alignment(
        best - REACH if matches else 0,
        float(np.clip(correlation, -1, 1)),
        "W" if with_w else "orders 1-N",
        float(powers[1].max()),
    )


def align_mixtures(reference: Reader, test: Reader, frames: int, test_frames: int) -> Alignment:
    """Find the lag whatever linear change the channels went through: by random mixtures of them.

    The correlation that is reported is that of the mixtures; it is low although a rearranged scene matches.
    """
    frames = min(frames, test_frames + REACH)
    begin, end = reference(0, frames), test(0, test_frames)
    scales = [1 / np.sqrt(np.mean(np.square(of), axis=1, keepdims=True) + SILENCE) for of in (begin, end)]
    del begin, end
    signs = np.random.Generator(np.random.Philox(1)).choice([-1.0, 1.0], (2, _MIXTURES, len(scales[0])))
    mixers = [(sign * scale.T).astype(np.float32) for sign, scale in zip(signs, scales, strict=True)]
    sums = _Spectra.of(
        lambda a, b: mixers[0] @ reference(a, b), lambda a, b: mixers[1] @ test(a, b), frames, test_frames
    )
    energy = np.sqrt(sums.energies[0] * sums.energies[1])[:, None]
    lags = scipy.fft.irfft(sums.cross, _FFT, axis=1)[:, : 2 * REACH + 1] / np.maximum(energy, 1e-30)
    explained = np.square(lags).mean(axis=0)
    best = int(explained.argmax())
    level = float((1 / np.square(scales[1])).max() - SILENCE)
    return Alignment(best - REACH, float(np.sqrt(explained[best])), "mixtures", level)


@dataclass(frozen=True)
class _Spectra:
    """Cross-spectrum of the scenes, summed over blocks, and their energies."""

    cross: Complex128[ndarray, "acn bin"]
    energies: Float64[ndarray, "scene acn"]

    @staticmethod
    def of(reference: Reader, test: Reader, frames: int, test_frames: int) -> _Spectra:
        channels = len(reference(0, 1))
        cross = np.zeros((channels, _FFT // 2 + 1), np.complex128)
        energies = np.zeros((2, channels))
        for start in range(0, frames, LENGTH):
            x = reference(start, min(start + LENGTH, frames))
            begin, end = max(start - REACH, 0), min(start + LENGTH + REACH, test_frames)
            y = test(begin, end) if end > begin else np.zeros((channels, 0), np.float32)
            y = np.pad(y, ((0, 0), (begin - (start - REACH), 0)))[:, : LENGTH + 2 * REACH]
            own = y[:, REACH : REACH + x.shape[1]].astype(np.float64)
            energies += np.stack([np.square(x.astype(np.float64)).sum(axis=1), np.square(own).sum(axis=1)])
            cross += np.conj(scipy.fft.rfft(x, _FFT, axis=1)) * scipy.fft.rfft(y, _FFT, axis=1)
        return _Spectra(cross, energies)
