"""Adaptive range coding of a packet's codes: integers only, so every machine makes and reads the same bytes.

A code is a walk down a binary tree, its most significant bit first. Each node of each codebook's tree counts the
zeros and ones that passed it and so predicts the next (Krichevsky and Trofimov's estimator with a cautious start).
The counts begin anew with each packet, so that a damaged packet costs no other. Where the coder gains nothing the
packet stays as it is and is one byte longer.

The interval arithmetic is Martin's (1979) range coder; Python's integers have any length, so there is no carry to
propagate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_START = 4  # counts at the beginning: a fair coin, believed a little
_PROBABILITY_BITS = 15
_TOP, _BOTTOM = 1 << 32, 1 << 24


class _Tree:
    """Adaptive probabilities of the codes of one codebook."""

    def __init__(self, bits: int):
        self._bits = bits
        self._zeros, self._ones = [_START] * (1 << bits), [_START] * (1 << bits)

    def code(self, decide) -> int:
        """Walk down; `decide(probability of zero)` gives each bit."""
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


_FAIR = 1 << (_PROBABILITY_BITS - 1)


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
        """Shortest bytes inside the interval; the decoder sees zeros behind them."""
        for dropped in range(4, -1, -1):
            step = 1 << 8 * dropped
            value = -(-self._low // step) * step
            if value < self._low + self._range and value < 1 << 8 * self._bytes:
                return value.to_bytes(self._bytes, "big").rstrip(b"\0")
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


def encoded(decisions: list[tuple[int, int]]) -> bytes:
    """Bytes of binary decisions (bit, probability of zero in 1/2¹⁵), as the decoder above reads them."""
    encoder = _Encoder()
    for bit, zero in decisions:
        encoder.put(bit, zero)
    return encoder.finish()


class Shape(NamedTuple):
    """How the numbers of a packet follow one another: bits of the layers, then codes, then padding."""

    layer_bits: int
    bits_per_code: int
    codes: int
    frames: int  # codes per codebook, but for the last one

    def books(self, size: int) -> list[int]:
        """Return the codebook of every number of a packet of `size` bytes, -1 for a bit of layers or padding."""
        padding = 8 * size - self.layer_bits - self.codes * self.bits_per_code
        return [-1] * self.layer_bits + [i // self.frames for i in range(self.codes)] + [-1] * padding

    def trees(self) -> list[_Tree]:
        """New trees for a packet, one per codebook."""
        return [_Tree(self.bits_per_code) for _ in range(-(-self.codes // self.frames))]


def _range_coded(content: bytes, shape: Shape) -> bytes:
    trees, encoder = shape.trees(), _Encoder()
    following = iter(np.unpackbits(np.frombuffer(content, np.uint8)).tolist())
    for book in shape.books(len(content)):
        if book < 0:
            encoder.put(next(following), _FAIR)
        else:
            trees[book].code(lambda zero: encoder.put(next(following), zero))
    return encoder.finish()


def _range_decoded(payload: bytes, size: int, shape: Shape) -> bytes:
    trees, decoder, flags = shape.trees(), _Decoder(payload), []
    for book in shape.books(size):
        if book < 0:
            flags.append(decoder.get(_FAIR))
        else:
            code = trees[book].code(decoder.get)
            flags.extend(code >> shift & 1 for shift in range(shape.bits_per_code - 1, -1, -1))
    return np.packbits(np.array(flags, np.uint8)).tobytes()


def _varint(number: int) -> bytes:
    """LEB128: 7 bits per byte, least significant first, the top bit says that more follow."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def compress(content: bytes, shape: Shape) -> bytes:
    """Return the number of bytes saved, then the range-coded content; 0 and the content itself if none are."""
    payload = _range_coded(content, shape)
    saved = max(0, len(content) - len(payload))
    return _varint(saved) + (payload if saved else content)


def stored_size(data: bytes, size: int) -> int | None:
    """Bytes that a compressed packet takes, from its first ones; None if they say something impossible."""
    saved = shift = 0
    for count, byte in enumerate(data[:4], start=1):
        saved |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return count + size - saved if saved <= size else None
    return None


def expand(data: bytes, size: int, shape: Shape) -> bytes:
    """Return the `size` bytes that `compress` was given."""
    payload = data[next(index for index, byte in enumerate(data, start=1) if byte < 0x80) :]
    return payload if len(payload) == size else _range_decoded(payload, size, shape)
