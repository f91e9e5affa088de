"""Coding of the levels and correlations of a packet at a constant rate: the bits of its side information.

Both are transformed by a discrete cosine transform over bands and time (levels also over the channels), quantised
with one step size, and written by an adaptive range coder with contexts of similar coefficients. The encoder takes
the finest step that fits into the bytes available, and rounds the correlations such that above all the
correlations over all bands together (eq. 3 of the paper) come out right. In Ambisonics, correlations of low
degrees are quantised more finely: those of W with X, Y and Z are the active intensity, which determines the
direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.fft import dctn, idctn

from codec.bitstream.sizes import LEVEL_SLOT_FRAMES, SLOT_FRAMES
from codec.side_info.binary_coding import adaptive, bit_length, fair, finest, finished, reader, writer
from render.common.compiled import compiled

STEPS = 32  # step sizes; the last index says that no parameters are sent
LEVEL_STEP_DB = 12.0  # step of the levels where the step of the correlations is 1
_ROUNDING = 0.4  # fractions of a step from 0.6 on are rounded up: small coefficients cost more than they are worth
_LEVEL_SLOTS_PER_SLOT = SLOT_FRAMES // LEVEL_SLOT_FRAMES
_OVERALL_WEIGHT = 15.0  # of the squared error of the correlation over all bands and slots
_NONZERO_COST = 0.3  # of the bits of a coefficient that is not 0, in squared steps of error
_MAX_REFINEMENTS = 8  # of the rounding of each pair's coefficients
_MAX_MAGNITUDE = 65_535  # 180 dB in 256 channels, 24 bands and 63 slots come to 62,200 of the finest steps

# Contexts: levels or correlations, times the zone of the coefficient, times the size of its neighbours
_ZONES, _NEIGHBOURS, _MAX_PREFIX = 40, 3, 15
_CONTEXTS = _ZONES * _NEIGHBOURS
# Share of coefficients that are not 0 in each context, in 32nds, counted in synthetic scenes (stimuli.synth):
# the initial counts of the coder
_NONZERO_SHARE = (
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


def quantiser_step(index: int) -> float:
    """Step size of the coefficients of the correlations, for index 0 (the finest) to `STEPS` - 2."""
    return 0.15 * 2 ** (index / 6)


class SpatialParameters(NamedTuple):
    """Levels and correlations of the active channels of a packet.

    Attributes
    ----------
    active : bool (all channels,)
        False for channels that are silent in the whole packet.
    levels_db : float (channel, level band, level slot)
        Mean power per bin of each active channel, in decibels relative to full scale.
    correlations : float (pair, band, slot)
        -1 to 1, for pairs of active channels in the order (0,1), (0,2), ... (1,2), ... Bands and slots are wider
        than those of the levels.
    """

    active: Bool[ndarray, " channel"]
    levels_db: Float[ndarray, "channel level_band level_slot"]
    correlations: Float[ndarray, "pair band slot"]


def pair_steps(active: Bool[ndarray, " channel"], ambisonic: bool) -> Float[ndarray, " pair"]:
    """Step size for each pair of active channels, relative to the largest.

    It is 1 for loudspeakers, and for Ambisonics in ACN order a quarter of the sum of the two degrees, at most 1.
    """
    degrees = np.floor(np.sqrt(np.arange(len(active))))[active]
    first, second = np.triu_indices(len(degrees), 1)
    return np.minimum(1, (degrees[first] + degrees[second]) / 4) if ambisonic else np.ones(len(first))


def encode_parameters(
    parameters: SpatialParameters, size: int, ambisonic: bool, band_widths: Int[ndarray, " level_band"]
) -> bytes:
    """Return `size` bytes with the finest quantisation that fits; where none does, they say so.

    Parameters
    ----------
    parameters : SpatialParameters
    size : int
    ambisonic : bool
        Whether the channels are Ambisonics in ACN order, see `pair_steps`.
    band_widths : int (level band,)
        Bins of each band of the levels.
    """
    relative_steps = pair_steps(parameters.active, ambisonic)[:, None, None]
    correlations = _dct(parameters.correlations, (1, 2)) / relative_steps
    shares = _dct(_shares(parameters, band_widths), (1, 2))

    def coded(index: int) -> bytes:
        step = quantiser_step(index)
        levels = _quantised_levels(parameters.levels_db, LEVEL_STEP_DB * step)
        numbers = _refined(_quantised(correlations, step), correlations / step, shares)
        return _write(index, parameters.active, levels, numbers)

    nothing = _write(STEPS - 1, parameters.active, *(np.zeros((0, 1, 1), np.int64),) * 2)
    return finest(coded, size, STEPS - 1, nothing)[1][:size].ljust(size, b"\0")


def decode_parameters(
    data: bytes, channels: int, level_grid: tuple[int, int], grid: tuple[int, int], ambisonic: bool
) -> SpatialParameters | None:
    """Return the quantised parameters; None if the encoder had no room for any.

    Any bytes decode to finite numbers: levels from -180 to 60 dB, correlations from -1 to 1.

    Parameters
    ----------
    data : bytes
        As from `encode_parameters`.
    channels : int
        Active or not.
    level_grid, grid : tuple of int
        Number of bands and of slots, of the levels and of the correlations.
    ambisonic : bool
        As in `encode_parameters`.
    """
    state, coded = reader(data)
    index = 0
    for _ in range(5):
        index = 2 * index + fair(0, state, coded)
    active = np.array([fair(0, state, coded) for _ in range(channels)], bool)
    if index == STEPS - 1:
        return None
    count = int(active.sum())
    levels = np.zeros((count, *level_grid), np.int64)
    correlations = np.zeros((count * (count - 1) // 2, *grid), np.int64)
    counts = _initial_counts()
    _code_coefficients(0, levels, counts, state, coded)
    _code_coefficients(1, correlations, counts, state, coded)
    step = quantiser_step(index)
    steps = step * pair_steps(active, ambisonic)[:, None, None]
    return SpatialParameters(
        active,
        np.clip(_inverse_dct(levels * (LEVEL_STEP_DB * step), (0, 1, 2)), -180, 60),
        np.clip(_inverse_dct(correlations * steps, (1, 2)), -1, 1),
    )


def _dct(values: Float[ndarray, "row band slot"], axes: tuple[int, ...]) -> Float[ndarray, "row band slot"]:
    """Orthonormal DCT-II; no rows stay no rows."""
    return dctn(values, axes=axes, norm="ortho") if values.size else values


def _inverse_dct(
    values: Float[ndarray, "row band slot"], axes: tuple[int, ...]
) -> Float[ndarray, "row band slot"]:
    return idctn(values, axes=axes, norm="ortho") if values.size else values


def _quantised_levels(
    levels_db: Float[ndarray, "channel band slot"], step: float
) -> Int[ndarray, "row band slot"]:
    """Quantise the coefficients of the levels such that the mean power of every channel and band is preserved.

    Levels that quantisation smooths in decibels have less mean power than before, so that they are raised by what
    a first pass lost.
    """
    axes = (0, 1, 2)
    smooth_db = _inverse_dct(_quantised(_dct(levels_db, axes), step) * step, axes)
    powers = [(10 ** (each / 10)).mean(2, keepdims=True) for each in (levels_db, smooth_db)]
    lost_db = 10 * np.log10(powers[0] / powers[1])
    return _quantised(_dct(levels_db + lost_db, axes), step)


def _quantised(coefficients: Float[ndarray, "row band slot"], step: float) -> Int[ndarray, "row band slot"]:
    magnitude = np.minimum(np.floor(np.abs(coefficients) / step + _ROUNDING), _MAX_MAGNITUDE)
    return (np.sign(coefficients) * magnitude).astype(np.int64)


def _shares(
    parameters: SpatialParameters, band_widths: Int[ndarray, " level_band"]
) -> Float[ndarray, "pair band slot"]:
    """Weight of the correlation in each band and slot in that over all of them, for each pair a unit vector.

    The covariance of a pair is the sum over bands and slots of the correlation times the rms of both channels.
    """
    bands, slots = parameters.correlations.shape[1:]
    power = 10 ** (parameters.levels_db / 10) * band_widths[:, None]
    power = power.reshape(len(power), bands, len(band_widths) // bands, power.shape[2]).sum(2)
    slot_of_level_slot = np.minimum(np.arange(power.shape[2]) // _LEVEL_SLOTS_PER_SLOT, slots - 1)
    power = np.stack([power[:, :, slot_of_level_slot == slot].sum(2) for slot in range(slots)], 2)
    first, second = np.triu_indices(len(power), 1)
    shares = np.sqrt(power[first] * power[second])
    return shares / np.maximum(np.sqrt(np.square(shares).sum((1, 2), keepdims=True)), 1e-30)


def _refined(
    numbers: Int[ndarray, "pair band slot"],
    exact: Float[ndarray, "pair band slot"],
    shares: Float[ndarray, "pair band slot"],
) -> Int[ndarray, "pair band slot"]:
    """Round some coefficients the other way, so that the correlation over all bands comes closer.

    That correlation is a sum over coefficients, weighted with the transformed `shares`, in which errors may
    cancel. For each pair, single numbers are raised or lowered by one as long as that reduces

        Σ e² + 15 (Σ u e)² + 0.3 · (count of numbers that are not 0),

    where e are the errors in steps and u the shares.
    """
    pairs, bands, slots = numbers.shape
    result = numbers.reshape(pairs, bands * slots).copy()
    target, u = exact.reshape(result.shape), shares.reshape(result.shape)
    for _ in range(_MAX_REFINEMENTS):
        error = result - target
        overall = (u * error).sum(1, keepdims=True)
        changes = []
        for by in (1, -1):
            more_nonzero = (result == 0).astype(float) - (result == -by)
            squares = 2 * by * error + 1 + _OVERALL_WEIGHT * (2 * by * overall * u + u**2)
            changes.append(squares + _NONZERO_COST * more_nonzero)
        changes_by_candidate = np.concatenate(changes, 1)
        best = changes_by_candidate.argmin(1)
        improved = changes_by_candidate[np.arange(pairs), best] < 0
        if not improved.any():
            break
        change, position = 1 - 2 * (best // (bands * slots)), best % (bands * slots)
        result[improved, position[improved]] += change[improved]
    return result.reshape(numbers.shape)


def _write(
    index: int,
    active: Bool[ndarray, " channel"],
    levels: Int[ndarray, "active level_band level_slot"],
    correlations: Int[ndarray, "pair band slot"],
) -> bytes:
    # a coefficient takes at most 2 · 15 + 2 decisions, and a decision, at least 1/512 probable, at most 2 bytes
    state, coded = writer(2 * (5 + len(active) + 32 * (levels.size + correlations.size)))
    for shift in range(4, -1, -1):
        fair(index >> shift & 1, state, coded)
    for flag in active:
        fair(int(flag), state, coded)
    counts = _initial_counts()
    _code_coefficients(0, levels, counts, state, coded)
    _code_coefficients(1, correlations, counts, state, coded)
    return finished(state, coded)


def _initial_counts() -> tuple[ndarray, ndarray]:
    """Counts of zeros and ones: of "not 0" by kind and context, of prefixes by kind, zone and position."""
    ones = np.array(_NONZERO_SHARE, np.int64)
    flags = np.stack([32 - ones, ones], -1).reshape(2, _CONTEXTS, 2)
    return flags, np.full((2, 2, _MAX_PREFIX, 2), 4, np.int64)


@compiled()
def _code_coefficients(kind, numbers, counts, state, coded):  # pragma: no cover, compiled
    """Write the coefficients (row, band, slot), or read them into `numbers`; kind 0 is levels, 1 correlations."""
    flags, prefixes = counts
    rows, bands, slots = numbers.shape
    for row in range(rows):
        for band in range(bands):
            for slot in range(slots):
                number = numbers[row, band, slot]
                near = abs(numbers[row, band - 1, slot]) if band else 0
                near += abs(numbers[row, band, slot - 1]) if slot else 0
                # for correlations the limits of the zone only keep the indices in bounds
                if kind == 0:  # levels are also transformed over the channels
                    zone = min(bit_length(row) + bit_length(band), 7) + 8 * min(bit_length(slot), 4)
                else:
                    zone = min(bit_length(band), 4) + 5 * min(bit_length(slot), 3)
                if not adaptive(1 if number else 0, flags[kind, 3 * zone + min(near, 2)], state, coded):
                    numbers[row, band, slot] = 0
                    continue
                negative = fair(1 if number < 0 else 0, state, coded)
                # exponential Golomb code of the magnitude: the number of its bits, then all but the first of them
                magnitude, length = abs(number), 0
                max_length = bit_length(magnitude) - 1
                while length < _MAX_PREFIX and adaptive(
                    1 if length < max_length else 0, prefixes[kind, min(zone, 1), length], state, coded
                ):
                    length += 1
                value = 1
                for shift in range(length - 1, -1, -1):
                    value = value << 1 | fair(magnitude >> shift & 1, state, coded)
                numbers[row, band, slot] = -value if negative else value
