"""Adaptive binary range coding of what a packet says beside its codes, compiled.

It has the arithmetic of `codec.bitstream.range_coder`, whose integers of any length are here the bytes
`coded` followed by 32 bits. The state is `WRITES` or `READS`, the range, those 32 bits of the lower limit (of
the value, when reading), and the number of bytes before them (read). One compilation serves both directions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from codec.bitstream.range_coder import shortest_bytes
from render.common.compiled import compiled

WRITES, READS = 0, 1  # direction
MAX_COUNT = 512  # of a context; both of its counts are halved beyond


def writer(max_bytes: int) -> tuple[Int[ndarray, " 4"], UInt8[ndarray, " byte"]]:
    """Return the state of a coder that writes, and room for its bytes."""
    return np.array([WRITES, 1 << 32, 0, 0], np.int64), np.zeros(max_bytes, np.uint8)


def reader(data: bytes) -> tuple[Int[ndarray, " 4"], UInt8[ndarray, " byte"]]:
    """Return the state of a coder that reads, and its bytes; after the last one it reads zeros."""
    state = np.array([READS, 1 << 32, int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 4], np.int64)
    return state, np.frombuffer(data, np.uint8).copy()  # writable, as where it writes


def finished(state: Int[ndarray, " 4"], coded: UInt8[ndarray, " byte"]) -> bytes:
    """Return the shortest bytes that are read as what was written."""
    _, width, last, count = state.tolist()
    return shortest_bytes(int.from_bytes(coded[:count].tobytes(), "big") << 32 | last, width, count + 4)


def finest(coded: Callable[[int], bytes], size: int, steps: int, nothing: bytes) -> tuple[int, bytes]:
    """Return the smallest of the indices 0 to `steps` - 1 that codes in `size` bytes, and what it codes.

    If none fits, these are `steps` and `nothing`.

    A bisection: the coarser the step, the fewer the bytes.
    """
    low, high, best = 0, steps, nothing
    while low < high:
        middle = (low + high) // 2
        data = coded(middle)
        if len(data) <= size:
            high, best = middle, data
        else:
            low = middle + 1
    return high, best


@compiled()
def decide(bit, zero, state, coded):  # pragma: no cover, compiled
    """Code one binary decision that is 0 with probability `zero` / 2¹⁵, and return it."""
    bound = (state[1] >> 15) * zero
    if state[0] == READS:
        bit = 1 if state[2] >= bound else 0
        state[2] -= bit * bound
    elif bit:
        state[2] += bound
        if state[2] >= 1 << 32:
            state[2] -= 1 << 32
            place = state[3] - 1
            while coded[place] == 255:
                coded[place] = 0
                place -= 1
            coded[place] += 1
    state[1] = state[1] - bound if bit else bound
    while state[1] < 1 << 24:
        if state[0] == READS:
            state[2] = state[2] << 8 | (coded[state[3]] if state[3] < len(coded) else 0)
        else:
            coded[state[3]] = state[2] >> 24
            state[2] = (state[2] & 0xFFFFFF) << 8
        state[1] <<= 8
        state[3] += 1
    return bit


@compiled()
def fair(bit, state, coded):  # pragma: no cover, compiled
    """Code a decision that is 0 or 1 with equal probability."""
    return decide(bit, 1 << 14, state, coded)


@compiled()
def adaptive(bit, counts, state, coded):  # pragma: no cover, compiled
    """Code a decision with the counts (zeros, ones) of its context, and count it."""
    bit = decide(bit, (counts[0] << 15) // (counts[0] + counts[1]), state, coded)
    counts[bit] += 1
    if counts[0] + counts[1] > MAX_COUNT:
        counts[0] = (counts[0] + 1) >> 1
        counts[1] = (counts[1] + 1) >> 1
    return bit


@compiled()
def bit_length(k):  # pragma: no cover, compiled
    """Number of binary digits of k: 0, 1, 2, 2, 3, 3, 3, 3, 4, ..."""
    count = 0
    while k:
        k >>= 1
        count += 1
    return count


@compiled()
def fair_number(number, bits, state, coded):  # pragma: no cover, compiled
    """Code a number of so many bits, the most significant first, and return it."""
    value = 0
    for shift in range(bits - 1, -1, -1):
        value = value << 1 | fair(number >> shift & 1, state, coded)
    return value


@compiled()
def code_magnitude(magnitude, prefixes, state, coded):  # pragma: no cover, compiled
    """Code a magnitude of at least 1, and return it: in unary, and from a length on by an Elias gamma code.

    `prefixes` are the counts of the unary decisions, one context for each.
    """
    value = 1
    while value <= len(prefixes) and adaptive(1 if magnitude > value else 0, prefixes[value - 1], state, coded):
        value += 1
    if value > len(prefixes):
        rest = max(magnitude - len(prefixes), 1)
        length = 0
        while length < 15 and fair(1 if length < bit_length(rest) - 1 else 0, state, coded):
            length += 1
        rest = 1 << length | fair_number(rest, length, state, coded)
        value = len(prefixes) + rest
    return value
