"""How the levels and correlations of a packet become the bits of its spatial layer, at a constant rate.

Both go through the discrete cosine transform over bands and time (levels also over the channels), are quantised
with one step and written by an adaptive range coder, which counts in contexts of like coefficients. The encoder
takes the finest step that fits into the bytes that the layer has.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.fft import dctn, idctn

from codec.rangecoder import encoded

STEPS = 32  # the last one says that nothing is sent
LEVEL_PER_CORRELATION_DB = 12.0  # step of the levels, where the step of the correlations is 1
_ROUNDING = 0.4  # a coefficient is rounded up from 0.6 of a step on: small ones cost more than they are worth
_LARGEST = 4000

# Contexts: levels or correlations, times the zone of the coefficient, times the size of its neighbours
_ZONES, _NEIGHBOURS, _PREFIXES = 40, 3, 12
_KINDS = _ZONES * _NEIGHBOURS
# How often, in 32nds, a coefficient is not 0, by context; counted on synthetic scenes (stimuli.synth)
_START = (
    (
        31, 16, 16, 31, 16, 31, 31, 16, 31, 30, 28, 30, 30, 28, 29, 23, 23, 28, 8, 16, 26, 2, 12, 25,
        16, 16, 28, 16, 16, 15, 8, 5, 12, 6, 8, 11, 3, 4, 9, 2, 5, 5, 1, 1, 3, 1, 1, 1,
        20, 20, 24, 4, 6, 21, 2, 7, 27, 2, 9, 20, 2, 10, 20, 1, 8, 17, 1, 3, 8, 1, 1, 4,
        20, 13, 26, 2, 13, 19, 2, 13, 22, 2, 14, 18, 1, 13, 19, 1, 11, 18, 1, 4, 5, 1, 3, 16,
        13, 18, 21, 3, 13, 17, 1, 13, 19, 1, 9, 19, 1, 10, 17, 1, 9, 18, 1, 5, 16, 1, 4, 16,
    ),
    (
        26, 16, 16, 19, 24, 25, 18, 18, 23, 5, 9, 19, 2, 6, 8, 5, 5, 5, 1, 1, 2, 2, 2, 4,
        1, 1, 3, 1, 1, 11, 1, 7, 22, 1, 1, 9, 1, 5, 16, 1, 1, 2, 1, 3, 16, 16, 16, 16,
        16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
        16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
        16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
    ),
)  # fmt: skip
_HALVE_AT = 512


def step_of(index: int) -> float:
    """Quantiser step of the correlations' coefficients."""
    return 0.15 * 2 ** (index / 6)


