"""Bytes: round trips, exact sizes, and refusal of everything that is not intact."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import (
    HEADER_BYTES,
    CorruptStream,
    Header,
    pack_codes,
    parse_header,
    read_stream,
    unpack_codes,
    write_stream,
)


def stream(frames=600, codebooks=18, bits=10, seed=0, length=None):
    header = Header(
        b"modelsha", 44_100, 16, codebooks, bits, 512, -1234, length or frames * 512 - 17, packet_frames=256
    )
    codes = np.random.default_rng(seed).integers(0, 2**bits, (codebooks, frames))
    file = io.BytesIO()
    write_stream(file, header, (codes[:, start : start + 256] for start in range(0, frames, 256)))
    return header, codes, file.getvalue()


def read_all(data):
    header, packets = read_stream(io.BytesIO(data), "x.arvq")
    return header, np.concatenate(list(packets), axis=1)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 600), st.integers(1, 20), st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_round_trip(frames, codebooks, bits, seed):
    header, codes, data = stream(frames, codebooks, bits, seed)
    read_header, read_codes = read_all(data)
    assert read_header == header
    assert np.array_equal(read_codes, codes)
    assert len(data) == header.total_bytes


def test_packing_is_the_documented_one():
    """Two 10-bit codes, most significant bit first: 0b1000000001 0b0000000011 -> 80 40 30."""
    assert pack_codes(np.array([[0b1000000001, 0b0000000011]]), 10) == bytes([0x80, 0x40, 0x30])
    assert unpack_codes(bytes([0x80, 0x40, 0x30]), 1, 2, 10).tolist() == [[0b1000000001, 3]]


def test_size_is_the_nominal_rate_plus_little():
    header, _, data = stream(frames=862, length=441_000)
    nominal = 18 * 10 * 862 / 8
    assert 0 < len(data) - nominal <= HEADER_BYTES + 4 * math.ceil(862 / 256)
    assert 8 * len(data) / 10 / 1000 == pytest.approx(15.56, abs=0.01)  # kbit/s of 10 s
    assert header.frames == 862


def test_every_flipped_bit_is_refused():
    _, _, data = stream(frames=9, codebooks=3)
    for position in range(8 * len(data)):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptStream):
            read_all(bytes(broken))


def test_every_truncation_and_appended_bytes_are_refused():
    _, _, data = stream(frames=9, codebooks=3)
    for size in range(len(data)):
        with pytest.raises(CorruptStream):
            read_all(data[:size])
    with pytest.raises(CorruptStream, match="followed by other bytes"):
        read_all(data + b"\0")


def test_a_header_that_promises_terabytes_is_refused_before_anything_is_read():
    header = Header(b"modelsha", 44_100, 16, 18, 10, 512, 0, 2**60)
    with pytest.raises(CorruptStream, match="is cut"):
        read_stream(io.BytesIO(header.pack()), "x.arvq")


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(CorruptStream):
        parse_header(data, "x.arvq")


def test_messages_name_the_file_and_what_is_wrong():
    with pytest.raises(CorruptStream, match=r"x\.arvq: begins with b'RIFF'"):
        parse_header(b"RIFF" + bytes(60), "x.arvq")
