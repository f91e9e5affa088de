"""Streams of low delay: the documented bits, sizes and ends."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from codec.bitstream.file import keep_codebooks, read_header, read_intact_packets, read_packets, write_stream
from codec.bitstream.format import CorruptStream, Header, Packet, packet_bytes, parse_header
from codec.bitstream.rates import kbps_of, reachable_kbps

PACKET = 16 * 512  # samples


def make_header(**values):
    defaults = dict(
        model=b"modelsha", sample_rate_hz=44_100, channels=16, codebooks=18, model_codebooks=18, bits_per_code=10,
        hop=512, gain_q8_db=0, length=2 * PACKET + 5, source_crc32=0x01020304, layout="ambiX", has_side_info=True,
        low_delay=True,
    )  # fmt: skip
    return Header(**(defaults | values))


def written(header):
    random = np.random.default_rng(0)
    packets = []
    for _ in range(header.packets):
        codes = random.integers(0, 1024, (header.codebooks, 16))
        codes.reshape(-1)[codes.size - header.absent_codes(16) :] = -1
        packets.append(Packet(codes, random.bytes(header.side_info_bytes(16))))
    file = io.BytesIO()
    size = write_stream(file, header, packets)
    assert size == len(file.getvalue()) == header.max_bytes == header.min_bytes
    return file.getvalue(), packets


def test_length_and_checksum_stand_behind_the_packets():
    """Written down by hand from docs/bitstream.md: zeros in the header, a trailer of 16 bytes."""
    data, _ = written(make_header())
    by_hand = b"ARVQ" + bytes([13, 5]) + (512).to_bytes(2, "little") + b"modelsha" + (44_100).to_bytes(4, "little")
    by_hand += (16).to_bytes(2, "little") + bytes([18, 18, 10, 3]) + bytes(2 + 8 + 4) + b"ambiX\0\0\0" + bytes(4)
    assert data[:56] == by_hand + struct.pack("<I", zlib.crc32(by_hand))
    content = (2 * PACKET + 5).to_bytes(8, "little") + bytes([4, 3, 2, 1])
    crc = zlib.crc32(by_hand + (3).to_bytes(4, "little") + content)
    assert data[-16:] == content + struct.pack("<I", crc)


def test_packets_have_one_size_and_the_codebooks_that_the_model_knows():
    """200 bytes, and as in packets of 256 frames 14.25 of 18 codebooks: 228 codes of 10 bits; a CRC."""
    header = make_header()
    assert header.packet_frame_counts == [16, 16, 16]
    assert header.side_info_bytes(16) == 200
    assert header.absent_codes(16) == 3.75 * 16
    assert packet_bytes(header) == 200 + 285 + 4
    assert kbps_of(replace(header, length=0)) == pytest.approx(489 * 8 / (PACKET / 44_100) / 1000)
    rates = list(reachable_kbps(replace(header, length=0)).values())
    assert rates[14] == rates[17] > rates[13]


def test_what_is_written_is_read_and_can_be_truncated():
    header = make_header()
    data, packets = written(header)
    file = io.BytesIO(data)
    found = read_header(file, "x")
    assert found == header
    for ours, theirs in zip(packets, read_packets(file, found, "x"), strict=True):
        np.testing.assert_array_equal(ours.codes, theirs.codes)
        assert ours.side_info == theirs.side_info
    smaller, kept = keep_codebooks(found, read_packets(file, found, "x"), 4, "x")
    half = io.BytesIO()
    write_stream(half, smaller, kept)
    again = read_header(half, "x") if half.seek(0) == 0 else None
    assert (again.codebooks, again.length) == (4, header.length)


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 480])
def test_an_end_that_is_missing_is_noticed_and_the_rest_is_there_on_request(cut):
    data, packets = written(make_header())
    with pytest.raises(CorruptStream, match="its end is missing or damaged"):
        read_header(io.BytesIO(data[:-cut]), "x")
    file = io.BytesIO(data[:-cut])
    header = read_header(file, "x", allow_damage=True)
    found = list(read_intact_packets(file, header))
    assert len(found) == (3 if cut <= 16 else 2)
    np.testing.assert_array_equal(found[1].codes, packets[1].codes)


def test_a_changed_trailer_is_noticed():
    data, _ = written(make_header())
    for at in (-16, -8, -1):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(CorruptStream, match="its end is missing or damaged"):
            read_header(io.BytesIO(bytes(changed)), "x")


def test_a_stream_without_packets_is_refused():
    data = make_header().pack()
    with pytest.raises(CorruptStream, match="not one packet is there"):
        read_header(io.BytesIO(data), "x", allow_damage=True)


def with_crc(data):
    return data[:52] + struct.pack("<I", zlib.crc32(data[:52]))


def test_impossible_headers_are_refused():
    """A length in the header, range coding, the rate of a recording; flags that do not exist."""
    data = make_header().pack()
    with_length = with_crc(data[:28] + (7).to_bytes(8, "little") + data[36:])
    without_flag = with_crc(data[:5] + bytes([1]) + data[6:])
    range_coded = with_crc(data[:5] + bytes([7]) + data[6:])
    resampled = with_crc(data[:48] + struct.pack("<I", 48_000) + data[52:])
    coefficients_alone = with_crc(data[:5] + bytes([12]) + data[6:])
    assert parse_header(data, "x").low_delay
    for changed in (with_length, without_flag, range_coded, resampled, coefficients_alone):
        with pytest.raises(CorruptStream, match="impossible header"):
            parse_header(changed, "x")
