"""The timbre layer: band levels, sent once per packet, restored after the decoder by one common filter.

What the spatial layer does between channels, this does between frequencies: 24 bands of equal width on the
ERB-rate scale, the level of each as the mean over the channels in decibels, 7 bits each: 57 bit/s. One
linear-phase filter for all channels brings the decoder's band levels to those sent; it changes no direction.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.signal import oaconvolve

from codec import spatial
from codec.spatial import interior, product

BANDS, LEVEL_BITS = 24, 7
_STEP_DB, _FLOOR_DB = 1.0, -120.0
_MOST_DB = 15.0
_WINDOW, _HOP = 2048, 1024
TAPS = 511
REACH = TAPS // 2  # samples that the filter needs on both sides
BITS = BANDS * LEVEL_BITS  # of one packet
FADE = 4096  # samples over which one packet's filter goes over into the next
_LOW_HZ, _HIGH_HZ = 50.0, 20_000.0


@cache
def _band_centres_and_weights(sample_rate_hz: int) -> tuple[ndarray, ndarray]:
    """ERB-rate of the band centres, and averaging weights of the bins in every band (band, bin)."""
    top = min(_HIGH_HZ, 0.48 * sample_rate_hz)
    edges = np.linspace(_erb_rate(_LOW_HZ), _erb_rate(top), BANDS + 1)
    bins = _erb_rate(np.fft.rfftfreq(_WINDOW, 1 / sample_rate_hz))
    # triangles around the centres: also the narrow bands at low frequencies contain a bin
    centres = (edges[1:] + edges[:-1]) / 2
    width = max(edges[1] - edges[0], 1e-9)
    weights = np.maximum(0, 1 - np.abs(bins - centres[:, None]) / width)
    nearest = np.argmin(np.abs(bins - centres[:, None]), axis=1)
    weights[np.arange(BANDS), nearest] += 1e-3
    return centres, weights / weights.sum(1, keepdims=True)


def _erb_rate(frequency_hz):
    """ERB-rate of Glasberg and Moore (1990)."""
    return 21.4 * np.log10(1 + 0.00437 * frequency_hz)


def _band_levels_db(samples: Float[ndarray, "channel time"], sample_rate_hz: int) -> Float[ndarray, " band"]:
    """Level of every band, mean over the channels in decibels."""
    _, weights = _band_centres_and_weights(sample_rate_hz)
    frames = max(1, -(-(samples.shape[1] - _WINDOW) // _HOP) + 1)
    padded = np.pad(samples, ((0, 0), (0, (frames - 1) * _HOP + _WINDOW - samples.shape[1])))
    power = np.zeros((len(samples), _WINDOW // 2 + 1))
    window = np.hanning(_WINDOW).astype(np.float32)
    for start in range(0, frames * _HOP, _HOP):
        power += np.abs(np.fft.rfft(padded[:, start : start + _WINDOW] * window)) ** 2
    # mean square of the samples per bin; the sum of squares of the window is 3/8 of its length
    power /= frames * _WINDOW * _WINDOW * 3 / 16
    return (10 * np.log10(product(power, weights.T) + 1e-14)).mean(0)


def measure(samples: Float32[ndarray, "channel time"], sample_rate_hz: int) -> Int[ndarray, " band"]:
    """Quantised band levels (1 dB) of one packet."""
    levels = np.round((_band_levels_db(samples, sample_rate_hz) - _FLOOR_DB) / _STEP_DB)
    return np.clip(levels, 0, 2**LEVEL_BITS - 1).astype(np.int64)


def filter_taps(
    decoded: Float[ndarray, "channel time"], numbers: Int[ndarray, " band"], sample_rate_hz: int
) -> Float[ndarray, " tap"]:
    """Linear-phase filter that brings the band levels of a decoded packet to those sent, by 15 dB at most."""
    centres, _ = _band_centres_and_weights(sample_rate_hz)
    wanted_db = numbers * _STEP_DB + _FLOOR_DB
    gain_db = np.clip(wanted_db - _band_levels_db(decoded, sample_rate_hz), -_MOST_DB, _MOST_DB)
    size = 4096
    bins = _erb_rate(np.fft.rfftfreq(size, 1 / sample_rate_hz))
    response = np.fft.irfft(10 ** (np.interp(bins, centres, gain_db) / 20))
    taps = np.roll(response, TAPS // 2)[:TAPS]
    return taps * np.hanning(TAPS + 2)[1:-1]


class Equaliser:
    """Applies the timbre layer packet after packet; the filter of one fades into that of the next."""

    def __init__(self, sample_rate_hz: int):
        self._rate_hz = sample_rate_hz
        self._previous: ndarray | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        numbers: Int[ndarray, " band"],
        margin: int = 0,
    ) -> Float32[ndarray, "channel time"]:
        """Filter a packet and what is known on both sides of it; parameters as in `spatial.Restorer.restore`."""
        inner = interior(length, margin)
        taps = filter_taps(samples[:, before : before + length][:, inner], numbers, self._rate_hz)
        # the spatial layer's filter reaches a little farther than what it measures
        apart = slice(before + inner.start - spatial.REACH, before + inner.stop + spatial.REACH)
        result = spatial.filtered(samples, taps, apart)
        if self._previous is not None:
            end = before + min(FADE, length)
            ramp = np.zeros(end)
            ramp[before:] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(end - before) + 0.5) / (end - before))
            old = oaconvolve(samples[:, : end + REACH], self._previous[None], mode="same", axes=1)[:, :end]
            result[:, :end] = ramp * result[:, :end] + (1 - ramp) * old
        self._previous = taps
        return result.astype(np.float32)
