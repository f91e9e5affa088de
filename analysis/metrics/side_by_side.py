"""Spectra of 16 signals at a time, compiled by Numba: transforms, mel magnitudes and their differences.

Signals lie side by side, float32 (group, time, `LANES`), so that every operation works on one value of each of
them (`render.common.vectors`). Arrays are handed over flat. Nothing is normalised; frames and windows are those of
`analysis.metrics.framing.spectra`. After a change of `half_spectrum` or `bin_of`, remove the compiled functions of
`analysis.metrics.ambiqual`, which call them, from ``__pycache__``: Numba only sees changes of the module that a
function stands in.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from numpy import ndarray

from analysis.metrics.framing import hann
from render.common.compiled import compiled
from render.common.vectors import LANES, absolute, filled, larger, load, logarithm, product_sum, root, store

_SUMMED = 64
"""Values that are added in float32 before float64 takes over."""


class Frames(NamedTuple):
    """Frames of a spectrum: first sample of the first one, their distance, number and window, in samples."""

    begin: int
    hop: int
    count: int
    window: int


class Transform(NamedTuple):
    """Tables of a real transform: the window, and the roots of unity of half and of all of its length."""

    window: Float[ndarray, " time"]
    half_cos: Float[ndarray, " bin"]
    half_sin: Float[ndarray, " bin"]
    cos: Float[ndarray, " bin"]
    sin: Float[ndarray, " bin"]


class Bank(NamedTuple):
    """Filters of bands: first bin of each, where its weights begin and end, and the weights of all."""

    first: Int64[ndarray, " band"]
    position: Int64[ndarray, " band_and_end"]
    weights: Float32[ndarray, " weight"]


@cache
def transform_of(window: int) -> Transform:
    """Return the tables for a Hann window of 2^n samples, n at least 2."""
    return transform_with(hann(window))


def transform_with(window: Float[ndarray, " time"]) -> Transform:
    """Return the tables for any window of 2^n samples, n at least 2, in its number format."""
    bins = np.arange(len(window) // 2 + 1)
    roots = (np.exp(-2j * np.pi * bins / length) for length in (len(window) // 2, len(window)))
    return Transform(
        window, *(np.ascontiguousarray(part, window.dtype) for of in roots for part in (of.real, of.imag))
    )


def bank_of(filters: Float64[ndarray, "band bin"]) -> Bank:
    """Return the rows of a matrix of filters from their first to their last weight that is not 0."""
    first, position, weights = [], [0], []
    for row in filters.astype(np.float32):
        used = np.flatnonzero(row)
        begin, end = (used[0], used[-1] + 1) if used.size else (0, 0)
        first.append(begin)
        weights.append(row[begin:end])
        position.append(position[-1] + end - begin)
    return Bank(np.array(first, np.int64), np.array(position, np.int64), np.concatenate(weights))


def side_by_side(signals: Float[ndarray, "signal time"]) -> Float[ndarray, "group time lane"]:
    """Return signals in groups of `LANES`, the last group filled up with silence."""
    count, length = signals.shape
    result = np.zeros((-(-count // LANES), length, LANES), signals.dtype)
    for group, of_group in enumerate(result):
        part = signals[group * LANES : (group + 1) * LANES]
        of_group[:, : len(part)] = part.T
    return result


@compiled()
def _quarter_step(x, x_i, y, y_i, length, stride, half_cos, half_sin):  # pragma: no cover, compiled
    """One step of Stockham's transform in radix 4, from x + i x_i to y + i y_i."""
    quarter = length // 4
    apart, out = quarter * stride * LANES, stride * LANES
    for p in range(quarter):
        c1, s1 = filled(half_cos[p * stride]), filled(half_sin[p * stride])
        c2, s2 = filled(half_cos[2 * p * stride]), filled(half_sin[2 * p * stride])
        c3, s3 = filled(half_cos[3 * p * stride]), filled(half_sin[3 * p * stride])
        for q in range(stride):
            at, to = (q + stride * p) * LANES, (q + 4 * stride * p) * LANES
            a, a_i = load(x, at), load(x_i, at)
            b, b_i = load(x, at + apart), load(x_i, at + apart)
            c, c_i = load(x, at + 2 * apart), load(x_i, at + 2 * apart)
            d, d_i = load(x, at + 3 * apart), load(x_i, at + 3 * apart)
            even, even_i, odd, odd_i = a + c, a_i + c_i, b + d, b_i + d_i
            store(y, to, even + odd)
            store(y_i, to, even_i + odd_i)
            u, u_i = even - odd, even_i - odd_i
            store(y, to + 2 * out, c2 * u - s2 * u_i)
            store(y_i, to + 2 * out, c2 * u_i + s2 * u)
            even, even_i, odd, odd_i = a - c, a_i - c_i, b - d, b_i - d_i
            u, u_i = even + odd_i, even_i - odd
            store(y, to + out, c1 * u - s1 * u_i)
            store(y_i, to + out, c1 * u_i + s1 * u)
            u, u_i = even - odd_i, even_i + odd
            store(y, to + 3 * out, c3 * u - s3 * u_i)
            store(y_i, to + 3 * out, c3 * u_i + s3 * u)


