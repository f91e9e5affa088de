"""Coding of the strongest components up to 4.6 kHz: their MDCT coefficients, beside the network's codes.

A small network carries the waveform of the components up to about 1 kHz, and roughly. Above, partials and
harmonics become noise with the right level. So the coefficients of the strongest components are sent
themselves: quantised uniformly with a step size that follows the power of the band, and written by an adaptive
range coder whose contexts are the magnitudes of the neighbours in frequency and time, and those of the stronger
components. The encoder takes the finest step size that fits into the bytes available. In the decoder they replace
those that the network decodes.

This is an extension that the paper does not have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray

from codec.side_info.attacks import Attack, read_attacks, write_attacks
from codec.side_info.binary_coding import (
    WRITES,
    adaptive,
    code_magnitude,
    fair,
    fair_number,
    finest,
    finished,
    reader,
    writer,
)
from codec.side_info.weak_components import code_laws, limited_power
from render.common.compiled import compiled

CODED_BANDS = range(8)  # 43 to 4630 Hz at 44.1 kHz
WIDE_BANDS = range(2, 8)  # from 345 Hz on: below, a coefficient is as wide as a critical band and leaves no holes
STEPS = 128  # step sizes; the last index says that no coefficients are sent
_ROUNDING = 0.36  # fractions of a step from 0.64 on are rounded up: a coefficient costs more than its square
_POWER_EXPONENT = 0.6  # of the squared step: 0 is the least squared error, 1 one ratio to the noise in all bands

_MAX_NEAR, _RANKS, _MAX_PREFIX = 12, 4, 14
_CONTEXTS = _MAX_NEAR + 2 * 3 + 3 + 1  # neighbours, stronger components, two frames earlier
_MAX_MAGNITUDE = 1 << 16
_STEP_BITS = 7
_MIN_POWER = 0.06  # of a component that is sent, relative to the squared step: its peaks are larger
_MIN_WORTH = 0.6  # squared error that a coefficient must save, in squared steps: weak noise saves 0.4 in its peaks
_SPARE_BYTES = 4096  # more than attacks, laws, counts and one coefficient take


class CodedCoefficients(NamedTuple):
    """Coefficients of the components that a packet sends.

    Attributes
    ----------
    values : float32 (component, frame, bin)
        Coefficients as the network is to give them, from the first bin of `CODED_BANDS` on; 0 where none are sent.
    counts : int (slot, band)
        In each slot and band of `CODED_BANDS` the coefficients of so many components, the first ones, are sent.
    """

    values: Float32[ndarray, "component frame bin"]
    counts: Int[ndarray, "slot band"]


class CoefficientGrid(NamedTuple):
    """Where the coefficients of a packet lie.

    Attributes
    ----------
    slot_of_frame : int (frame,)
        Slot of each MDCT frame after the one at the beginning of the packet.
    edges : int (edge,)
        First bin of each of `CODED_BANDS`, and the one after the last.
    """

    slot_of_frame: Int[ndarray, " frame"]
    edges: Int[ndarray, " edge"]


def is_sent(
    counts: Int[ndarray, "slot band"], grid: CoefficientGrid, components: int
) -> Bool[ndarray, "component frame bin"]:
    """Whether each coefficient of the coded bands is sent."""
    by_bin = np.repeat(counts, np.diff(grid.edges), axis=1)[grid.slot_of_frame]
    return np.arange(components)[:, None, None] < by_bin


def step_size(index: int) -> float:
    """Step size of a component of unit power without input gain, for index 0 (the finest) to `STEPS` - 2."""
    return 0.01 * 2 ** (index / 12)


def _steps(
    index: int, power: Float[ndarray, "slot band component"], gain: Float[ndarray, "slot band"]
) -> Float[ndarray, "slot coded_band"]:
    """Step size of the network's coefficients in the slots and coded bands of a packet."""
    own = slice(CODED_BANDS.start, CODED_BANDS.stop)
    total = np.maximum(power[:, own].sum(2), 1e-20)
    return step_size(index) * gain[:, own] * total ** (_POWER_EXPONENT / 2)


