"""Hostile Ogg Opus files: each is refused with one clear error, and nothing else happens."""

import io
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listening.opus_codec import ogg, ogg_opus
from listening.opus_codec.codec import OpusSettings, decode, encode
from listening.opus_codec.info import inspect
from render.common.errors import InputError
from render.hoa.scene import Scene

FRAMES = 4000


@pytest.fixture(scope="module")
def small() -> bytes:
    """Return a whole file of a few hundred bytes: 0.08 s of first order at the lowest rate."""
    tone = 0.1 * np.sin(0.06 * np.arange(FRAMES)) * np.ones((4, 1))
    return encode(Scene(tone.astype(np.float32), 48_000), OpusSettings(bitrate_bps=6_000))


@pytest.fixture(scope="module")
def parts(small):
    head, tags, runs = ogg_opus.read(io.BytesIO(small), "file")
    return head, tags, [packet for run in runs for packet in run.packets]


def pages_of(data: bytes) -> list[bytes]:
    pages = []
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        pages.append(data[:size])
        data = data[size:]
    return pages


def sealed(page: bytes) -> bytes:
    """Give a page the checksum that fits it, so that only its content is wrong."""
    blank = page[:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", ogg.crc32(blank)) + page[26:]


def patched(page: bytes, offset: int, new: bytes) -> bytes:
    return sealed(page[:offset] + new + page[offset + len(new) :])


def laid(*packets_of_pages: list[tuple[bytes, int]], serial: int = 7) -> bytes:
    """Lay pages with the given packets and positions; the first and the last are marked so."""
    result, sequence, end = [], 0, len(packets_of_pages) - 1
    for index, packets in enumerate(packets_of_pages):
        flags = (ogg.FIRST if index == 0 else 0) | (ogg.LAST if index == end else 0)
        pages = list(ogg.lay(packets, serial, sequence, flags))
        sequence += len(pages)
        result += pages
    return b"".join(result)


def refused(data: bytes, message: str) -> None:
    for read in (decode, inspect):
        with pytest.raises(InputError, match=message):
            read(data)


def test_the_small_file_is_good(small, parts):
    head, tags, packets = parts
    assert decode(small).length == FRAMES
    assert b"".join(ogg_opus.write(head, tags, packets, FRAMES)) == small
    by_hand = laid(
        [(head.pack(), 0)], [(tags.pack(), 0)], [(packet, 960 * i) for i, packet in enumerate(packets, 1)]
    )
    assert decode(by_hand).length == 960 * len(packets) - head.pre_skip


def test_every_flipped_bit_is_refused(small):
    for bit in range(8 * len(small)):
        damaged = bytearray(small)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(InputError, match=r"byte \d+"):
            inspect(bytes(damaged))


def test_every_truncation_is_refused(small):
    for size in range(len(small)):
        with pytest.raises(InputError, match=r"truncated|empty"):
            inspect(small[:size])


@pytest.mark.parametrize("tail", [b"\0", b"garbage", bytes(1000), b"OggS", b"OggS" + bytes(23)])
def test_garbage_behind_the_end_is_refused(small, tail):
    refused(small + tail, rf"byte {len(small)}: ")


def test_chained_and_multiplexed_files_are_refused_by_name(small):
    refused(small + small, rf"page at byte {len(small)}: a second stream begins; chained files")
    first, *others = pages_of(small)
    other_stream = patched(first, 14, b"abcd")
    refused(first + other_stream + b"".join(others), rf"byte {len(first)}: a second stream begins; multiplexed")
    stray = patched(others[0], 14, b"abcd")
    refused(first + stray + b"".join(others), "belongs to another stream .0x64636261.; multiplexed")


def test_lost_doubled_and_swapped_pages_are_refused(parts):
    head, tags, packets = parts
    whole = [[(packet, 960 * i)] for i, packet in enumerate(packets, 1)]
    pages = pages_of(laid([(head.pack(), 0)], [(tags.pack(), 0)], *whole))
    refused(b"".join(pages[:3] + pages[4:]), "is number 4, not 3; pages are lost")
    refused(b"".join(pages[:4] + pages[3:]), "is number 3, not 4; pages are lost")
    refused(b"".join([*pages[:2], pages[3], pages[2], *pages[4:]]), "is number 3, not 2; pages are lost")
    refused(b"".join(pages[1:]), "first page is missing")
    refused(b"".join(pages[:-1]), "without a last page")
    early_end = patched(pages[3], 5, bytes([ogg.LAST]))
    refused(b"".join([*pages[:3], early_end, *pages[4:]]), "follows the page marked as the last")


def test_packets_without_beginning_or_end_are_refused(parts):
    head, tags, packets = parts
    pages = pages_of(laid([(head.pack(), 0)], [(tags.pack(), 0)], [(packets[0], 960)], [(packets[1], 1920)]))
    refused(b"".join([*pages[:2], patched(pages[2], 5, b"\x01"), pages[3]]), "continues a packet that never began")
    long = bytes(255 * 260)
    two = pages_of(laid([(head.pack(), 0)], [(tags.pack(), 0)], [(long, 960)]))
    refused(b"".join([*two[:3], patched(two[3], 5, bytes([ogg.LAST]))]), "a packet has no end")
    refused(b"".join([*two[:2], patched(two[2], 5, bytes([ogg.LAST]))]), "the last packet has no end")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": 255, "mapping": bytes(4)}, "family 255 is not Ambisonics"),
        ({"family": 1, "mapping": bytes(4)}, "family 1 is not Ambisonics"),
        ({"mapping": bytes(31)}, "demixing matrix of 31 bytes"),
        ({"mapping": bytes(33)}, "demixing matrix of 33 bytes"),
        ({"mapping": b""}, "demixing matrix of 0 bytes"),
        ({"channels": 5}, "5 channels are not Ambisonics"),
        ({"channels": 0}, "0 channels are not Ambisonics"),
        ({"streams": 0, "coupled": 0}, "0 streams"),
        ({"streams": 1}, "2 of them coupled"),
        ({"streams": 200, "coupled": 56}, "are impossible"),
        ({"family": 2, "mapping": bytes([0, 1, 2, 4])}, "not there"),
        ({"streams": 3, "mapping": bytes(40)}, "within stream 1"),
        ({"pre_skip": 5000}, "within its pre-skip of 5000"),
    ],
)
def test_wrong_headers_are_refused(parts, change, message):
    head, tags, packets = parts
    audio = [(packet, min(960 * i, FRAMES + 312)) for i, packet in enumerate(packets, 1)]
    refused(laid([(replace(head, **change).pack(), 0)], [(tags.pack(), 0)], audio), message)