@compiled()
def _half_step(x, x_i, y, y_i, stride):  # pragma: no cover, compiled
    """Last step of a transform whose length is not a power of 4."""
    apart = stride * LANES
    for at in range(0, apart, LANES):
        a, a_i, b, b_i = load(x, at), load(x_i, at), load(x, at + apart), load(x_i, at + apart)
        store(y, at, a + b)
        store(y_i, at, a_i + b_i)
        store(y, at + apart, a - b)
        store(y_i, at + apart, a_i - b_i)


@compiled()
def half_spectrum(samples, begin, tables, x, x_i, y, y_i):  # pragma: no cover, compiled
    """Spectrum of one frame as that of a signal of half the length; x, x_i, y and y_i are written to.

    The even samples are the real parts and the odd ones the imaginary parts of that signal. `bin_of` takes the
    spectrum of the frame from the two arrays that are returned.
    """
    half = tables.window.size // 2
    for k in range(half):
        at = (begin + 2 * k) * LANES
        store(x, k * LANES, load(samples, at) * filled(tables.window[2 * k]))
        store(x_i, k * LANES, load(samples, at + LANES) * filled(tables.window[2 * k + 1]))
    length, stride = half, 1
    while length >= 4:
        _quarter_step(x, x_i, y, y_i, length, stride, tables.half_cos, tables.half_sin)
        x, x_i, y, y_i = y, y_i, x, x_i
        length //= 4
        stride *= 4
    if length == 2:
        _half_step(x, x_i, y, y_i, stride)
        x, x_i = y, y_i
    return x, x_i


@compiled()
def bin_of(z, z_i, tables, k):  # pragma: no cover, compiled
    """Real and imaginary part of twice the spectrum in bin k.

    2 X[k] = Z[k] + Z*[h-k] - i w^k (Z[k] - Z*[h-k]), where w = exp(-2πi / 2h) and h is half the length.
    """
    half = tables.window.size // 2
    at, mirrored = (k % half) * LANES, ((half - k) % half) * LANES
    a, a_i, b, b_i = load(z, at), load(z_i, at), load(z, mirrored), load(z_i, mirrored)
    cos, sin = filled(tables.cos[k]), filled(tables.sin[k])
    u, u_i = a - b, a_i + b_i
    return (a + b) + (cos * u_i + sin * u), (a_i - b_i) + (sin * u_i - cos * u)


