"""Attacks: where a sound begins suddenly, and how loud it was just before.

Windows of 46 ms spread the noise of the decoder and the errors of the network over the time before an attack,
where nothing masks them. The encoder sends the time of each attack and the levels of three spans before it,
and the decoder turns down what is louder there. It never turns up anything, so that a wrong or a missing
attack does little harm.

This is an extension that the paper does not have.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from codec.side_info.binary_coding import fair_number

BLOCK = 64  # samples; attacks are timed in blocks, 1.45 ms at 44.1 kHz
SPANS = (36, 18, 7, 0)  # blocks before an attack between which its three levels are measured: 52, 26, 10 and 0 ms
CONTEXT_SAMPLES = BLOCK * 72  # after a packet, in which attacks are sought whose spans begin in the packet
MAX_ATTACKS = 15  # of a packet
_STEP_DB, _LEVELS = 3.0, 64
_AFTER, _BEFORE = 16, 16  # blocks whose mean powers are compared
_MIN_RISE = 10.0  # of the power at an attack
_MIN_ONSET_RISE = 4.0  # of the power of its first block, relative to the blocks before
_MIN_POWER = 1e-19
_COUNT_BITS, _POSITION_BITS, _LEVEL_BITS = 4, 16, 6


class Attack(NamedTuple):
    """An attack, and the level before it.

    Attributes
    ----------
    block : int
        Number of the block in which the sound begins, from the beginning of the packet; it may lie after its end.
    levels : tuple of int
        Power of the spans before it, the mean over channels and samples, in steps of -3 dB re full scale.
    """

    block: int
    levels: tuple[int, ...]


def find_attacks(samples: Float32[ndarray, "channel time"], before: int, length: int) -> list[Attack]:
    """Find the strongest attacks before which a packet has samples.

    An attack is a block after which the mean power of 23 ms is 10 times that before, and whose own power is 4
    times that before. Of neighbours within 23 ms the one with the largest rise counts.

    Parameters
    ----------
    samples : float32 (channel, time)
        The packet with up to `CONTEXT_SAMPLES` samples of what comes before and after it.
    before : int
        Number of samples before the packet.
    length : int
        Samples of the packet.
    """
    context = SPANS[0]  # blocks before the packet; where there is no signal, it is silent
    power = _block_powers(samples, before - context * BLOCK, context * BLOCK + length + CONTEXT_SAMPLES)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    inner = np.arange(max(context, _BEFORE), len(power) - _AFTER + 1)
    earlier = (sums[inner] - sums[inner - _BEFORE]) / _BEFORE + _MIN_POWER
    rise = (sums[inner + _AFTER] - sums[inner]) / _AFTER / earlier
    rise[(power[inner] < _MIN_ONSET_RISE * earlier) | (rise < _MIN_RISE)] = 0
    found: list[tuple[float, int]] = []
    for place in np.argsort(-rise, kind="stable")[: 64 * MAX_ATTACKS].tolist():
        if rise[place] <= 0 or len(found) == MAX_ATTACKS:
            break
        if all(abs(place - other) >= _AFTER for _, other in found):
            found.append((float(rise[place]), place))
    attacks = []
    for place in sorted(place for _, place in found):
        at = int(inner[place])
        if 0 < at - context < -(-length // BLOCK) + SPANS[0]:
            spans = [power[at - first : at - last].mean() for first, last in pairwise(SPANS)]
            attacks.append(Attack(at - context, tuple(_level(span) for span in spans)))
    return attacks


def _level(power: float) -> int:
    """Number of steps, rounded such that the level sent is not below the power; the last one is silence."""
    return int(np.clip(np.floor(-10 * np.log10(max(power, 1e-30)) / _STEP_DB), 0, _LEVELS - 1))


def level_power(level: int) -> float:
    """Power that a level stands for."""
    return 0.0 if level == _LEVELS - 1 else 10 ** (-_STEP_DB * level / 10)


def write_attacks(attacks: list[Attack], state: Int[ndarray, " 4"], coded: ndarray) -> None:
    """Write attacks: their number, then each block and its levels."""
    fair_number(len(attacks), _COUNT_BITS, state, coded)
    for attack in attacks:
        fair_number(attack.block, _POSITION_BITS, state, coded)
        for level in attack.levels:
            fair_number(level, _LEVEL_BITS, state, coded)


def read_attacks(state: Int[ndarray, " 4"], coded: ndarray) -> list[Attack]:
    """Read what `write_attacks` wrote; any bytes are attacks."""
    result = []
    for _ in range(fair_number(0, _COUNT_BITS, state, coded)):
        block = int(fair_number(0, _POSITION_BITS, state, coded))
        result.append(Attack(block, tuple(int(fair_number(0, _LEVEL_BITS, state, coded)) for _ in SPANS[1:])))
    return result


def attenuate_before(samples: Float32[ndarray, "channel time"], attacks: list[Attack]) -> None:
    """Turn down what is louder before attacks than it was, in place; `samples` are those of a packet.

    In each block of the spans the gain is that which leads to the level sent, at most 1. Between the centres
    of blocks gains are interpolated linearly; the last block before an attack keeps its gain to the end.
    """
    if not attacks:
        return
    power = _block_powers(samples, 0, -(-samples.shape[1] // BLOCK) * BLOCK)
    gains = np.ones(len(power))
    ends = np.zeros(len(power), bool)
    for attack in attacks:
        for level, (first, last) in zip(attack.levels, pairwise(SPANS), strict=True):
            span = slice(max(attack.block - first, 0), max(attack.block - last, 0))
            limit = np.sqrt(level_power(level) / np.maximum(power[span], 1e-30))
            gains[span] = np.minimum(gains[span], limit)
        if 0 < attack.block <= len(ends):
            ends[attack.block - 1] = True
    touched = np.flatnonzero(gains < 1)
    for block in np.unique(np.concatenate([touched, touched - 1, touched + 1])):
        if 0 <= block < len(gains):
            samples[:, block * BLOCK : (block + 1) * BLOCK] *= _gain_course(gains, ends, block)[
                : samples.shape[1] - block * BLOCK
            ]


def _gain_course(gains: Float[ndarray, " block"], ends: ndarray, block: int) -> Float32[ndarray, " time"]:
    """Gain of the samples of a block."""
    own = gains[block]
    earlier = own if block == 0 or ends[block - 1] else gains[block - 1]
    later = own if block + 1 == len(gains) or ends[block] else gains[block + 1]
    offset = (np.arange(BLOCK) + 0.5) / BLOCK - 0.5  # from the centre, in blocks
    return (own + np.abs(offset) * (np.where(offset < 0, earlier, later) - own)).astype(np.float32)


def _block_powers(samples: Float32[ndarray, "channel time"], first: int, length: int) -> Float[ndarray, " block"]:
    """Mean square of the blocks of `length` samples from number `first` on; beyond the ends there is silence."""
    blocks = -(-length // BLOCK)
    power = np.zeros(blocks * BLOCK)
    begin, end = max(first, 0), min(first + blocks * BLOCK, samples.shape[1])
    if begin < end:
        part = samples[:, begin:end]
        power[begin - first : end - first] = np.einsum("ct,ct->t", part, part, dtype=np.float64) / len(samples)
    return power.reshape(blocks, BLOCK).mean(1)
