"""Streams: round trips, exact sizes, seeking, and refusal of everything that is not intact."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.file import keep_codebooks, read_header, read_intact_packets, read_packets, write_stream
from codec.bitstream.format import ABSENT, HEADER_BYTES, CorruptStream, Header, Packet, parse_header
from render.common.errors import InputError


def make_header(frames=600, codebooks=18, bits=10, channels=16, **values):
    defaults = dict(
        model=b"modelsha", sample_rate_hz=44_100, channels=channels, codebooks=codebooks,
        model_codebooks=codebooks,
        bits_per_code=bits, hop=512, gain_q8_db=-1234, length=frames * 512 - 17, source_crc32=0xDEADBEEF,
        layout="ambiX" if round(channels**0.5) ** 2 == channels else "", has_side_info=True, range_coded=False,
    )  # fmt: skip
    return Header(**(defaults | values))


def random_packets(header, seed=0):
    random = np.random.default_rng(seed)
    packets = []
    for count in header.packet_frame_counts:
        codes = random.integers(0, 2**header.bits_per_code, (header.codebooks, count))
        if absent := header.absent_codes(count):
            codes.reshape(-1)[-absent:] = ABSENT
        packets.append(Packet(codes, random.bytes(header.side_info_bytes(count))))
    return packets


def stream(seed=0, **values):
    header = make_header(**values)
    packets = random_packets(header, seed)
    file = io.BytesIO()
    assert write_stream(file, header, packets) == len(file.getvalue())
    return header, packets, file.getvalue()


def read_all(data, first=0):
    file = io.BytesIO(data)
    header = read_header(file, "x.arvq")
    return header, list(read_packets(file, header, "x.arvq", first))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 600), st.integers(1, 20), st.integers(1, 16), st.integers(1, 17), st.integers(0, 2**32 - 1),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_round_trip(frames, codebooks, bits, channels, seed, has_side_info, range_coded):
    range_coded = range_coded and frames * codebooks < 3000  # it is slow
    values = dict(frames=frames, codebooks=codebooks, bits=bits, channels=channels)
    header, packets, data = stream(seed, has_side_info=has_side_info, range_coded=range_coded, **values)
    read_back, read_packets_ = read_all(data)
    assert read_back == header
    assert sum(p.codes.shape[1] for p in read_packets_) == frames
    assert all(same(a, b) for a, b in zip(read_packets_, packets, strict=True))
    assert header.min_bytes <= len(data) <= header.max_bytes
    if not range_coded:
        assert len(data) == header.max_bytes


@pytest.mark.parametrize("range_coded", [False, True])
def test_any_packet_can_be_read_first(range_coded):
    header, packets, data = stream(frames=1100, codebooks=2, bits=4, range_coded=range_coded)
    assert header.packet_frame_counts == [256, 256, 256, 332]
    for first in range(4):
        _, found = read_all(data, first)
        assert all(same(a, b) for a, b in zip(found, packets[first:], strict=True))


@pytest.mark.parametrize("has_side_info", [False, True])
def test_ten_seconds_take_the_nominal_rate_and_less_than_one_percent(has_side_info):
    """10 s at 44.1 kHz: 861.33 frames of 180 bits; with the side information not a bit more."""
    _, packets, data = stream(frames=862, length=441_000, has_side_info=has_side_info)
    nominal = 18 * 10 * 441_000 / 512 / 8
    assert nominal <= len(data) < 1.01 * nominal
    assert len(packets) == 3
    given_up = sum(int((p.codes == ABSENT).sum()) for p in packets)
    assert given_up == (2 * 960 + 8 * 300 * 5 // 10 if has_side_info else 0)


def test_every_codebook_less_takes_861_bits_per_second_less():
    sizes = [
        stream(frames=8620, codebooks=n, model_codebooks=18, has_side_info=False)[0].max_bytes for n in (3, 4, 9)
    ]
    step = 10 * 44_100 / 512 * (8620 * 512 / 44_100) / 8
    assert sizes[1] - sizes[0] == pytest.approx(step, abs=40)
    assert sizes[2] - sizes[1] == pytest.approx(5 * step, abs=40)


def test_every_flipped_bit_is_refused():
    for range_coded in (False, True):
        _, _, data = stream(frames=9, codebooks=3, channels=2, range_coded=range_coded)
        for position in range(8 * len(data)):
            broken = bytearray(data)
            broken[position // 8] ^= 1 << position % 8
            with pytest.raises(CorruptStream):
                read_all(bytes(broken))


def test_every_truncation_and_appended_bytes_are_refused():
    for range_coded in (False, True):
        _, _, data = stream(frames=9, codebooks=3, channels=2, range_coded=range_coded)
        for size in range(len(data)):
            with pytest.raises(CorruptStream):
                read_all(data[:size])
        with pytest.raises(CorruptStream, match="followed by other bytes"):
            read_all(data + b"\0" * 3)


def test_packets_of_another_place_or_another_file_are_refused():
    """Everything about them is right but where they stand."""
    values = dict(frames=768, codebooks=1, bits=4, channels=1, has_side_info=False)
    header, _, data = stream(1, **values)
    _, _, other = stream(2, source_crc32=0xCAFE, **values)
    size = header.packed_bytes(256) + 4
    begin, middle = HEADER_BYTES, HEADER_BYTES + size
    swapped = data[:begin] + data[middle : middle + size] + data[begin:middle] + data[middle + size :]
    with pytest.raises(CorruptStream, match=f"packet 0 at byte {begin} "):
        read_all(swapped)
    with pytest.raises(CorruptStream, match=rf"packet 1 at byte {middle} \(from 2\.97 s\)"):
        read_all(data[:middle] + other[middle:])


@pytest.mark.parametrize("range_coded", [False, True])
@pytest.mark.parametrize("damage", ["flip", "lose", "add"])
def test_the_packets_around_damage_are_found(range_coded, damage):
    header, packets, data = stream(frames=1500, codebooks=2, bits=4, channels=2, range_coded=range_coded)
    at = len(data) * 2 // 5
    broken = bytearray(data)
    if damage == "flip":
        broken[at] ^= 0x10
    elif damage == "lose":
        del broken[at : at + 40]
    else:
        broken[at:at] = bytes(range(33))
    file = io.BytesIO(bytes(broken))
    found = list(read_intact_packets(file, read_header(file, "x.arvq", allow_damage=True)))
    missing = [index for index, packet in enumerate(found) if packet is None]
    assert len(missing) == 1
    for index, packet in enumerate(found):
        assert packet is None or same(packet, packets[index])
    assert header.packets == len(found)


def test_padding_bits_and_reserved_bytes_must_be_zero():
    header, _, data = stream(frames=1, codebooks=1, channels=1, has_side_info=False)
    content = bytearray(data[HEADER_BYTES:-4])
    content[-1] |= 1
    with pytest.raises(CorruptStream):
        read_all(data[:HEADER_BYTES] + bytes(content) + struct.pack("<I", header.crc(0, bytes(content))))
    fields = bytearray(header.pack()[:-4])
    fields[-1] = 1
    with pytest.raises(CorruptStream, match="impossible header"):
        parse_header(bytes(fields) + struct.pack("<I", zlib.crc32(fields)), "x.arvq")


def test_a_header_that_promises_terabytes_is_refused_before_anything_is_read():
    for length in (2**60, 2**64 - 1):
        for range_coded in (False, True):
            header = make_header(length=length, range_coded=range_coded)
            with pytest.raises(CorruptStream, match="is cut"):
                read_header(io.BytesIO(header.pack()), "x.arvq")


def test_of_a_damaged_file_a_sixteenth_must_be_there():
    """Otherwise sixty bytes would make readers list or fill packets for years."""
    header, _, data = stream(frames=40 * 256, codebooks=2, bits=4, channels=1)
    for size, enough in ((len(data) // 16 - 1, False), (len(data) // 16 + 1, True)):
        file = io.BytesIO(data[:size])
        if enough:
            found = list(read_intact_packets(file, read_header(file, "x.arvq", allow_damage=True)))
            assert sum(packet is not None for packet in found) == 2
        else:
            with pytest.raises(CorruptStream, match="less than 1/16"):
                read_header(file, "x.arvq", allow_damage=True)
    for range_coded in (False, True):
        endless = replace(header, length=2**64 - 1, range_coded=range_coded).pack()
        with pytest.raises(CorruptStream, match="less than 1/16"):
            read_header(io.BytesIO(endless + bytes(5000)), "x.arvq", allow_damage=True)


def test_keeping_codebooks_makes_the_stream_that_never_had_more():
    header, packets, _ = stream(frames=300, codebooks=4, bits=4, channels=2)
    smaller, kept = keep_codebooks(header, packets, 3, "x.arvq")
    file = io.BytesIO()
    write_stream(file, smaller, kept)
    back, found = read_all(file.getvalue())
    assert back == replace(header, codebooks=3)
    for packet, whole in zip(found, packets, strict=True):
        assert np.array_equal(packet.codes[packet.codes != ABSENT], whole.codes[:3][packet.codes != ABSENT])
        assert packet.side_info == whole.side_info
    for codebooks in (1, 4):
        assert keep_codebooks(header, packets, codebooks, "x.arvq")[0].codebooks == codebooks
    for codebooks in (0, 5):
        with pytest.raises(InputError, match=f"has 4 codebooks, {codebooks} of them cannot be kept"):
            keep_codebooks(header, packets, codebooks, "x.arvq")


def test_packets_that_differ_from_the_header_are_not_written():
    header = make_header(frames=600, codebooks=2, bits=4, channels=1)
    packets = random_packets(header)
    for wrong, message in (
        (packets[:1], "1 packets were written, the header promises 2"),
        (packets[::-1], r"packet 0 has codes of shape \(2, 344\)"),
        ([packet._replace(codes=packet.codes[:1]) for packet in packets], r"shape \(1, 256\)"),
    ):
        with pytest.raises(ValueError, match=message):
            write_stream(io.BytesIO(), header, wrong)


def compressible(frames):
    """A range-coded stream of equal codes: its packets are much smaller than the header allows."""
    header = make_header(frames=frames, codebooks=2, bits=4, channels=1, has_side_info=False, range_coded=True)
    packets = [Packet(np.full((2, count), 7)) for count in header.packet_frame_counts]
    file = io.BytesIO()
    write_stream(file, header, packets)
    return header, packets, file.getvalue()


def test_bytes_after_a_compressed_stream_are_found_though_its_header_leaves_room_for_them():
    _, packets, data = compressible(600)
    assert len(read_all(data)[1]) == len(packets) == 2
    with pytest.raises(CorruptStream, match=f"ends at byte {len(data)} and is followed by other bytes"):
        read_all(data + b"x")
    with pytest.raises(CorruptStream, match=f"ends at byte {len(data)} and is followed by other bytes"):
        read_all(data + b"x", first=1)


def test_a_packet_behind_an_impossible_size_is_said_to_be_damaged():
    """The size of packet 0 has no end: nobody knows where packet 1 begins."""
    header, _, data = compressible(600)
    data = data[:HEADER_BYTES] + b"\xff" * 4 + data[HEADER_BYTES + 4 :]
    with pytest.raises(CorruptStream, match=r"packet 1 at byte 60 \(from 2\.97 s\)"):
        list(read_packets(io.BytesIO(data), header, "x.arvq", first=1))


@pytest.mark.parametrize("change", [b"", b"12345"])
def test_the_last_packet_is_found_where_the_one_before_it_lost_or_gained_bytes(change):
    header, packets, data = stream(frames=600, codebooks=2, bits=4, channels=1)
    data = data[:100] + change + data[103:]
    found = list(read_intact_packets(io.BytesIO(data), header))
    assert found[0] is None
    assert same(found[1], packets[1])


def test_exactly_a_sixteenth_is_enough():
    header = next(h for f in range(600, 700) if (h := make_header(frames=f)).min_bytes % 16 == 0)
    size = header.min_bytes // 16
    assert read_header(io.BytesIO(header.pack().ljust(size, b"\0")), "x", allow_damage=True) == header
    with pytest.raises(CorruptStream, match=f"{size - 1} of {header.max_bytes} bytes, less than 1/16 of"):
        read_header(io.BytesIO(header.pack().ljust(size - 1, b"\0")), "x", allow_damage=True)


def test_a_packet_is_searched_for_as_far_as_two_packets_behind_the_damaged_one():
    """However large the file is: the search reads the room of the damaged packet and of two more."""
    header, _, data = stream(frames=600, codebooks=2, bits=4, channels=1)
    size, last = (header.packed_bytes(count) + 4 for count in header.packet_frame_counts)
    broken = data[:100] + b"\x55" + data[101 : HEADER_BYTES + size]
    for added, found in ((last, True), (last + 1, False)):
        file = io.BytesIO(broken + bytes(added) + data[HEADER_BYTES + size :])
        assert [packet is not None for packet in read_intact_packets(file, header)] == [False, found]
