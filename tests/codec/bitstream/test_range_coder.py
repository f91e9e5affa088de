"""The range coder gives back what it got, costs one byte at most, and comes near the entropy."""

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codec.bitstream import range_coder
from codec.bitstream.range_coder import PacketShape, compress, expand, stored_size


def packed(codes, bits, side_info_bits=0, seed=0):
    side_info = np.random.default_rng(seed).integers(0, 2, side_info_bits).astype(np.uint8)
    flags = (codes.reshape(-1, 1) >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8).ravel()
    return np.packbits(np.concatenate([side_info, flags])).tobytes()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6), st.integers(1, 40), st.integers(1, 12), st.integers(0, 50), st.integers(0, 2**32 - 1),
    st.sampled_from(["uniform", "constant", "skewed"]),
)  # fmt: skip
def test_round_trip_and_at_most_one_byte_more(codebooks, frames, bits, side_info_bits, seed, kind):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2**bits, (codebooks, frames))
    if kind == "constant":
        codes[:] = codes[0, 0]
    if kind == "skewed":
        codes = np.minimum(random.geometric(0.4, codes.shape), 2**bits) - 1
    content = packed(codes, bits, side_info_bits, seed)
    shape = PacketShape(side_info_bits, bits, codes.size, frames)
    data = compress(content, shape)
    assert len(data) <= len(content) + 1
    assert stored_size(data + b"what follows", len(content)) == len(data)
    assert expand(data, len(content), shape) == content


def test_it_reaches_the_entropy_of_a_memoryless_source():
    """Codes of 3 bits with probabilities 1/2, 1/4, ...: the entropy of what was drawn, and little more."""
    random = np.random.default_rng(3)
    codes = np.minimum(random.geometric(0.5, (1, 20_000)), 8) - 1
    drawn = np.bincount(codes[0]) / codes.size
    entropy = -(drawn * np.log2(drawn)).sum()
    data = compress(packed(codes, 3), PacketShape(0, 3, 20_000, 20_000))
    assert entropy < 8 * len(data) / 20_000 < 1.02 * entropy


def test_the_bytes_are_those_of_every_machine():
    """Made by this coder on x86-64, Python 3.11; integers only, so the same everywhere."""
    codes = np.minimum(np.random.default_rng(5).geometric(0.1, (3, 100)), 1024) - 1
    digest = hashlib.sha256(compress(packed(codes, 10, 24), PacketShape(24, 10, 300, 100))).hexdigest()
    assert digest == "f906332734a7ec57622c17c1556ee48b745ea64db17d442026f316a1b721574e"


def test_impossible_sizes_are_seen():
    assert stored_size(b"\xff\xff\xff\xff", 100) is None  # a number without an end
    assert stored_size(b"\x65", 100) is None  # 101 bytes saved of 100
    assert stored_size(b"", 100) is None
    assert stored_size(b"\x00", 100) == 101


@pytest.mark.parametrize("payload", [b"\x05", b"\x05" + b"\xff" * 95, b"\x64"])
def test_any_payload_decodes_to_the_size_that_was_promised(payload):
    assert len(expand(payload, 100, PacketShape(7, 10, 79, 27))) == 100


def test_numbers_of_bytes_saved_are_leb128():
    """DWARF Debugging Information Format 4, figure 22: examples of unsigned LEB128."""
    for number, coded in ((2, "02"), (127, "7f"), (128, "8001"), (129, "8101"), (130, "8201"), (12857, "b964")):
        assert range_coder._varint(number).hex() == coded
        assert stored_size(bytes.fromhex(coded), 20_000) == len(coded) // 2 + 20_000 - number


def test_what_does_not_gain_a_byte_is_stored_and_what_gains_one_is_not():
    """Fair bits cost a bit each; codes that are all equal nearly nothing."""
    content = bytes(range(1, 9))
    assert compress(content, PacketShape(64, 1, 0, 1)) == b"\0" + content
    assert len(compress(bytes(16), PacketShape(64, 8, 8, 8))) < 17


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([1 << 14, 1 << 14, 1, 300, 32_000])), max_size=60))
@example([(0, 1 << 14)] + [(1, 1 << 14)] * 23)  # its interval ends where the next first byte begins
@example([(1, 1 << 14)] * 40)
def test_decisions_come_back_from_the_shortest_bytes(decisions):
    def decoded(data):
        decoder = range_coder._Decoder(data)
        return [(decoder.get(zero), zero) for _, zero in decisions]

    encoder = range_coder._Encoder()
    for bit, zero in decisions:
        encoder.put(bit, zero)
    data = encoder.finish()
    assert decoded(data) == decisions
    if data:  # the two shorter numbers that are nearest
        below = int.from_bytes(data[:-1], "big")
        for shorter in (below, below + 1):
            if shorter < 256 ** (len(data) - 1):
                assert decoded(shorter.to_bytes(len(data) - 1, "big")) != decisions
