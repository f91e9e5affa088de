"""Write and read ``.arvq`` files packet by packet: from the beginning, from any packet, or around damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from codec.bitstream import range_coder as rangecoder
from codec.bitstream.format import (
    CRC,
    HEADER_BYTES,
    PACKET_FRAMES,
    CorruptStream,
    Header,
    Packet,
    pack,
    parse_header,
    unpack,
    write_packet,
)

MAX_LOST = 16  # of a damaged file, 15/16 may be missing


def write_stream(file: BinaryIO, header: Header, packets: Iterable[Packet]) -> int:
    """Write header and packets of the sizes that the header foresees; return the number of bytes."""
    size = file.write(header.pack())
    count = 0
    for index, packet in enumerate(packets):
        if packet.codes.shape != (header.codebooks, header.packet_frames(index)):
            raise ValueError(f"packet {index} has codes of shape {packet.codes.shape}")
        size += file.write(write_packet(packet, header, index))
        count += 1
    if count != header.packets:
        raise ValueError(f"{count} packets, the header promises {header.packets}")
    return size


def read_header(file: BinaryIO, where: str, damaged_too: bool = False) -> Header:
    """Read the header and hold the size of the file against it.

    With `damaged_too` only the header must be whole, and 1/`MAX_LOST` of the bytes be there: so work and memory
    are bounded by the file, not by what its header promises.

    Raises
    ------
    CorruptStream
        For a header that is damaged or impossible, and for a file that is cut or followed by other bytes.
    """
    header = parse_header(file.read(HEADER_BYTES), where)
    size = file.seek(0, 2)
    if damaged_too and MAX_LOST * size < header.smallest_bytes:
        raise CorruptStream(
            f"{where}: {size} of {header.largest_bytes} bytes, less than 1/{MAX_LOST} of the file is there; "
            "get a whole copy"
        )
    if not damaged_too and not header.smallest_bytes <= size <= header.largest_bytes:
        state = "cut" if size < header.smallest_bytes else "followed by other bytes"
        raise CorruptStream(f"{where}: {size} bytes, its header says {header.largest_bytes}; the file is {state}")
    return header


def _packet_at(data: bytes, header: Header, index: int) -> tuple[Packet, int] | None:
    """Packet at the beginning of `data` and its size with the CRC; None if there is none that is intact."""
    frames = header.packet_frames(index)
    packed = header.packed_bytes(frames)
    size = rangecoder.stored_size(data, packed) if header.range_coded else packed
    if size is None or len(data) < size + CRC.size:
        return None
    content = data[:size]
    if CRC.unpack_from(data, size)[0] != header.crc(index, content):
        return None
    if header.range_coded:
        content = rangecoder.expand(content, packed, header.packet_shape(frames))
    packet = unpack(content, header, frames)
    return (packet, size + CRC.size) if pack(packet, header) == content else None


def _largest_packet(header: Header, index: int) -> int:
    return header.packed_bytes(header.packet_frames(index)) + header.range_coded + CRC.size


def _offset(file: BinaryIO, header: Header, index: int) -> int:
    """Where a packet begins; in a range-coded file every packet before it says its size."""
    if not header.range_coded:
        return header.packed_offset(index)
    offset = HEADER_BYTES
    for before in range(index):
        file.seek(offset)
        size = rangecoder.stored_size(file.read(4), header.packed_bytes(header.packet_frames(before)))
        offset += (size or 0) + CRC.size
    return offset


def read_packets(file: BinaryIO, header: Header, where: str, first: int = 0) -> Iterator[Packet]:
    """Packets from number `first` on; the first damaged one raises `CorruptStream` with its byte offset."""
    offset = _offset(file, header, first)
    for index in range(first, header.packets):
        file.seek(offset)
        found = _packet_at(file.read(_largest_packet(header, index)), header, index)
        if found is None:
            begin = PACKET_FRAMES * index * header.hop / header.sample_rate_hz
            raise CorruptStream(
                f"{where}: packet {index} at byte {offset} (from {begin:.2f} s) is damaged, its CRC differs; "
                "codec.decode --conceal decodes the rest"
            )
        packet, size = found
        offset += size
        yield packet
    if file.seek(0, 2) != offset:
        raise CorruptStream(f"{where}: ends at byte {offset} and is followed by other bytes")


def read_intact_packets(file: BinaryIO, header: Header) -> Iterator[Packet | None]:
    """Every packet, None for those that are damaged or missing.

    After a damaged packet the next one is looked for byte by byte: its CRC knows the packet's number, so that
    bytes which were lost or added are survived too.
    """
    offset = HEADER_BYTES
    for index in range(header.packets):
        largest = _largest_packet(header, index)
        file.seek(offset)
        found = _packet_at(file.read(largest), header, index)
        if found is not None:
            yield found[0]
            offset += found[1]
            continue
        yield None
        if index + 1 < header.packets:
            offset = _next_packet(file, header, index + 1, offset, largest)


def _next_packet(file: BinaryIO, header: Header, index: int, offset: int, damaged_bytes: int) -> int:
    """Offset of an intact packet near the end of a damaged one, or where it should have been."""
    file.seek(offset)
    following = _largest_packet(header, index)
    window = file.read(damaged_bytes + 2 * following)
    places = [damaged_bytes, *range(len(window))]
    return offset + next(
        (p for p in places if _packet_at(window[p : p + following], header, index)), damaged_bytes
    )
