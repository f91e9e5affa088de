"""The framing of Opus packets, against libopus's own parser."""

import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listening.opus_codec.packet import split

# TOC bytes of every configuration with every frame count code, then arbitrary bytes
packets = st.builds(
    lambda toc, rest: bytes([toc]) + rest, st.integers(0, 255), st.binary(max_size=40)
) | st.binary(max_size=8)


@pytest.fixture(scope="module")
def libopus():
    from listening.opus_codec.libopus import library

    return ctypes.CDLL(library()._name)  # function objects of its own, without declared arguments


def parsed_by_libopus(libopus, packet: bytes) -> tuple[int, tuple[int, ...]] | None:
    """Samples and frame sizes by opus_packet_parse, or None where it refuses."""
    sizes = (ctypes.c_int16 * 48)()
    count = libopus.opus_packet_parse(packet, len(packet), None, None, sizes, None)
    if count < 0:
        return None
    return count * libopus.opus_packet_get_samples_per_frame(packet, 48_000), tuple(sizes[:count])


@settings(max_examples=500, deadline=None)
@given(packets)
@example(b"\x00")
@example(bytes([3, 0x80 | 48]))
@example(bytes([0xFB, 0x40 | 1, 255, 3]) + bytes(300))
@example(bytes([0xFA, 252, 1]) + bytes(300))
def test_frames_equal_those_of_libopus(libopus, packet):
    expected = parsed_by_libopus(libopus, packet)
    if expected is None:
        with pytest.raises(ValueError, match=r"stream 0|empty"):
            split(packet, 1)
    else:
        (part,) = split(packet, 1)
        assert (part.samples, part.frame_bytes) == expected


def self_delimited(frame: bytes, toc: int) -> bytes:
    """RFC 6716 appendix B, one frame: the TOC byte, the frame's size, the frame."""
    size = len(frame)
    coded = bytes([size]) if size < 252 else bytes([252 + (size & 3), (size - 252) >> 2])
    return bytes([toc & ~3]) + coded + frame


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=5), st.integers(0, 31).map(lambda c: c << 3))
def test_streams_are_taken_apart(frames, toc):
    *first, last = frames
    packet = b"".join(self_delimited(frame, toc) for frame in first) + bytes([toc]) + last
    parts = split(packet, len(frames))
    assert [part.frame_bytes for part in parts] == [(len(frame),) for frame in frames]
    for cut in range(0, len(packet) - len(last), 7):
        with pytest.raises(ValueError, match=r"ends within|empty"):
            split(packet[:cut], len(frames))


def test_streams_of_unequal_duration_are_refused():
    packet = self_delimited(b"ab", 31 << 3) + bytes([30 << 3]) + b"cd"  # 20 ms, then 10 ms
    with pytest.raises(ValueError, match=r"unequal duration \[960, 480\]"):
        split(packet, 2)