def encode_detail(
    attacks: list[Attack],
    laws: Int[ndarray, "slot band"] | None,
    coefficients: Float32[ndarray, "component frame bin"],
    power: Float[ndarray, "slot band component"] | None,
    gain: Float[ndarray, "slot band"],
    grid: CoefficientGrid,
    size: int,
) -> tuple[bytes, Int[ndarray, "slot band"]]:
    """Return `size` bytes with attacks, laws, and the coefficients in the finest quantisation that fits.

    Also return of how many components they are, as in `CodedCoefficients`. Where attacks and laws do not fit, the
    laws are 0, and where these do not fit, there are no attacks; without powers, there are neither laws nor
    coefficients.

    Parameters
    ----------
    attacks : list of Attack
    laws : int (slot, band), or None
        Of the powers, `codec.side_info.weak_components`; None without powers.
    coefficients : float32 (component, frame, bin)
        All coefficients of the frames of `grid`.
    power, gain : float (slot, band, component) and (slot, band)
        Of `codec.side_info.klt.KLTBasis`.
    grid : CoefficientGrid
    size : int
    """
    no_counts = np.zeros((len(gain), len(CODED_BANDS)), np.int64)
    if len(nothing := _written(attacks, laws, size)) > size:
        laws = None if laws is None else np.zeros_like(laws)
        if len(nothing := _written(attacks, laws, size)) > size:
            return bytes(size), no_counts
    if power is None or laws is None:
        return nothing.ljust(size, b"\0"), no_counts
    own = coefficients[:, :, grid.edges[0] : grid.edges[-1]]
    strongest = (power * np.square(gain)[:, :, None])[:, CODED_BANDS.start : CODED_BANDS.stop]

    def quantised(index: int) -> tuple[Int[ndarray, "slot band"], Int[ndarray, "component frame bin"]]:
        steps = _steps(index, power, gain)
        counts = np.count_nonzero(strongest > _MIN_POWER * np.square(steps)[:, :, None], axis=2)
        numbers, worth = np.zeros(own.shape, np.int64), np.zeros((*counts.shape, len(own)))
        _quantise(own, counts, steps, grid.slot_of_frame, grid.edges - grid.edges[0], numbers, worth)
        counts[:, WIDE_BANDS.start :] = _last_positive(worth[:, WIDE_BANDS.start :])
        numbers[~is_sent(counts, grid, len(own))] = 0
        return counts, numbers

    def coded(index: int) -> bytes:
        return _written(attacks, laws, size, index, *quantised(index), grid)

    index, data = finest(coded, size, STEPS - 1, nothing)
    return data.ljust(size, b"\0"), no_counts if index == STEPS - 1 else quantised(index)[0]


def decode_detail(
    data: bytes,
    power: Float[ndarray, "slot band component"] | None,
    gain: Float[ndarray, "slot band"],
    grid: CoefficientGrid,
) -> tuple[list[Attack], Float[ndarray, "slot band component"] | None, CodedCoefficients | None]:
    """Return the attacks of a packet, the powers of its components by their laws, and its coefficients.

    Without powers these are None, and so are the coefficients where there are none. Any bytes decode to finite
    numbers.

    Parameters
    ----------
    data : bytes
        As from `encode_detail`; none at all, and zeros, have no attacks, powers as they are, and no coefficients.
    power, gain, grid
        As there.
    """
    if not data:
        return [], power, None
    state, coded = reader(data)
    attacks = read_attacks(state, coded)
    if power is None:
        return attacks, None, None
    laws = np.zeros(power.shape[:2], np.int64)
    code_laws(laws, state, coded)
    limited = limited_power(power, laws)
    index = int(fair_number(0, _STEP_BITS, state, coded))
    if index == STEPS - 1:
        return attacks, limited, None
    slots, _, components = power.shape
    counts = np.zeros((slots, len(CODED_BANDS)), np.int64)
    bits = components.bit_length()
    for place in np.ndindex(counts.shape):
        counts[place] = min(int(fair_number(0, bits, state, coded)), components)
    numbers = np.zeros((components, len(grid.slot_of_frame), grid.edges[-1] - grid.edges[0]), np.int64)
    _code(numbers, counts, grid.slot_of_frame, grid.edges - grid.edges[0], _new_counts(), state, coded)
    steps = np.repeat(_steps(index, power, gain), np.diff(grid.edges), axis=1)[grid.slot_of_frame]
    return attacks, limited, CodedCoefficients((numbers * steps).astype(np.float32), counts)


