"""Time alignment of a rendition with its reference, by cross-correlation."""

from __future__ import annotations

import numpy as np

from render.hoa.scene import Scene

OPUS_MAX_LAG = 8
"""Reach in samples of the search for the lag of an Opus decoding.

The speech mode of Opus comes out about two samples (at 48 kHz) early, its music mode does not. The rendition is
shifted by what fits it best as a whole; the rolls around an excerpt leave room for that.
"""


def measured_lag(reference: Scene, test: Scene, reach: int) -> int:
    """Lag of `test` behind `reference` in samples: the maximum of the cross-correlation, summed over channels.

    The search covers ±`reach` samples. The result is 0 if the normalised correlation stays below 0.2: a rendition
    that does not follow the waveform has no lag that could be measured.
    """
    correlation, energy = _correlation(reference, test, reach)
    best = int(np.argmax(correlation))
    return best - reach if energy > 0 and correlation[best] > 0.2 * energy else 0


def _correlation(reference: Scene, test: Scene, reach: int) -> tuple[np.ndarray, float]:
    """Cross-correlation at lags -reach to reach, summed over channels, and the product of both scenes' norms."""
    inner = slice(reach, reference.length - reach)
    if reach <= 16:
        correlation = np.zeros(2 * reach + 1)
        for channel, other in zip(reference.samples[:, inner], test.samples, strict=True):
            correlation += np.correlate(other, channel)
    else:
        size = 1 << (reference.length + reach).bit_length()
        correlation = np.zeros(2 * reach + 1)
        for channel, other in zip(reference.samples, test.samples, strict=True):
            padded = np.zeros(size)
            padded[inner] = channel[inner]
            product = np.fft.irfft(np.fft.rfft(padded).conj() * np.fft.rfft(other, size), size)
            correlation += np.concatenate([product[-reach:], product[: reach + 1]])
    energy = np.linalg.norm(reference.samples[:, inner]) * np.linalg.norm(test.samples[:, inner])
    return correlation, float(energy)


def aligned(reference: Scene, test: Scene, reach: int) -> tuple[Scene, int]:
    """Remove the lag of `test`, searched within ±`reach` samples; return the shifted scene and the lag.

    The shift is circular: the samples that wrap around fall into the rolls around the excerpt.
    """
    lag = measured_lag(reference, test, reach)
    return Scene(np.roll(test.samples, -lag, axis=1), test.sample_rate_hz), lag
