"""Ogg pages and the Opus headers in them, against published values, a bit-by-bit CRC and a naive demuxer."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listening.opus_codec import ogg
from listening.opus_codec.ogg_opus import OpusHead, OpusTags
from render.common.errors import InputError

# The first page of a file in Pion's tests (github.com/pion/webrtc, pkg/media/oggreader, MIT), by an encoder
# that is not ours: OpusHead, stereo, family 0, checksum 0x1761ee61
PUBLISHED_PAGE = bytes.fromhex(
    "4f67675300020000000000000000 8e9b20aa 00000000 61ee6117 01 13 4f70757348656164 0102000f80bb0000000000"
)

packet_lists = st.lists(
    st.integers(0, 70_000) | st.sampled_from([0, 1, 254, 255, 256, 510, 65_024, 65_025, 65_026]),
    min_size=1,
    max_size=12,
).map(lambda sizes: [bytes([index % 251]) * size for index, size in enumerate(sizes)])


def crc_bit_by_bit(data: bytes) -> int:
    """RFC 3533 §6 read literally: polynomial 0x04c11db7, register from 0, highest bit first."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = register << 1 ^ (0x104C11DB7 if register & 0x80000000 else 0)
    return register


def naive_packets(pages: list[bytes]) -> list[bytes]:
    """Packets by joining all segments of all pages: a segment shorter than 255 bytes ends a packet."""
    packets, current = [], b""
    for page in pages:
        lacing, body = page[27 : 27 + page[26]], page[27 + page[26] :]
        for size in lacing:
            current, body = current + body[:size], body[size:]
            if size < 255:
                packets.append(current)
                current = b""
        assert not body
    assert not current
    return packets


def test_crc_of_the_catalogue():
    # "CRC-32/CKSUM" (POSIX cksum) in the CRC RevEng catalogue differs only in that its output is complemented
    assert ogg.crc32(b"123456789") == 0x765E7680 ^ 0xFFFFFFFF


def test_crc_of_a_published_page():
    blank = PUBLISHED_PAGE[:22] + bytes(4) + PUBLISHED_PAGE[26:]
    assert ogg.crc32(blank) == 0x1761EE61 == struct.unpack_from("<I", PUBLISHED_PAGE, 22)[0]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_crc_equals_the_definition_in_any_parts(data, cut):
    assert ogg.crc32(data[:cut], data[cut:]) == crc_bit_by_bit(data)


def test_published_page_is_laid_byte_for_byte():
    (page,) = ogg.lay([(PUBLISHED_PAGE[28:], 0)], serial=0xAA209B8E, sequence=0, flags=ogg.FIRST)
    assert page == PUBLISHED_PAGE


@settings(max_examples=60, deadline=None)
@given(packet_lists)
def test_packets_survive_the_lacing(packets):
    granules = range(960, 960 * (len(packets) + 1), 960)
    pages = list(ogg.lay(list(zip(packets, granules, strict=True)), 7, 0, ogg.FIRST | ogg.LAST))
    assert naive_packets(pages) == packets
    read = list(ogg.read(io.BytesIO(b"".join(pages)), "file"))
    assert [packet for page in read for packet in page.packets] == packets
    assert [page.offset for page in read] == [sum(map(len, pages[:i])) for i in range(len(pages))]
    done = 0
    for page in read:  # RFC 3533 §6: the position of the last packet that ends here, else -1
        done += len(page.packets)
        assert page.granule == (960 * done if page.packets else -1)
    assert all(page[26] == 255 for page in pages[:-1])


def test_pages_follow_each_other_by_number_and_flags():
    pages = list(ogg.lay([(bytes(200_000), 960)], 7, 5, ogg.FIRST | ogg.LAST))
    assert [page[5] for page in pages] == [ogg.FIRST, 1, 1, 1 | ogg.LAST]
    assert [struct.unpack_from("<I", page, 18)[0] for page in pages] == [5, 6, 7, 8]


HEAD = OpusHead(4, 312, 44_100, -256, 3, 2, 2, bytes(range(32)))


def test_head_by_the_figure_of_rfc_7845():
    assert HEAD.pack() == b"OpusHead" + bytes.fromhex("01 04 3801 44ac0000 00ff 03 02 02") + bytes(range(32))
    assert OpusHead.parse(HEAD.pack()) == HEAD


texts = st.text("aZ=0 é€𝄞\n\0", max_size=300)


@given(texts, st.lists(texts, max_size=5))
def test_tags_survive(vendor, comments):
    tags = OpusTags(vendor, tuple(comments))
    assert OpusTags.parse(tags.pack()) == tags


def test_tags_by_the_figure_of_rfc_7845():
    expected = b"OpusTags" + b"\x03\0\0\0abc" + b"\x02\0\0\0" + b"\x03\0\0\0A=b" + b"\0\0\0\0"
    assert OpusTags("abc", ("A=b", "")).pack() == expected


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"\x01vorbis" + bytes(20), "begins with b'\\\\x01vorbis"),
        (b"OpusHead\x01\x04", "too short"),
        (HEAD.pack()[:8] + b"\x10" + HEAD.pack()[9:], "version 16"),
        (HEAD.pack()[:9] + b"\x05" + HEAD.pack()[10:], "5 channels"),
        (HEAD.pack()[:18] + b"\x00", "family 0 is not Ambisonics"),
        (HEAD.pack()[:18] + b"\x01" + HEAD.pack()[19:], "family 1 is not Ambisonics"),
        (HEAD.pack()[:18] + b"\xff" + HEAD.pack()[19:], "family 255 is not Ambisonics"),
        (HEAD.pack()[:19], "without its channel mapping"),
        (HEAD.pack()[:19] + b"\x00\x00" + HEAD.pack()[21:], "0 streams"),
        (HEAD.pack()[:19] + b"\x01\x02" + HEAD.pack()[21:], "2 of them coupled"),
        (HEAD.pack()[:-1], "demixing matrix of 31 bytes; 4 x 4 channels need 32"),
        (HEAD.pack() + b"\0", "demixing matrix of 33 bytes"),
        (HEAD.pack()[:18] + b"\x02\x04\x00\x00\x01\x02\x04", "not there"),
        (HEAD.pack()[:18] + b"\x02\x04\x00\x00\x01\x02", "channel mapping of 3 bytes"),
    ],
)
def test_impossible_heads_are_refused(packet, message):
    with pytest.raises(ValueError, match=message):
        OpusHead.parse(packet)


def test_a_missing_or_foreign_file_is_named():
    with pytest.raises(InputError, match=r"x.opus: the file is empty"):
        list(ogg.read(io.BytesIO(b""), "x.opus"))
    with pytest.raises(InputError, match=r"x.opus: byte 0: no Ogg file \(found b'RIFF'"):
        list(ogg.read(io.BytesIO(b"RIFF" + bytes(100)), "x.opus"))
