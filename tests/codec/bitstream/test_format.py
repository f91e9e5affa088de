"""Header and packets: the documented bits, and refusal of impossible headers."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.format import (
    HEADER_BYTES,
    MIN_GAIN_Q8_DB,
    CorruptStream,
    Header,
    Origin,
    Packet,
    pack,
    parse_header,
    unpack,
)


def make_header(frames=600, codebooks=18, bits=10, channels=16, **values):
    defaults = dict(
        model=b"modelsha", sample_rate_hz=44_100, channels=channels, codebooks=codebooks,
        model_codebooks=codebooks,
        bits_per_code=bits, hop=512, gain_q8_db=-1234, length=frames * 512 - 17, source_crc32=0xDEADBEEF,
        layout="ambiX" if round(channels**0.5) ** 2 == channels else "", has_side_info=True, range_coded=False,
    )  # fmt: skip
    return Header(**(defaults | values))


def test_packing_is_the_documented_one():
    """One channel, two frames: 14 bytes of the side information; two 10-bit codes: 80 40 30."""
    side_info = bytes([0x81, *range(1, 14)])
    packet = Packet(np.array([[0b1000000001, 0b0000000011]]), side_info)
    header = make_header(frames=2, codebooks=1, model_codebooks=2, channels=1)
    assert pack(packet, header) == side_info + bytes([0x80, 0x40, 0x30])
    back = unpack(side_info + bytes([0x80, 0x40, 0x30]), header, 2)
    assert back.codes.tolist() == [[0b1000000001, 3]]
    assert back.side_info == side_info


@pytest.mark.parametrize(
    ("channels", "frames", "size"), [(16, 256, 1200), (16, 511, 2100), (16, 1, 300), (4, 256, 148)]
)
def test_the_side_information_has_the_documented_size(channels, frames, size):
    """300 bytes per slot for 16 channels, 37 for 4; for each unit and frame 1/2 more, and 1/32 for an envelope."""
    assert make_header(channels=channels).side_info_bytes(frames) == size
    more = make_header(channels=channels, coefficient_units=31)
    assert more.envelope_bytes(frames) == 31 * frames // 32
    assert more.side_info_bytes(frames) == size + -(-31 * frames // 2) + 31 * frames // 32
    without_w = make_header(channels=channels, coefficient_units=31, layout="")
    assert without_w.side_info_bytes(frames) == size + -(-31 * frames // 2)
    assert make_header(has_side_info=False).side_info_bytes(frames) == 0


def test_the_header_is_the_documented_one():
    """Field by field, written down by hand from docs/bitstream.md."""
    header = make_header(
        frames=862,
        has_side_info=True,
        range_coded=True,
        gain_q8_db=-256,
        source_crc32=0x01020304,
        coefficient_units=16,
    )
    by_hand = (
        b"ARVQ"
        + bytes([13, 3 | 16 << 3])
        + (512).to_bytes(2, "little")
        + b"modelsha"
        + (44_100).to_bytes(4, "little")
    )
    by_hand += (16).to_bytes(2, "little") + bytes([18, 18, 10, 3]) + b"\x00\xff"
    by_hand += (862 * 512 - 17).to_bytes(8, "little") + bytes([4, 3, 2, 1]) + b"ambiX\0\0\0" + bytes(4)
    assert header.pack() == by_hand + struct.pack("<I", zlib.crc32(by_hand))
    assert len(header.pack()) == HEADER_BYTES == 56


@pytest.mark.parametrize(
    "values",
    [
        dict(hop=0), dict(channels=0), dict(channels=257, layout=""), dict(codebooks=0), dict(bits_per_code=0),
        dict(bits_per_code=17), dict(codebooks=19, model_codebooks=18), dict(sample_rate_hz=0), dict(length=0),
        dict(model_codebooks=65),
        dict(channels=15, layout="ambiX"), dict(layout="\x1b[31mX"), dict(layout="4+7\n"), dict(layout="a\0b"),
        dict(gain_q8_db=-64 * 256 - 1), dict(gain_q8_db=-32768), dict(has_side_info=False, coefficient_units=1),
    ],
)  # fmt: skip
def test_impossible_headers_are_refused(values):
    data = replace(make_header(), **values).pack()
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(data, "x.arvq")


@pytest.mark.parametrize("layout", [b"\xff\xfe", b"4+7+0\x80", b"\xc3\xa9", b"ambiX\xff", b"\xff" * 8])
def test_a_layout_that_is_no_ascii_is_an_impossible_header(layout):
    """With the right CRC: no field but the layout tells."""
    fields = bytearray(make_header().pack()[:-4])
    fields[40:48] = layout.ljust(8, b"\0")
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(bytes(fields) + struct.pack("<I", zlib.crc32(fields)), "x.arvq")


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(CorruptStream):
        parse_header(data, "x.arvq")


def test_messages_name_the_file_and_what_is_wrong():
    with pytest.raises(CorruptStream, match=r"x\.arvq: begins with b'RIFF'"):
        parse_header(b"RIFF" + bytes(60), "x.arvq")
    newer = b"ARVQ" + bytes([14]) + bytes(60)
    with pytest.raises(CorruptStream, match="version 14, this program reads 13"):
        parse_header(newer, "x.arvq")


def test_every_field_is_read_at_its_limits_and_refused_beyond():
    """The table of docs/bitstream.md: what the smallest and the largest values are."""
    for field, valid, invalid in (
        ("channels", (1, 256), (0, 257)),
        ("codebooks", (1, 64), (0,)),
        ("bits_per_code", (1, 16), (0, 17)),
        ("hop", (1, 65_535), (0,)),
        ("sample_rate_hz", (1, 2**32 - 1), (0,)),
        ("length", (1, 2**64 - 1), (0,)),
        ("gain_q8_db", (MIN_GAIN_Q8_DB, 2**15 - 1), (MIN_GAIN_Q8_DB - 1, -(2**15))),
    ):
        for value in (*valid, *invalid):
            header = make_header(model_codebooks=64, layout="", has_side_info=False, **{field: value})
            if value in valid:
                assert parse_header(header.pack(), "x.arvq") == header
            else:
                with pytest.raises(CorruptStream, match="impossible header"):
                    parse_header(header.pack(), "x.arvq")
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(make_header(codebooks=18, model_codebooks=17).pack(), "x.arvq")
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(make_header(codebooks=18, model_codebooks=65).pack(), "x.arvq")


def sealed(header, offset, value):
    """The bytes of a header with one byte changed, and the CRC that fits."""
    data = bytearray(header.pack())
    data[offset] = value
    data[-4:] = struct.pack("<I", zlib.crc32(data[:-4]))
    return bytes(data)


@pytest.mark.parametrize(
    ("offset", "value"), [(5, 4), (5, 0x80), (25, 2), (25, 4), (25, 255), (48, 1), (51, 0x60), (47, 65)]
)
def test_flags_orders_and_reserved_bytes_are_those_of_the_document(offset, value):
    """With a right CRC: unknown flags, an order that 16 channels do not have, a byte that must be 0."""
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(sealed(make_header(), offset, value), "x.arvq")


def test_the_gain_is_in_256ths_of_a_decibel():
    assert make_header(gain_q8_db=256 * 20).gain == pytest.approx(10)
    assert make_header(gain_q8_db=-256 * 6).gain == pytest.approx(10 ** (-6 / 20))


@pytest.mark.parametrize(
    ("frames", "counts"), [(1, [1]), (256, [256]), (511, [511]), (512, [256, 256]), (1000, [256, 256, 488])]
)
def test_packets_have_the_documented_numbers_of_frames(frames, counts):
    header = make_header(length=frames * 512, has_side_info=False)
    assert header.packet_frame_counts == counts
    assert header.packets == len(counts)
    assert [header.packet_frames(index) for index in range(len(counts))] == counts
    sizes = [-(-18 * n * 10 // 8) + 4 for n in counts]
    assert [header.packed_offset(i) for i in range(len(counts) + 1)] == [
        56 + sum(sizes[:i]) for i in range(len(counts) + 1)
    ]
    assert header.max_bytes == header.min_bytes == 56 + sum(sizes)
    coded = make_header(length=frames * 512, has_side_info=False, range_coded=True)
    assert (coded.min_bytes, coded.max_bytes) == (56 + 5 * len(counts), 56 + sum(sizes) + len(counts))


def test_the_origin_is_read_where_the_document_says():
    """48 kHz, 3 samples less, order 4: written here by the table's words alone."""
    data = make_header(origin=Origin(48_000, 3, 4)).pack()
    assert data[4] == 13
    assert int.from_bytes(data[48:52], "little") == 48_000 + (3 << 24) + (4 << 29)
    header = parse_header(data, "x.arvq")
    assert header.origin == Origin(48_000, 3, 4)
    assert header.original_length == header.length * 48_000 // 44_100 - 3
    assert make_header().original_length == make_header().length


@pytest.mark.parametrize(
    ("origin", "others"),
    [
        (Origin(44_100), {}),
        (Origin(7_999), {}),
        (Origin(192_001), {}),
        (Origin(0, 1), {}),
        (Origin(0, 0, 3), {}),
        (Origin(0, 0, 4), {"layout": "0+5+0", "channels": 6}),
        (Origin(8_000, 5), {"length": 27}),
    ],
)
def test_impossible_origins_are_refused(origin, others):
    """The stream's own rate, rates out of range, a surplus without a rate, an order that is none, no samples."""
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(make_header(origin=origin, **others).pack(), "x.arvq")
