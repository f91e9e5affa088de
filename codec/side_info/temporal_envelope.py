"""Temporal envelope above 4.6 kHz: how the loudness of W moves within a level slot.

Above the bands whose coefficients are sent, the decoder has levels every 93 ms, and between them the
fluctuations of noise. Claps, consonants and rain are heard by what happens within these 93 ms. So the loudness
of W, relative to its course over 50 ms, is sent every 5.8 ms in the eight level bands above 4.6 kHz: transformed
over the bands, because most of it is common to them, quantised uniformly, and written by an adaptive range coder
whose contexts are the magnitudes of the neighbours. The encoder takes the finest step size that fits into the
bytes available. The decoder replaces half of each channel's own fluctuations by those that were sent, before
it restores the levels.

This is an extension that the paper does not have.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import dct, idct, irfft, rfft
from scipy.ndimage import correlate1d

from codec.side_info.analysis import MIN_POWER, WINDOW, band_edges
from codec.side_info.binary_coding import (
    adaptive,
    code_magnitude,
    fair,
    fair_number,
    finest,
    finished,
    reader,
    writer,
)
from codec.side_info.coefficient_coding import CODED_BANDS
from render.common.compiled import compiled

ENVELOPE_WINDOW, ENVELOPE_HOP = 512, 256  # samples: 11.6 ms, and 5.8 ms at 44.1 kHz
REACH_SAMPLES = 10 * ENVELOPE_HOP  # from a sample to the farthest that changes with it, through the course
STEPS = 64  # step sizes; the last index says that no envelope is sent
_WINDOW_SHAPE = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(ENVELOPE_WINDOW) / ENVELOPE_WINDOW))
_WINDOW_SHAPE = _WINDOW_SHAPE.astype(np.float32)
_FIRST_LEVEL_BAND = 2 * CODED_BANDS.stop  # two level bands are one of the others
_LOUDNESS_EXPONENT = 0.3  # of the power (Stevens 1957)
_COURSE = np.hanning(19)[1:-1] / np.hanning(19).sum()  # weights of 17 windows
_OWN_REPLACED = 0.5  # of a channel's own fluctuations in decibels: with 1, noise is too steady
_MAX_CHANGE_DB = 15.0
_MIN_LOUDNESS = 10 ** (-_LOUDNESS_EXPONENT * _MAX_CHANGE_DB / 10)  # relative to its course
_ROUNDING = 0.36  # fractions of a step from 0.64 on are rounded up: a number costs more than its square
_STEP_BITS = 6
_MAX_NEAR, _RANKS, _MAX_PREFIX = 11, 4, 14
_MAX_MAGNITUDE = 1 << 16


def envelope_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each band of the envelope in windows of 512 samples, and the number of bins."""
    ratio = WINDOW // ENVELOPE_WINDOW
    edges = np.round(band_edges(sample_rate_hz)[_FIRST_LEVEL_BAND:] / ratio).astype(np.int64)
    edges[-1] = ENVELOPE_WINDOW // 2 + 1
    return edges