def _written(
    attacks: list[Attack],
    laws: Int[ndarray, "slot band"] | None,
    size: int,
    index: int = STEPS - 1,
    counts: Int[ndarray, "slot band"] | None = None,
    numbers: Int[ndarray, "component frame bin"] | None = None,
    grid: CoefficientGrid | None = None,
) -> bytes:
    """Attacks, laws and coefficients as bytes; those that do not fit into `size` are cut somewhere behind."""
    state, data = writer(size + 2 * _SPARE_BYTES)
    write_attacks(attacks, state, data)
    if laws is not None:
        code_laws(laws.copy(), state, data)
    fair_number(index, _STEP_BITS, state, data)
    if counts is not None and numbers is not None and grid is not None:
        for count in counts.ravel().tolist():
            fair_number(count, len(numbers).bit_length(), state, data)
        _code(numbers, counts, grid.slot_of_frame, grid.edges - grid.edges[0], _new_counts(), state, data)
    return finished(state, data)


def _new_counts() -> tuple[ndarray, ndarray]:
    """Counts of zeros and ones: of "not 0" by rank of the component and neighbours, of prefixes by neighbours."""
    flags = np.empty((_RANKS, _CONTEXTS, 2), np.int64)
    flags[:, :, 1] = 1 + np.arange(_CONTEXTS)
    flags[:, :, 0] = 32 - flags[:, :, 1]
    return flags, np.full((_MAX_NEAR + 1, _MAX_PREFIX, 2), 4, np.int64)


def _last_positive(worth: Float[ndarray, "slot band component"]) -> Int[ndarray, "slot band"]:
    """Number of components up to the last one whose worth is positive."""
    components = worth.shape[2]
    last = components - (worth > 0)[:, :, ::-1].argmax(2)
    return np.where((worth > 0).any(2), last, 0)


@compiled()
def _quantise(coefficients, components, steps, slot_of_frame, edges, numbers, worth):  # pragma: no cover, compiled
    """Write the numbers of the coefficients (component, frame, bin) that are sent, and what they are worth.

    That of the coefficients of a slot, band and component is the squared error that they save, in squared steps,
    less `_MIN_WORTH` for each one that is not 0.
    """
    for component in range(numbers.shape[0]):
        for frame in range(numbers.shape[1]):
            slot = slot_of_frame[frame]
            for band in range(len(edges) - 1):
                if component < components[slot, band]:
                    step = steps[slot, band]
                    for k in range(edges[band], edges[band + 1]):
                        value = coefficients[component, frame, k]
                        number = int(min(np.floor(abs(value) / step + _ROUNDING), _MAX_MAGNITUDE - 1))
                        numbers[component, frame, k] = -number if value < 0 else number
                        if number:
                            worth[slot, band, component] += (2 * abs(value) / step - number) * number - _MIN_WORTH


@compiled()
def _code(numbers, components, slot_of_frame, edges, counts, state, coded):  # pragma: no cover, compiled
    """Write the coefficients (component, frame, bin), or read them into `numbers`."""
    flags, prefixes = counts
    limit = len(coded) - 64  # more than a coefficient takes
    for frame in range(numbers.shape[1]):
        above = np.zeros(numbers.shape[2], np.int64)  # magnitudes of the stronger components in this frame
        for band in range(len(edges) - 1):
            for component in range(components[slot_of_frame[frame], band]):
                rank = min(component, _RANKS - 1)
                for k in range(edges[band], edges[band + 1]):
                    if state[0] == WRITES and state[3] > limit:
                        return  # it does not fit
                    near = 0
                    if k > 0:
                        near += 2 * min(abs(numbers[component, frame, k - 1]), 3)
                    if k > 1:
                        near += min(abs(numbers[component, frame, k - 2]), 3)
                    if frame > 0:
                        near += 2 * min(abs(numbers[component, frame - 1, k]), 3)
                        if k > 0:
                            near += min(abs(numbers[component, frame - 1, k - 1]), 3)
                        if k + 1 < numbers.shape[2]:
                            near += min(abs(numbers[component, frame - 1, k + 1]), 3)
                    near = min(near, _MAX_NEAR)
                    context = near + 2 * min(above[k], 3)
                    if frame > 1:
                        context += min(abs(numbers[component, frame - 2, k]), 3)
                    number = numbers[component, frame, k]
                    if not adaptive(1 if number else 0, flags[rank, context], state, coded):
                        numbers[component, frame, k] = 0
                        continue
                    negative = fair(1 if number < 0 else 0, state, coded)
                    value = code_magnitude(abs(number), prefixes[near], state, coded)
                    numbers[component, frame, k] = -value if negative else value
                    above[k] += value
