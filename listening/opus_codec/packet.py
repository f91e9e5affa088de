"""The framing of Opus packets (RFC 6716 §3 and appendix B): what a packet says without being decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_FRAME_BYTES = 1275  # RFC 6716 §3.2.1
MAX_PACKET_SAMPLES = 5760  # 120 ms, RFC 6716 §3.2.5
_PADDING, _VBR = 0x40, 0x80  # flags of the frame count byte, RFC 6716 figure 5


class Configuration(NamedTuple):
    """What the five configuration bits of a TOC byte select (RFC 6716 table 2)."""

    mode: str  # "SILK", "hybrid" or "CELT"
    bandwidth: str  # "NB" 4 kHz, "MB" 6, "WB" 8, "SWB" 12, "FB" 20 kHz
    frame_samples: int  # at 48 kHz


CONFIGURATIONS = (
    *(Configuration("SILK", b, n) for b in ("NB", "MB", "WB") for n in (480, 960, 1920, 2880)),
    *(Configuration("hybrid", b, n) for b in ("SWB", "FB") for n in (480, 960)),
    *(Configuration("CELT", b, n) for b in ("NB", "WB", "SWB", "FB") for n in (120, 240, 480, 960)),
)


@dataclass(frozen=True, slots=True)
class StreamPacket:
    """One stream's part of a packet."""

    configuration: Configuration
    stereo: bool
    frame_bytes: tuple[int, ...]  # 0: a frame left to concealment

    @property
    def samples(self) -> int:
        """Duration at 48 kHz."""
        return self.configuration.frame_samples * len(self.frame_bytes)


def split(packet: bytes, streams: int) -> list[StreamPacket]:
    """Take a packet of several streams apart; all but the last are self-delimited (RFC 7845 §3).

    libopus itself conceals an empty packet and reads some that are too short or too long.

    Raises
    ------
    ValueError
        If the packet is not exactly `streams` well-formed packets of one duration.
    """
    if not packet:
        raise ValueError("empty packet")
    parts, offset = [], 0
    for index in range(streams):
        try:
            part, offset = _stream_packet(packet, offset, self_delimited=index < streams - 1)
        except IndexError:
            raise ValueError(f"packet of {len(packet)} bytes ends within the header of stream {index}") from None
        except ValueError as error:
            raise ValueError(f"{error} in stream {index}") from None
        if offset > len(packet):
            raise ValueError(f"packet of {len(packet)} bytes ends within stream {index}, at {offset} bytes")
        parts.append(part)
    if len({part.samples for part in parts}) > 1:
        raise ValueError(f"streams of unequal duration {[part.samples for part in parts]}")
    return parts


def _stream_packet(packet: bytes, offset: int, self_delimited: bool) -> tuple[StreamPacket, int]:
    """Parse one stream's packet at `offset`; also return where it ends."""
    toc = packet[offset]
    offset += 1
    code = toc & 3
    count, vbr, padding = (1 if code == 0 else 2), code == 2, 0
    if code == 3:
        flags = packet[offset]
        offset += 1
        count, vbr = flags & 0x3F, bool(flags & _VBR)
        more = bool(flags & _PADDING)
        while more:
            more = packet[offset] == 255
            padding += 254 if more else packet[offset]
            offset += 1
    configuration = CONFIGURATIONS[toc >> 3]
    if not 0 < count * configuration.frame_samples <= MAX_PACKET_SAMPLES:
        raise ValueError(f"{count} frames of {configuration.frame_samples} samples (at most 120 ms)")

    # All sizes but the last are coded (VBR) or none is (one frame, CBR); self-delimiting codes one more
    sizes = []
    for _ in range((count - 1 if vbr else 0) + self_delimited):
        size, offset = _size(packet, offset)
        sizes.append(size)
    if not self_delimited:
        left = len(packet) - offset - padding - sum(sizes)
        if not vbr and left % count:
            raise ValueError(f"{left} bytes for {count} frames of equal size")
        sizes.append(left if vbr else left // count)
    if not vbr:
        sizes *= count
    if not all(0 <= size <= MAX_FRAME_BYTES for size in sizes):
        raise ValueError(f"frame of {min(sizes) if min(sizes) < 0 else max(sizes)} bytes (0 to {MAX_FRAME_BYTES})")
    return StreamPacket(configuration, bool(toc & 4), tuple(sizes)), offset + sum(sizes) + padding


def _size(packet: bytes, offset: int) -> tuple[int, int]:
    """Read a frame size of one or two bytes (RFC 6716 §3.2.1); also return the offset after it."""
    first = packet[offset]
    if first < 252:
        return first, offset + 1
    return first + 4 * packet[offset + 1], offset + 2