def layer_bytes(channels: int, slots: int) -> int:
    """Bytes of the spatial layer of a packet: 200 per slot for 16 channels."""
    return slots * -(-(5 * channels * (channels + 1) + 12 * channels + 48) // 8)


class Parameters(NamedTuple):
    """What is sent of a packet; levels and correlations of the heard channels only.

    Attributes
    ----------
    heard : bool (all channels,)
        False for channels that are silent in the whole packet.
    levels_db : float (channel, band, level slot)
    correlations : float (pair, band, slot)
        Pairs in the order (0,1), (0,2), ... (1,2), ... Bands and slots are wider than those of the levels.
    """

    heard: Bool[ndarray, " channel"]
    levels_db: Float[ndarray, "channel level_band level_slot"]
    correlations: Float[ndarray, "pair band slot"]


def encode(found: Parameters, size: int) -> bytes:
    """Return `size` bytes: the finest quantisation that fits."""
    levels, correlations = _transformed(found)

    def coded(index: int) -> bytes:
        step = step_of(index)
        quantised = _quantised(levels, LEVEL_PER_CORRELATION_DB * step), _quantised(correlations, step)
        return _written(index, found.heard, *quantised)

    # the size falls with the step: bisection
    low, high = 0, STEPS - 1
    best = _written(STEPS - 1, found.heard, *(np.zeros((0, 1, 1), np.int64),) * 2)
    while low < high:
        middle = (low + high) // 2
        data = coded(middle)
        if len(data) <= size:
            high, best = middle, data
        else:
            low = middle + 1
    return best[:size].ljust(size, b"\0")


def decode(data: bytes, channels: int, level_grid: tuple[int, int], grid: tuple[int, int]) -> Parameters | None:
    """Return the quantised parameters; None if the encoder had no room for them.

    `level_grid` and `grid` are the bands and slots of the levels and of the correlations.
    """
    state = _decoder(data)
    log = np.zeros((0, 2), np.int64)
    index = 0
    for _ in range(5):
        index = 2 * index + _fair(0, state, log)
    heard = np.array([_fair(0, state, log) for _ in range(channels)], bool)
    if index == STEPS - 1:
        return None
    count = int(heard.sum())
    levels = np.zeros((count, *level_grid), np.int64)
    correlations = np.zeros((count * (count - 1) // 2, *grid), np.int64)
    start = _counts()
    _walk(0, levels, start, state, log)
    _walk(1, correlations, start, state, log)
    step = step_of(index)
    return Parameters(
        heard,
        # the limits are for streams that were made to harm
        np.clip(idctn(levels * (LEVEL_PER_CORRELATION_DB * step), norm="ortho"), -180, 60)
        if count
        else levels * 1.0,
        np.clip(idctn(correlations * step, axes=(1, 2), norm="ortho"), -1, 1) if count > 1 else correlations * 1.0,
    )


def _transformed(found: Parameters) -> tuple[ndarray, ndarray]:
    levels, correlations = found.levels_db, found.correlations
    return (
        dctn(levels, norm="ortho") if levels.size else levels,
        dctn(correlations, axes=(1, 2), norm="ortho") if correlations.size else correlations,
    )


def _quantised(coefficients: Float[ndarray, "row band slot"], step: float) -> Int[ndarray, "row band slot"]:
    magnitude = np.minimum(np.floor(np.abs(coefficients) / step + _ROUNDING), _LARGEST)
    return (np.sign(coefficients) * magnitude).astype(np.int64)


def _written(index: int, heard: Bool[ndarray, " channel"], levels: ndarray, correlations: ndarray) -> bytes:
    # a coefficient takes up to 2 · 12 + 3 decisions, but most take one
    log = np.zeros((5 + len(heard) + 27 * (levels.size + correlations.size), 2), np.int64)
    state = np.zeros(4, np.int64)
    for shift in range(4, -1, -1):
        _fair(index >> shift & 1, state, log)
    for flag in heard:
        _fair(int(flag), state, log)
    start = _counts()
    _walk(0, levels, start, state, log)
    _walk(1, correlations, start, state, log)
    return encoded(log[: state[3]].tolist())


def _counts() -> tuple[ndarray, ndarray]:
    """Counts of zeros and ones at the beginning: of zero flags by context, of prefixes by kind and place."""
    ones = np.array(_START, np.int64)
    flags = np.stack([32 - ones, ones], -1).reshape(2, _KINDS, 2)
    return flags, np.full((2, 2, _PREFIXES, 2), 4, np.int64)


def _decoder(data: bytes) -> ndarray:
    """State of the range decoder and the bytes behind it: active, range, value, position; then the data."""
    head = np.array([1, 1 << 32, int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 4], np.int64)
    return np.concatenate([head, np.frombuffer(data, np.uint8).astype(np.int64)])


@numba.njit(cache=True)
def _decide(bit, zero, state, log):  # pragma: no cover, compiled
    """One binary decision with probability `zero` (of 2¹⁵) of being 0.

    The encoder (state[0] is 0) notes it in `log`, the decoder reads it: the arithmetic of `codec.rangecoder`.
    """
    if state[0] == 0:
        log[state[3], 0], log[state[3], 1] = bit, zero
        state[3] += 1
        return bit
    bound = (state[1] >> 15) * zero
    if state[2] >= bound:
        state[2] -= bound
        state[1] -= bound
        bit = 1
    else:
        state[1] = bound
        bit = 0
    while state[1] < 1 << 24:
        byte = state[4 + state[3]] if 4 + state[3] < len(state) else 0
        state[2] = state[2] << 8 | byte
        state[1] <<= 8
        state[3] += 1
    return bit


@numba.njit(cache=True)
def _fair(bit, state, log):  # pragma: no cover, compiled
    return _decide(bit, 1 << 14, state, log)


@numba.njit(cache=True)
def _counted(bit, counts, state, log):  # pragma: no cover, compiled
    """Decide by the counts (zeros, ones) of a context, and count."""
    bit = _decide(bit, (counts[0] << 15) // (counts[0] + counts[1]), state, log)
    counts[bit] += 1
    if counts[0] + counts[1] > _HALVE_AT:
        counts[0] = (counts[0] + 1) >> 1
        counts[1] = (counts[1] + 1) >> 1
    return bit


@numba.njit(cache=True)
def _octave(k):  # pragma: no cover, compiled
    """0, 1, 2, 2, 3, 3, 3, 3, 4, ...: the number of bits of k."""
    count = 0
    while k:
        k >>= 1
        count += 1
    return count


@numba.njit(cache=True)
def _walk(kind, numbers, counts, state, log):  # pragma: no cover, compiled
    """Write the numbers (row, band, slot), or fill them with what is read."""
    flags, prefixes = counts
    rows, bands, slots = numbers.shape
    for row in range(rows):
        for band in range(bands):
            for slot in range(slots):
                number = numbers[row, band, slot]
                near = abs(numbers[row, band - 1, slot]) if band else 0
                near += abs(numbers[row, band, slot - 1]) if slot else 0
                # the limits of the correlations' zone only keep the compiled code in bounds
                if kind == 0:  # levels are transformed over the channels too
                    zone = min(_octave(row) + _octave(band), 7) + 8 * min(_octave(slot), 4)
                else:
                    zone = min(_octave(band), 4) + 5 * min(_octave(slot), 3)
                if not _counted(1 if number else 0, flags[kind, 3 * zone + min(near, 2)], state, log):
                    numbers[row, band, slot] = 0
                    continue
                negative = _fair(1 if number < 0 else 0, state, log)
                # Exponential Golomb code of the magnitude: how many bits, then the bits below the first
                magnitude, length = abs(number), 0
                wanted = _octave(magnitude) - 1
                while length < 11 and _counted(
                    1 if length < wanted else 0, prefixes[kind, min(zone, 1), length], state, log
                ):
                    length += 1
                value = 1
                for shift in range(length - 1, -1, -1):
                    value = value << 1 | _fair(magnitude >> shift & 1, state, log)
                numbers[row, band, slot] = -value if negative else value
