"""Bytes: round trips, exact sizes, and refusal of everything that is not intact."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import spatial
from codec.bitstream import (
    HEADER_BYTES,
    CorruptStream,
    Header,
    Packet,
    pack,
    parse_header,
    read_stream,
    unpack,
    write_stream,
)


def stream(frames=600, codebooks=18, bits=10, seed=0, length=None, channels=16):
    header = Header(b"modelsha", 44_100, channels, codebooks, bits, 512, -1234, length or frames * 512 - 17)
    random = np.random.default_rng(seed)
    packets = [
        Packet(
            random.integers(0, 2**bits, (codebooks, count)),
            np.concatenate(
                [random.integers(0, 2**8, channels), random.integers(0, 2**6, channels * (channels - 1) // 2)]
            ),
            random.integers(0, 2**7, 24),
        )
        for count in header.packet_frame_counts()
    ]
    file = io.BytesIO()
    write_stream(file, header, packets)
    return header, packets, file.getvalue()


def read_all(data):
    header, packets = read_stream(io.BytesIO(data), "x.arvq")
    return header, list(packets)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 600), st.integers(1, 20), st.integers(1, 16), st.integers(1, 17), st.integers(0, 2**32 - 1))
def test_round_trip(frames, codebooks, bits, channels, seed):
    header, packets, data = stream(frames, codebooks, bits, seed, channels=channels)
    read_header, read_packets = read_all(data)
    assert read_header == header
    assert sum(p.codes.shape[1] for p in read_packets) == frames
    for read, written in zip(read_packets, packets, strict=True):
        assert np.array_equal(read.codes, written.codes)
        assert np.array_equal(read.spatial, written.spatial)
        assert np.array_equal(read.timbre, written.timbre)
    assert len(data) == header.total_bytes


def test_packing_is_the_documented_one():
    """24 band levels of 127: 21 x ff; one channel of level 0x81, no pairs; two 10-bit codes: 80 40 30."""
    packet = Packet(np.array([[0b1000000001, 0b0000000011]]), np.array([0x81]), np.full(24, 127))
    assert pack(packet, 10) == bytes([0xFF] * 21 + [0x81, 0x80, 0x40, 0x30])
    header = Header(b"modelsha", 44_100, 1, 1, 10, 512, 0, 1024)
    back = unpack(bytes([0xFF] * 21 + [0x81, 0x80, 0x40, 0x30]), header, 2)
    assert back.codes.tolist() == [[0b1000000001, 3]]
    assert back.spatial.tolist() == [0x81]
    assert back.timbre.tolist() == [127] * 24


def test_size_is_the_nominal_rate_plus_little():
    """10 s: codes at 15.504 kbit/s, layers of 168 + 848 bits per packet, header and CRCs."""
    header, packets, data = stream(frames=862, length=441_000)
    nominal = (18 * 10 * 862 + 4 * (168 + spatial.bits(16))) / 8
    assert spatial.bits(16) == 16 * 8 + 120 * 6
    assert 0 <= len(data) - nominal <= HEADER_BYTES + 5 * len(packets)
    assert 8 * len(data) / 10 / 1000 < 16
    assert header.frames == 862


def test_every_flipped_bit_is_refused():
    _, _, data = stream(frames=9, codebooks=3, channels=2)
    for position in range(8 * len(data)):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptStream):
            read_all(bytes(broken))


def test_every_truncation_and_appended_bytes_are_refused():
    _, _, data = stream(frames=9, codebooks=3, channels=2)
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