def test_wrong_order_of_headers_is_refused(parts):
    head, tags, packets = parts
    audio = [(packet, 960 * i) for i, packet in enumerate(packets, 1)]
    refused(laid([(tags.pack(), 0)], audio), "not with an Opus header")
    refused(laid([(head.pack(), 0)], audio), "comment header does not stand alone")
    refused(laid([(head.pack(), 0)], [(head.pack(), 0)], audio), "no Opus comment header")
    refused(laid([(head.pack(), 0), (tags.pack(), 0)], audio), "Opus header does not stand alone")
    refused(laid([(head.pack(), 0)], [(tags.pack(), 0), *audio]), "comment header does not stand alone")
    refused(laid([(head.pack(), 0)], [(tags.pack(), 0)]), "without audio")
    refused(laid([(head.pack(), 0)]), "comment header")


@pytest.mark.parametrize(
    "comments",
    [
        b"OpusTags",
        b"OpusTags\xff\xff\xff\xff",
        b"OpusTags\0\0\0\0\xff\xff\xff\xff",
        b"OpusTags\0\0\0\0\x01\0\0\0\xff\xff\xff\x7fabc",
        b"OpusTags\0\0\0\0\x02\0\0\0\0\0\0\0abc",
    ],
)
def test_comments_that_declare_more_than_there_is_are_refused(parts, comments):
    head, _, packets = parts
    audio = [(packet, 960 * i) for i, packet in enumerate(packets, 1)]
    refused(laid([(head.pack(), 0)], [(comments, 0)], audio), "comment")


def with_audio(parts, *pages: list[tuple[bytes, int]]) -> bytes:
    head, tags, _ = parts
    return laid([(head.pack(), 0)], [(tags.pack(), 0)], *pages)


def test_wrong_positions_are_refused(parts):
    _, _, (first, second, *_) = parts
    refused(with_audio(parts, [(first, 961)], [(second, 1921)]), "packets make 960; it is a cut from a longer")
    refused(with_audio(parts, [(first, 959)], [(second, 1920)]), "position 959, but the stream's packets make 960")
    refused(
        with_audio(parts, [(first, 960)], [(second, 1921)]),
        "position 1921, but the stream's packets make 1920",
    )
    refused(with_audio(parts, [(first, 960)], [(second, 959)]), "position 959, but the stream's packets make 1920")
    refused(with_audio(parts, [(first, -1)], [(second, 1920)]), "position -1, but the stream's packets make 960")
    refused(with_audio(parts, [(first, 311)]), "ends at 311, within its pre-skip of 312")
    assert decode(with_audio(parts, [(first, 312)])).length == 0
    refused(with_audio(parts, [(first, -(2**63))]), "position -9223372036854775808")
    refused(with_audio(parts, [(first, 2**63 - 1)]), "position 9223372036854775807")


def test_malformed_packets_are_refused(parts):
    _, _, (first, *_) = parts
    refused(with_audio(parts, [(first, 960), (b"", 960)]), "empty packet")
    for size in range(1, len(first) - 1):
        try:
            samples = inspect(with_audio(parts, [(first[:size], 960)])).length
        except InputError:
            continue
        # Cut within the last stream's frame, whose length only the page knows: shorter, but well formed
        assert samples == 960 - 312
    refused(with_audio(parts, [(b"\xff\x3f" + first, 960)]), "63 frames of 960 samples")


def test_a_page_that_promises_much_costs_nothing(small):
    header = ogg.PAGE_HEADER.pack(b"OggS", 0, ogg.FIRST, 0, 1, 0, 0, 255)
    tracemalloc.start()
    with pytest.raises(InputError, match="truncated"):
        inspect(header + b"\xff" * 255 + b"abc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_under_right_checksums_is_decoded_or_refused(small, data):
    """Behind the checksum libopus and our parsers get arbitrary bytes: nothing but InputError comes out."""
    pages = pages_of(small)
    for _ in range(data.draw(st.integers(1, 3))):
        which = data.draw(st.integers(0, len(pages) - 1))
        offset = data.draw(st.integers(5, len(pages[which]) - 1))
        pages[which] = patched(pages[which], offset, bytes([data.draw(st.integers(0, 255))]))
    try:
        frames = decode(b"".join(pages)).length
    except InputError:
        return
    assert frames <= 120 * 48 * 255
