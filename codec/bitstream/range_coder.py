"""Adaptive range coding of a packet's codes, in integers only: every machine writes and reads the same bytes.

A code is a walk down a binary tree, most significant bit first. Each node of each codebook's tree counts the
zeros and ones that passed it and so predicts the next bit (the estimator of Krichevsky and Trofimov 1981, begun
with larger counts). The counts are reset at each packet, so that a damaged packet does no harm to others. Where
coding gains nothing the packet is stored as it is and takes one byte more.

The interval arithmetic is that of Martin's (1979) range coder. Python's integers have any length, so no carry has
to be propagated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_INITIAL_COUNT = 4  # of zeros and of ones: a fair coin, with the weight of 8 observations
_PROBABILITY_BITS = 15
_FAIR = 1 << (_PROBABILITY_BITS - 1)
_TOP, _BOTTOM = 1 << 32, 1 << 24  # range at the beginning, and below which it is renormalised


class _Tree:
    """Adaptive probabilities of the codes of one codebook."""

    def __init__(self, bits: int):
        self._bits = bits
        self._zeros, self._ones = [_INITIAL_COUNT] * (1 << bits), [_INITIAL_COUNT] * (1 << bits)

    def code(self, decide: Callable[[int], int]) -> int:
        """Walk down to a leaf and return its code; `decide(probability of zero)` gives each bit."""
        node = 1
        for _ in range(self._bits):
            zeros, ones = self._zeros[node], self._ones[node]
            bit = decide((zeros << _PROBABILITY_BITS) // (zeros + ones))
            if bit:
                self._ones[node] = ones + 1
            else:
                self._zeros[node] = zeros + 1
            node = 2 * node + bit
        return node - (1 << self._bits)


class _Encoder:
    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _TOP, 4

    def put(self, bit: int, zero: int) -> int:
        bound = (self._range >> _PROBABILITY_BITS) * zero
        if bit:
            self._low += bound
            self._range -= bound
        else:
            self._range = bound
        while self._range < _BOTTOM:
            self._low, self._range, self._bytes = self._low << 8, self._range << 8, self._bytes + 1
        return bit

    def finish(self) -> bytes:
        return shortest_bytes(self._low, self._range, self._bytes)


def shortest_bytes(low: int, width: int, size: int) -> bytes:
    """Shortest bytes inside an interval of numbers of `size` bytes, after which the decoder reads zeros."""
    for dropped in range(4, -1, -1):
        step = 1 << 8 * dropped
        value = -(-low // step) * step
        if value < low + width:
            return value.to_bytes(size, "big").rstrip(b"\0")
    raise AssertionError("the interval is never empty")


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)
        self._range, self._value = _TOP, 0
        for _ in range(4):
            self._value = self._value << 8 | next(self._bytes, 0)

    def get(self, zero: int) -> int:
        bound = (self._range >> _PROBABILITY_BITS) * zero
        bit = int(self._value >= bound)
        if bit:
            self._value -= bound
            self._range -= bound
        else:
            self._range = bound
        while self._range < _BOTTOM:
            self._value, self._range = self._value << 8 | next(self._bytes, 0), self._range << 8
        return bit


class PacketShape(NamedTuple):
    """Layout of the content of a packet: bits of the side information, then codes, then padding to a byte.

    `codes` codes of `bits_per_code` bits follow codebook after codebook; each codebook has `frames` of them, the
    last one perhaps fewer.
    """

    side_info_bits: int
    bits_per_code: int
    codes: int
    frames: int

    def symbols(self, size: int) -> list[int]:
        """Return what follows one another in `size` bytes: the codebook of a code, or -1 for a plain bit."""
        padding = 8 * size - self.side_info_bits - self.codes * self.bits_per_code
        return [-1] * self.side_info_bits + [i // self.frames for i in range(self.codes)] + [-1] * padding

    def trees(self) -> list[_Tree]:
        """Return new trees for a packet, one per codebook."""
        return [_Tree(self.bits_per_code) for _ in range(-(-self.codes // self.frames))]


def _range_coded(content: bytes, shape: PacketShape) -> bytes:
    trees, encoder = shape.trees(), _Encoder()
    bits = iter(np.unpackbits(np.frombuffer(content, np.uint8)).tolist())
    for codebook in shape.symbols(len(content)):
        if codebook < 0:
            encoder.put(next(bits), _FAIR)
        else:
            trees[codebook].code(lambda zero: encoder.put(next(bits), zero))
    return encoder.finish()


def _range_decoded(payload: bytes, size: int, shape: PacketShape) -> bytes:
    trees, decoder = shape.trees(), _Decoder(payload)
    bits: list[int] = []
    for codebook in shape.symbols(size):
        if codebook < 0:
            bits.append(decoder.get(_FAIR))
        else:
            code = trees[codebook].code(decoder.get)
            bits.extend(code >> shift & 1 for shift in range(shape.bits_per_code - 1, -1, -1))
    return np.packbits(np.array(bits, np.uint8)).tobytes()


def _varint(number: int) -> bytes:
    """Encode in LEB128: 7 bits per byte, least significant first; the top bit says that more follow."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def compress(content: bytes, shape: PacketShape) -> bytes:
    """Return the number of bytes saved and the range-coded content, or 0 and the content if none are saved."""
    payload = _range_coded(content, shape)
    saved = max(0, len(content) - len(payload))
    return _varint(saved) + (payload if saved else content)


def stored_size(data: bytes, size: int) -> int | None:
    """Bytes that a compressed packet takes, told from its first four; None if they are impossible.

    `size` is that of its content.
    """
    saved = shift = 0
    for count, byte in enumerate(data[:4], start=1):
        saved |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return count + size - saved if saved <= size else None
    return None


def expand(data: bytes, size: int, shape: PacketShape) -> bytes:
    """Return the `size` bytes of content that were compressed into `data`; the inverse of `compress`."""
    payload = data[next(index for index, byte in enumerate(data, start=1) if byte < 0x80) :]
    return payload if len(payload) == size else _range_decoded(payload, size, shape)