@compiled()
def _magnitudes(samples, begin, tables, x, x_i, y, y_i, result):  # pragma: no cover, compiled
    """Magnitudes of the spectrum of one frame that begins at a sample; x to y_i are for what is in between."""
    z, z_i = half_spectrum(samples, begin, tables, x, x_i, y, y_i)
    for k in range(tables.window.size // 2 + 1):
        real, imaginary = bin_of(z, z_i, tables, k)
        store(result, k * LANES, filled(np.float32(0.5)) * root(real * real + imaginary * imaginary))


@compiled()
def _band(values, bank, number):  # pragma: no cover, compiled
    """Weighted sum of the values of one band."""
    total, at = filled(np.float32(0)), bank.first[number] * LANES
    for place in range(bank.position[number], bank.position[number + 1]):
        total = product_sum(filled(bank.weights[place]), load(values, at), total)
        at += LANES
    return total


@compiled()
def _describe(
    samples, begin, hop, tables, floor, bank, log_mel, other, other_mel, linear
):  # pragma: no cover, compiled
    """Fill `log_mel` with one frame after the other; `other_mel` and `linear` too, unless they are empty."""
    bands, size = bank.first.size, (tables.window.size // 2 + 1) * LANES
    work = np.empty((5, size), np.float32)
    log_10 = filled(np.float32(1 / np.log(10)))
    for frame in range(log_mel.size // (bands * LANES)):
        values = linear[frame * size : (frame + 1) * size] if linear.size else work[4]
        _magnitudes(samples, begin + frame * hop, tables, work[0], work[1], work[2], work[3], values)
        for band in range(bands):
            mel = larger(_band(values, bank, band), filled(floor))
            store(log_mel, (frame * bands + band) * LANES, logarithm(mel) * log_10)
        if other_mel.size:
            for band in range(other.first.size):
                store(other_mel, (frame * other.first.size + band) * LANES, _band(values, other, band))


def log_mel_magnitudes(
    samples: Float32[ndarray, "time lane"], frames: Frames, bank: Bank, floor: float
) -> Float32[ndarray, "frame band lane"]:
    """Return log10 of the mel magnitudes of frames, clamped at a floor; `bank` are the mel filters."""
    result, nothing = np.empty((frames.count, len(bank.first), LANES), np.float32), np.empty(0, np.float32)
    tables, flat = transform_of(frames.window), (samples.reshape(-1), result.reshape(-1))
    _describe(flat[0], frames.begin, frames.hop, tables, np.float32(floor), bank, flat[1], bank, nothing, nothing)
    return result


def all_magnitudes(
    samples: Float32[ndarray, "time lane"], frames: Frames, bank: Bank, floor: float, other: Bank
) -> tuple[
    Float32[ndarray, "frame band lane"], Float32[ndarray, "frame band lane"], Float32[ndarray, "frame bin lane"]
]:
    """As `log_mel_magnitudes`; also the mel magnitudes by another bank, and the magnitudes of all bins."""
    sizes = len(bank.first), len(other.first), frames.window // 2 + 1
    found = [np.empty((frames.count, size, LANES), np.float32) for size in sizes]
    tables, flat = transform_of(frames.window), [of.reshape(-1) for of in (samples, *found)]
    _describe(flat[0], frames.begin, frames.hop, tables, np.float32(floor), bank, flat[1], other, *flat[2:])
    return found[0], found[1], found[2]


@compiled()
def _add(total, values):  # pragma: no cover, compiled
    for lane in range(LANES):
        total[lane] += values[lane]


@compiled()
def _absolute(a, b, size, total):  # pragma: no cover, compiled
    work = np.empty(LANES, np.float32)
    for begin in range(0, size, _SUMMED * LANES):
        part = filled(np.float32(0))
        for at in range(begin, min(begin + _SUMMED * LANES, size), LANES):
            part = part + absolute(load(a, at) - load(b, at))
        store(work, 0, part)
        _add(total, work)


def absolute_differences(
    a: Float32[ndarray, "frame band lane"], b: Float32[ndarray, "frame band lane"]
) -> Float64[ndarray, " lane"]:
    """Return Σ |a - b| of each signal."""
    total = np.zeros(LANES)
    _absolute(a.reshape(-1), b.reshape(-1), a.size, total)
    return total


@compiled()
def _levels(a, b, frames, size, floor, level_floor, logs, linear, squares):  # pragma: no cover, compiled
    work, of_frame = np.empty((3, LANES), np.float32), np.empty(LANES)
    low, level_low = filled(floor), filled(level_floor)
    for frame in range(frames):
        of_frame[:] = 0
        end = (frame + 1) * size
        for begin in range(frame * size, end, _SUMMED * LANES):
            log_part, part, square = filled(np.float32(0)), filled(np.float32(0)), filled(np.float32(0))
            for at in range(begin, min(begin + _SUMMED * LANES, end), LANES):
                x, y = load(a, at), load(b, at)
                part = part + absolute(x - y)
                log_part = log_part + absolute(logarithm(larger(x, low)) - logarithm(larger(y, low)))
                change = logarithm(larger(x, level_low)) - logarithm(larger(y, level_low))
                square = product_sum(change, change, square)
            store(work[0], 0, log_part)
            store(work[1], 0, part)
            store(work[2], 0, square)
            _add(logs, work[0])
            _add(linear, work[1])
            _add(of_frame, work[2])
        for lane in range(LANES):
            squares[lane] += np.sqrt(of_frame[lane] / (size // LANES))


def level_differences(
    a: Float32[ndarray, "frame band lane"],
    b: Float32[ndarray, "frame band lane"],
    floor: float,
    level_floor: float,
) -> tuple[Float64[ndarray, " lane"], Float64[ndarray, " lane"], Float64[ndarray, " lane"]]:
    """Return sums of the differences of magnitudes and their levels of each signal.

    Returns
    -------
    logs, linear : float (lane,)
        Σ |Δ ln m| over frames and bands, m clamped at `floor`, and Σ |Δ m|.
    roots : float (lane,)
        Sum over frames of the root of the mean over bands of (Δ ln m)², m clamped at `level_floor`.
    """
    sums, floors = np.zeros((3, LANES)), (np.float32(floor), np.float32(level_floor))
    _levels(a.reshape(-1), b.reshape(-1), len(a), a[0].size, *floors, *sums)
    return sums[0], sums[1], sums[2]