def relative_loudness(
    samples: Float32[ndarray, "channel time"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "channel window band"]:
    """Loudness of each band in all windows that lie within `samples`, relative to its course over 17 of them.

    The loudness is (P + 10⁻¹⁶)^0.3 with the mean P of |X|² / 512² over the bins. Its course is a mean with the
    weights ½ - ½ cos(2π n / 18), n = 1 ... 17; beyond the first and the last window it takes their loudness.
    """
    return _relative_loudness(_spectra(samples), edges)


def encode_envelope(loudness: Float[ndarray, "window band"] | None, size: int) -> bytes:
    """Return `size` bytes with the envelope in the finest quantisation that fits; without any, they say so.

    Parameters
    ----------
    loudness : float (window, band), or None
        `relative_loudness` of W.
    size : int
    """
    nothing = _written(STEPS - 1, np.zeros((0, 0), np.int64))
    if loudness is None:
        return nothing[:size].ljust(size, b"\0")
    coefficients = dct(loudness - 1, axis=1, norm="ortho")

    def coded(index: int) -> bytes:
        magnitude = np.floor(np.abs(coefficients) / step_size(index) + _ROUNDING)
        numbers = np.sign(coefficients) * np.minimum(magnitude, _MAX_MAGNITUDE - 1)
        return _written(index, numbers.astype(np.int64))

    return finest(coded, size, STEPS - 1, nothing)[1][:size].ljust(size, b"\0")


def decode_envelope(data: bytes, windows: int, bands: int) -> Float[ndarray, "window band"] | None:
    """Return the relative loudness that was sent; None if there is none. Any bytes decode to finite numbers."""
    if not data:
        return None
    state, coded = reader(data)
    index = int(fair_number(0, _STEP_BITS, state, coded))
    if index == STEPS - 1:
        return None
    numbers = np.zeros((windows, bands), np.int64)
    _code(numbers, *_new_counts(), state, coded)
    return 1 + idct(numbers * step_size(index), axis=1, norm="ortho")


def impose_envelope(
    samples: Float32[ndarray, "channel time"],
    loudness: Float[ndarray, "window band"],
    edges: Int[ndarray, " edge"],
) -> Float32[ndarray, "channel time"]:
    """Give the channels of a packet the fluctuations of `loudness` in the place of half of their own, in decibels.

    Changes are limited to 15 dB. Windows that reach beyond the packet are not changed, so that packets are
    independent.
    """
    result = samples.copy()
    target_db = 10 / _LOUDNESS_EXPONENT * np.log10(np.maximum(loudness, _MIN_LOUDNESS))
    for channel in range(len(samples)):  # one at a time stays in the cache
        spectra = _spectra(samples[channel : channel + 1])
        own_db = 10 / _LOUDNESS_EXPONENT * np.log10(_relative_loudness(spectra, edges)[0])
        change_db = np.clip(target_db - _OWN_REPLACED * own_db, -_MAX_CHANGE_DB, _MAX_CHANGE_DB)
        added = np.repeat((10 ** (change_db / 20) - 1).astype(np.float32), np.diff(edges), axis=1)
        spectra = spectra[0]
        spectra[:, : edges[0]] = 0
        spectra[:, edges[0] :] *= added
        changes = irfft(spectra, axis=1) * _WINDOW_SHAPE
        halves = changes.reshape(len(changes), 2, ENVELOPE_HOP)
        end = len(changes) * ENVELOPE_HOP
        result[channel, :end] += halves[:, 0].reshape(-1)
        result[channel, ENVELOPE_HOP : end + ENVELOPE_HOP] += halves[:, 1].reshape(-1)
    return result


def window_count(length: int) -> int:
    """Windows that lie within a packet of `length` samples."""
    return max(length // ENVELOPE_HOP - 1, 0)


def step_size(index: int) -> float:
    """Step size of the coefficients of the relative loudness, for index 0 (the finest) to `STEPS` - 2."""
    return 0.015 * 2 ** (index / 8)


def _spectra(samples: Float32[ndarray, "channel time"]) -> Complex64[ndarray, "channel window bin"]:
    if not window_count(samples.shape[1]):
        return np.zeros((len(samples), 0, ENVELOPE_WINDOW // 2 + 1), np.complex64)
    windows = np.lib.stride_tricks.sliding_window_view(samples, ENVELOPE_WINDOW, axis=1)[:, ::ENVELOPE_HOP]
    return rfft(windows * _WINDOW_SHAPE, axis=2)


def _relative_loudness(
    spectra: Complex64[ndarray, "channel window bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "channel window band"]:
    own = spectra[:, :, edges[0] :]
    squares = np.square(own.real, dtype=np.float64) + np.square(own.imag, dtype=np.float64)
    means = [squares[:, :, low:high].mean(2) for low, high in pairwise(edges - edges[0])]
    loudness = (np.stack(means, 2) / ENVELOPE_WINDOW**2 + MIN_POWER) ** _LOUDNESS_EXPONENT
    return loudness / correlate1d(loudness, _COURSE, axis=1, mode="nearest") if loudness.size else loudness


def _written(index: int, numbers: Int[ndarray, "window band"]) -> bytes:
    # a number takes at most 14 adaptive decisions of 2 bytes and 33 fair ones
    state, coded = writer(64 + 33 * numbers.size)
    fair_number(index, _STEP_BITS, state, coded)
    _code(numbers, *_new_counts(), state, coded)
    return finished(state, coded)


def _new_counts() -> tuple[ndarray, ndarray]:
    """Counts of zeros and ones: of "not 0" by coefficient and neighbours, of prefixes by neighbours."""
    flags = np.empty((_RANKS, _MAX_NEAR + 1, 2), np.int64)
    flags[:, :, 1] = 1 + 2 * np.arange(_MAX_NEAR + 1)
    flags[:, :, 0] = 32 - flags[:, :, 1]
    return flags, np.full((3, _MAX_PREFIX, 2), 4, np.int64)


@compiled()
def _code(numbers, flags, prefixes, state, coded):  # pragma: no cover, compiled
    """Write the numbers (window, coefficient), or read them into `numbers`."""
    for window in range(numbers.shape[0]):
        for k in range(numbers.shape[1]):
            near = 0
            if window > 0:
                near += 2 * min(abs(numbers[window - 1, k]), 2)
                if k + 1 < numbers.shape[1]:
                    near += min(abs(numbers[window - 1, k + 1]), 1)
            if window > 1:
                near += min(abs(numbers[window - 2, k]), 2)
            if k > 0:
                near += 2 * min(abs(numbers[window, k - 1]), 2)
            number = numbers[window, k]
            if not adaptive(1 if number else 0, flags[min(k, 3), near], state, coded):
                numbers[window, k] = 0
                continue
            negative = fair(1 if number < 0 else 0, state, coded)
            value = code_magnitude(abs(number), prefixes[min(near // 4, 2)], state, coded)
            numbers[window, k] = -value if negative else value
