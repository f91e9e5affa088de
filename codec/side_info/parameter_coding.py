"""How the levels and correlations of a packet become the bits of its spatial layer, at a constant rate.

Both go through the discrete cosine transform over bands and time (levels also over the channels), are quantised
with one step and written by an adaptive range coder, which counts in contexts of like coefficients. The encoder
takes the finest step that fits into the bytes that the layer has, and rounds the correlations so that above all
those of all bands together (eq. 3 of the paper) come out right. In Ambisonics, correlations of low degrees are
quantised more finely: those of W with X, Y and Z are the active intensity, from which the direction follows.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.fft import dctn, idctn

from codec.bitstream.range_coder import encoded

STEPS = 32  # the last one says that nothing is sent
LEVEL_PER_CORRELATION_DB = 12.0  # step of the levels, where the step of the correlations is 1
_ROUNDING = 0.4  # a coefficient is rounded up from 0.6 of a step on: small ones cost more than they are worth
_LEVEL_SLOTS = 8  # of levels in a slot of correlations
_OVERALL = 15.0  # weight of the squared error of the correlation over all bands and slots
_NEW = 0.3  # squared steps of error that a coefficient which is no longer 0 must save: what its bits are worth
_ROUNDS = 8  # of improving the roundings
_MAX_SYMBOL = 65_535  # 180 dB in 256 channels, 24 bands and 63 slots come to 62,200 of the finest steps

# Contexts: levels or correlations, times the zone of the coefficient, times the size of its neighbours
_ZONES, _NEIGHBOURS, _PREFIXES = 40, 3, 15
_KINDS = _ZONES * _NEIGHBOURS
# How often, in 32nds, a coefficient is not 0, by context; counted on synthetic scenes (stimuli.synth)
_START = (
    (
        31, 16, 16, 31, 16, 31, 31, 16, 31, 31, 27, 31, 31, 31, 30, 29, 28, 30, 23, 22, 29, 14, 18, 25,
        16, 16, 31, 16, 16, 21, 16, 24, 21, 27, 16, 20, 10, 14, 17, 8, 8, 12, 2, 4, 9, 1, 3, 7,
        16, 27, 28, 7, 14, 27, 6, 12, 25, 7, 9, 22, 5, 11, 22, 3, 9, 21, 2, 7, 14, 1, 6, 12,
        29, 22, 29, 5, 18, 23, 5, 15, 25, 4, 13, 24, 4, 14, 23, 2, 9, 22, 1, 7, 12, 1, 5, 11,
        20, 24, 27, 3, 15, 24, 3, 14, 22, 2, 13, 21, 2, 12, 21, 1, 10, 20, 1, 4, 11, 1, 4, 10,
    ),
    (
        29, 16, 16, 25, 26, 29, 24, 24, 27, 12, 15, 22, 6, 13, 24, 12, 12, 12, 4, 4, 7, 5, 7, 11,
        2, 4, 10, 1, 5, 15, 3, 10, 22, 1, 4, 13, 2, 8, 19, 1, 5, 14, 1, 5, 15, 16, 16, 16,
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
    """Bytes of the spatial layer of a packet: 400 per slot for 16 channels."""
    return slots * -(-(5 * channels * (channels + 1) + 12 * channels + 48) // 4)


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


def pair_steps(heard: Bool[ndarray, " channel"], ambisonic: bool) -> Float[ndarray, " pair"]:
    """Steps of the correlations of the pairs of heard channels, relative to the largest.

    1 for loudspeakers; a quarter of the sum of the two degrees, 1 at most, for Ambisonics in the order of ACN.
    """
    degrees = np.floor(np.sqrt(np.arange(len(heard))))[heard]
    first, second = np.triu_indices(len(degrees), 1)
    return np.minimum(1, (degrees[first] + degrees[second]) / 4) if ambisonic else np.ones(len(first))


def encode(found: Parameters, size: int, ambisonic: bool, widths: Int[ndarray, " level_band"]) -> bytes:
    """Return `size` bytes: the finest quantisation that fits.

    `widths` are the bins of the bands of the levels.
    """
    relative = pair_steps(found.heard, ambisonic)[:, None, None]
    correlations = _transformed(found.correlations, (1, 2)) / relative
    shares = _transformed(_shares(found, widths), (1, 2))

    def coded(index: int) -> bytes:
        step = step_of(index)
        levels = _quantised_levels(found.levels_db, LEVEL_PER_CORRELATION_DB * step)
        numbers = _right_overall(_quantised(correlations, step), correlations / step, shares)
        return _written(index, found.heard, levels, numbers)

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


def decode(
    data: bytes, channels: int, level_grid: tuple[int, int], grid: tuple[int, int], ambisonic: bool
) -> Parameters | None:
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
    steps = step * pair_steps(heard, ambisonic)[:, None, None]
    return Parameters(
        heard,
        # the limits are for streams that were made to harm
        np.clip(_restored(levels * (LEVEL_PER_CORRELATION_DB * step), (0, 1, 2)), -180, 60),
        np.clip(_restored(correlations * steps, (1, 2)), -1, 1),
    )


def _transformed(
    values: Float[ndarray, "row band slot"], axes: tuple[int, ...]
) -> Float[ndarray, "row band slot"]:
    return dctn(values, axes=axes, norm="ortho") if values.size else values


def _restored(values: Float[ndarray, "row band slot"], axes: tuple[int, ...]) -> Float[ndarray, "row band slot"]:
    return idctn(values, axes=axes, norm="ortho") if values.size else values


def _quantised_levels(
    levels_db: Float[ndarray, "channel band slot"], step: float
) -> Int[ndarray, "row band slot"]:
    """Numbers of the levels' coefficients, such that the mean power of every channel and band comes back.

    What quantisation smooths in decibels has less power than before, so that the levels are raised by what a first
    pass lost.
    """
    axes = (0, 1, 2)
    smooth_db = _restored(_quantised(_transformed(levels_db, axes), step) * step, axes)
    powers = [(10 ** (each / 10)).mean(2, keepdims=True) for each in (levels_db, smooth_db)]
    lost_db = 10 * np.log10(powers[0] / powers[1])
    return _quantised(_transformed(levels_db + lost_db, axes), step)


def _quantised(coefficients: Float[ndarray, "row band slot"], step: float) -> Int[ndarray, "row band slot"]:
    magnitude = np.minimum(np.floor(np.abs(coefficients) / step + _ROUNDING), _MAX_SYMBOL)
    return (np.sign(coefficients) * magnitude).astype(np.int64)


def _shares(found: Parameters, widths: Int[ndarray, " level_band"]) -> Float[ndarray, "pair band slot"]:
    """What the correlation of each pair in a band and slot adds to that over all of them, as a unit vector.

    The covariance is the sum of those in bands and slots: the correlations times the rms of both channels.
    """
    bands, slots = found.correlations.shape[1:]
    power = 10 ** (found.levels_db / 10) * widths[:, None]
    power = power.reshape(len(power), bands, len(widths) // bands, power.shape[2]).sum(2)
    begins = np.minimum(np.arange(power.shape[2]) // _LEVEL_SLOTS, slots - 1)
    power = np.stack([power[:, :, begins == slot].sum(2) for slot in range(slots)], 2)
    first, second = np.triu_indices(len(power), 1)
    shares = np.sqrt(power[first] * power[second])
    return shares / np.maximum(np.sqrt(np.square(shares).sum((1, 2), keepdims=True)), 1e-30)


def _right_overall(
    numbers: Int[ndarray, "pair band slot"],
    exact: Float[ndarray, "pair band slot"],
    shares: Float[ndarray, "pair band slot"],
) -> Int[ndarray, "pair band slot"]:
    """Numbers of which some are rounded the other way, so that the correlation over all bands is nearer.

    It is a sum over coefficients, with the transformed `shares` as weights, and their errors may cancel. For each
    pair, single numbers go up or down by one as long as that lowers

        Σ e² + 15 (Σ u e)² + 0.3 · (how many are not 0),

    with e the errors in steps and u the shares.
    """
    pairs, bands, slots = numbers.shape
    result = numbers.reshape(pairs, bands * slots).copy()
    wanted, u = exact.reshape(result.shape), shares.reshape(result.shape)
    for _ in range(_ROUNDS):
        error = result - wanted
        overall = (u * error).sum(1, keepdims=True)
        changes = []
        for by in (1, -1):
            more = (result == 0).astype(float) - (result == -by)
            squares = 2 * by * error + 1 + _OVERALL * (2 * by * overall * u + u**2)
            changes.append(squares + _NEW * more)
        by_place = np.concatenate(changes, 1)
        best = by_place.argmin(1)
        gained = by_place[np.arange(pairs), best] < 0
        if not gained.any():
            break
        up, place = 1 - 2 * (best // (bands * slots)), best % (bands * slots)
        result[gained, place[gained]] += up[gained]
    return result.reshape(numbers.shape)


def _written(index: int, heard: Bool[ndarray, " channel"], levels: ndarray, correlations: ndarray) -> bytes:
    # a coefficient takes up to 2 · 15 + 2 decisions, but most take one
    log = np.zeros((5 + len(heard) + 32 * (levels.size + correlations.size), 2), np.int64)
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

    The encoder (state[0] is 0) notes it in `log`, the decoder reads it: the arithmetic of
    `codec.bitstream.range_coder`.
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
                while length < _PREFIXES and _counted(
                    1 if length < wanted else 0, prefixes[kind, min(zone, 1), length], state, log
                ):
                    length += 1
                value = 1
                for shift in range(length - 1, -1, -1):
                    value = value << 1 | _fair(magnitude >> shift & 1, state, log)
                numbers[row, band, slot] = -value if negative else value
