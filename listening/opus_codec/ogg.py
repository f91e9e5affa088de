"""Ogg pages (RFC 3533): packets in, pages out, and back, for a file that is exactly one logical stream.

The reader is strict: every page's checksum, serial number and sequence number is right, the last page is
there, nothing follows it. It reads page by page and never allocates by a declared size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from render.common.errors import InputError

CONTINUED, FIRST, LAST = 1, 2, 4  # header type flags, RFC 3533 §6
NO_GRANULE = -1  # position of a page on which no packet ends
MAX_SEGMENTS = 255
MAX_PACKET_BYTES = 61_440 * 255  # RFC 7845 §6: 61 440 bytes for each of at most 255 Opus streams
PAGE_HEADER = struct.Struct("<4sBBqIIIB")  # capture, version, flags, granule, serial, sequence, CRC, segments
CRC_OFFSET = 22

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32(*parts: bytes) -> int:
    """Checksum of a page (RFC 3533 §6 field 7): polynomial 0x04c11db7, from 0, most significant bit first.

    zlib's CRC-32 has the same polynomial, but least significant bit first, from -1 and complemented. So
    Ogg's is zlib's of the bit-mirrored bytes, mirrored: a few passes in C instead of a loop in Python.
    """
    register = 0xFFFFFFFF
    for part in parts:
        register = zlib.crc32(part.translate(_MIRRORED), register)
    return int.from_bytes((register ^ 0xFFFFFFFF).to_bytes(4, "little").translate(_MIRRORED), "big")


def lay(packets: list[tuple[bytes, int]], serial: int, sequence: int, flags: int = 0) -> Iterator[bytes]:
    """Lay packets on fresh pages (RFC 3533 §5), as many as their segments need.

    Parameters
    ----------
    packets : list of (packet, granule position at its end)
    serial, sequence : int
        Serial number of the stream; number of the first of these pages in it.
    flags : int
        ``FIRST`` marks the first of these pages, ``LAST`` the last.
    """
    segments: list[tuple[int, int]] = []
    for packet, granule in packets:
        full, rest = divmod(len(packet), 255)
        segments += [(255, NO_GRANULE)] * full + [(rest, granule)]
    body, begin = b"".join(packet for packet, _ in packets), 0
    for start in range(0, len(segments), MAX_SEGMENTS):
        part = segments[start : start + MAX_SEGMENTS]
        lacing = bytes(size for size, _ in part)
        granule = max(granule for _, granule in part)  # they rise: that of the last packet that ends here
        kind = CONTINUED if start and segments[start - 1][0] == 255 else 0
        kind |= flags & FIRST if start == 0 else 0
        kind |= flags & LAST if start + MAX_SEGMENTS >= len(segments) else 0
        yield _packed(kind, granule, serial, sequence, lacing, body[begin : begin + sum(lacing)])
        begin += sum(lacing)
        sequence += 1


def _packed(flags: int, granule: int, serial: int, sequence: int, lacing: bytes, body: bytes) -> bytes:
    header = PAGE_HEADER.pack(b"OggS", 0, flags, granule, serial, sequence, 0, len(lacing))
    checksum = crc32(header, lacing, body).to_bytes(4, "little")
    return b"".join((header[:CRC_OFFSET], checksum, header[CRC_OFFSET + 4 :], lacing, body))


@dataclass(frozen=True)
class Page:
    """A page of the one stream, and the packets that end on it.

    Attributes
    ----------
    offset : int
        Of its first byte in the file.
    granule : int
        Granule position; ``NO_GRANULE`` where no packet ends.
    last : bool
    packets : tuple of bytes
    goes_on : bool
        Whether a further packet begins here and ends on a later page.
    """

    offset: int
    granule: int
    last: bool
    packets: tuple[bytes, ...]
    goes_on: bool


def read(file: BinaryIO, where: str) -> Iterator[Page]:
    """Read the pages of a file that is one logical stream; one page is in memory at a time.

    Parameters
    ----------
    file : buffered binary file, at its beginning
    where : str
        Name of the file in messages.

    Raises
    ------
    InputError
        At damage, a lost page, a missing end, and at multiplexed or chained streams; the message names
        `where` and the byte offset. It comes when the reading gets there.
    """
    offset = number = serial = 0
    pending, goes_on, last = bytearray(), False, False
    while header := file.read(PAGE_HEADER.size):
        flags, granule, page_serial, sequence, lacing, body = _page(file, header, offset, where)
        serial = serial if number else page_serial

        def refuse(problem: str, offset=offset) -> InputError:
            return InputError(f"{where}: page at byte {offset}: {problem}")

        if number == 0 and not flags & FIRST:
            raise refuse("the stream's first page is missing")
        if number and flags & FIRST:
            raise refuse(f"a second stream begins; {'chained' if last else 'multiplexed'} files are not read")
        if page_serial != serial:
            raise refuse(f"belongs to another stream ({page_serial:#010x}); multiplexed files are not read")
        if last:
            raise refuse("follows the page marked as the last")
        if sequence != number:
            raise refuse(f"is number {sequence}, not {number}; pages are lost")
        if bool(flags & CONTINUED) != goes_on:
            raise refuse("continues a packet that never began" if flags & CONTINUED else "a packet has no end")

        packets, begin = [], 0
        for size in lacing:
            pending += body[begin : begin + size]
            begin += size
            goes_on = size == 255
            if len(pending) > MAX_PACKET_BYTES:
                raise refuse(f"a packet has more than {MAX_PACKET_BYTES} bytes")
            if not goes_on:
                packets.append(bytes(pending))
                pending.clear()
        last = bool(flags & LAST)
        if last and goes_on:
            raise refuse("the last packet has no end")
        yield Page(offset, granule, last, tuple(packets), goes_on)
        offset += len(header) + len(lacing) + len(body)
        number += 1
    if number == 0:
        raise InputError(f"{where}: the file is empty")
    if not last:
        raise InputError(f"{where}: byte {offset}: the file ends without a last page; it is truncated")


def _page(file: BinaryIO, header: bytes, offset: int, where: str) -> tuple[int, int, int, int, bytes, bytes]:
    """Read the page that begins with `header`: flags, granule, serial, sequence, lacing and body."""
    if header[:4] != b"OggS"[: len(header)]:
        what = "no page begins here, the file is damaged" if offset else "no Ogg file"
        raise InputError(f"{where}: byte {offset}: {what} (found {header[:4]!r} instead of b'OggS')")
    lacing = file.read(header[-1]) if len(header) == PAGE_HEADER.size else b""
    body = file.read(sum(lacing))
    if len(header) < PAGE_HEADER.size or len(lacing) < header[-1] or len(body) < sum(lacing):
        raise InputError(f"{where}: byte {offset}: the file ends within this page; it is truncated")
    _, version, flags, granule, serial, sequence, checksum, _ = PAGE_HEADER.unpack(header)
    if crc32(header[:CRC_OFFSET], bytes(4), header[CRC_OFFSET + 4 :], lacing, body) != checksum:
        raise InputError(f"{where}: page at byte {offset}: its checksum is wrong; the file is damaged")
    if version or flags & ~(CONTINUED | FIRST | LAST):
        raise InputError(f"{where}: page at byte {offset}: unknown Ogg version {version} or flags {flags:#x}")
    return flags, granule, serial, sequence, lacing, body
