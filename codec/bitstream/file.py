"""Write and read ``.arvq`` files packet by packet: from the beginning, from any packet, or around damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from codec.bitstream import range_coder
from codec.bitstream.format import (
    CRC,
    HEADER_BYTES,
    TRAILER_BYTES,
    CorruptStream,
    Header,
    Packet,
    pack,
    packet_bytes,
    parse_header,
    unpack,
    with_trailer,
    write_packet,
)
from render.common.errors import InputError

MAX_LOSS = 16  # a damaged file is decoded as long as 1/16 of it is there


def write_stream(file: BinaryIO, header: Header, packets: Iterable[Packet]) -> int:
    """Write a header and its packets; return the number of bytes.

    Raises
    ------
    ValueError
        If the packets are not as many, or not as long, as the header says.
    """
    size = file.write(header.pack())
    count = 0
    for index, packet in enumerate(packets):
        if packet.codes.shape != (header.codebooks, header.packet_frames(index)):
            raise ValueError(f"packet {index} has codes of shape {packet.codes.shape}")
        size += file.write(write_packet(packet, header, index))
        count += 1
    if count != header.packets:
        raise ValueError(f"{count} packets were written, the header promises {header.packets}")
    return size + (file.write(header.trailer()) if header.low_delay else 0)


def read_header(file: BinaryIO, where: str, allow_damage: bool = False) -> Header:
    """Read the header and check the size of the file against it.

    Parameters
    ----------
    file : BinaryIO
        Seekable, at its beginning.
    where : str
        Name of the file in error messages.
    allow_damage : bool
        Accept a file of another size if the header is intact and at least 1/`MAX_LOSS` of the bytes are there.
        So work and memory are bounded by the size of the file, not by what its header promises.

    Raises
    ------
    CorruptStream
        If the header is damaged or impossible, or if the file is cut or followed by other bytes.
    """
    header = parse_header(file.read(HEADER_BYTES), where)
    size = file.seek(0, 2)
    if header.low_delay:
        return _completed(file, header, size, where, allow_damage)
    if allow_damage and MAX_LOSS * size < header.min_bytes:
        raise CorruptStream(
            f"{where}: {size} of {header.max_bytes} bytes, less than 1/{MAX_LOSS} of the file is there; "
            "get a whole copy"
        )
    if not allow_damage and not header.min_bytes <= size <= header.max_bytes:
        state = "cut" if size < header.min_bytes else "followed by other bytes"
        raise CorruptStream(f"{where}: {size} bytes, its header says {header.max_bytes}; the file is {state}")
    return header


def _completed(file: BinaryIO, header: Header, size: int, where: str, allow_damage: bool) -> Header:
    """Header of a stream of low delay with what its trailer says, or with a length that fits its size."""
    packets, rest = divmod(size - HEADER_BYTES - TRAILER_BYTES, packet_bytes(header))
    file.seek(max(0, size - TRAILER_BYTES))
    whole = with_trailer(header, file.read(TRAILER_BYTES), packets)
    if whole is not None and rest == 0:
        return whole
    if not allow_damage:
        raise CorruptStream(
            f"{where}: its end is missing or damaged; codec.decode --conceal decodes what is there"
        )
    packets = (size - HEADER_BYTES) // packet_bytes(header)
    if packets < 1:
        raise CorruptStream(f"{where}: {size} bytes, not one packet is there; get a whole copy")
    return replace(header, length=packets * header.framing.packet_frames * header.hop)


def keep_codebooks(
    header: Header, packets: Iterable[Packet], codebooks: int, where: str
) -> tuple[Header, Iterator[Packet]]:
    """Return the same stream with its first `codebooks` codebooks only: what an encoder would have made of them.

    Raises
    ------
    InputError
        If the stream does not have that many codebooks.
    """
    if not 1 <= codebooks <= header.codebooks:
        raise InputError(f"{where}: has {header.codebooks} codebooks, {codebooks} of them cannot be kept")
    smaller = replace(header, codebooks=codebooks)
    return smaller, (packet._replace(codes=packet.codes[:codebooks]) for packet in packets)


def read_packets(file: BinaryIO, header: Header, where: str, first: int = 0) -> Iterator[Packet]:
    """Yield the packets from number `first` on.

    Raises
    ------
    CorruptStream
        At the first damaged packet, with its byte offset; at the end, if other bytes follow.
    """
    offset = _offset(file, header, first)
    for index in range(first, header.packets):
        file.seek(offset)
        found = _packet_at(file.read(_max_packet_bytes(header, index)), header, index)
        if found is None:
            begin_s = header.framing.packet_frames * index * header.hop / header.sample_rate_hz
            raise CorruptStream(
                f"{where}: packet {index} at byte {offset} (from {begin_s:.2f} s) is damaged, its CRC differs; "
                "codec.decode --conceal decodes the rest"
            )
        packet, size = found
        offset += size
        yield packet
    if file.seek(0, 2) != offset + (TRAILER_BYTES if header.low_delay else 0):
        raise CorruptStream(f"{where}: ends at byte {offset} and is followed by other bytes")


def read_intact_packets(file: BinaryIO, header: Header) -> Iterator[Packet | None]:
    """Yield every packet, and None in place of those that are damaged or missing.

    After a damaged packet the next one is searched for byte by byte. Its CRC includes its number, so it is also
    found where bytes were lost or added.
    """
    offset = HEADER_BYTES
    for index in range(header.packets):
        max_bytes = _max_packet_bytes(header, index)
        file.seek(offset)
        found = _packet_at(file.read(max_bytes), header, index)
        if found is not None:
            yield found[0]
            offset += found[1]
            continue
        yield None
        if index + 1 < header.packets:
            offset = _next_packet(file, header, index + 1, offset, max_bytes)


def _packet_at(data: bytes, header: Header, index: int) -> tuple[Packet, int] | None:
    """Packet number `index` at the beginning of `data`, and its size with the CRC; None if it is not intact."""
    frames = header.packet_frames(index)
    packed = header.packed_bytes(frames)
    size = range_coder.stored_size(data, packed) if header.range_coded else packed
    if size is None or len(data) < size + CRC.size:
        return None
    content = data[:size]
    if CRC.unpack_from(data, size)[0] != header.crc(index, content):
        return None
    if header.range_coded:
        content = range_coder.expand(content, packed, header.packet_shape(frames))
    packet = unpack(content, header, frames)
    return (packet, size + CRC.size) if pack(packet, header) == content else None


def intact_packet(data: bytes, header: Header, index: int) -> Packet | None:
    """Packet number `index` at the beginning of `data`; None if it is not intact."""
    found = _packet_at(data, header, index)
    return None if found is None else found[0]


def _max_packet_bytes(header: Header, index: int) -> int:
    return header.packed_bytes(header.packet_frames(index)) + header.range_coded + CRC.size


def _offset(file: BinaryIO, header: Header, index: int) -> int:
    """Byte at which a packet begins; in a range-coded file, the sizes of all packets before it must be read."""
    if not header.range_coded:
        return header.packed_offset(index)
    offset = HEADER_BYTES
    for before in range(index):
        file.seek(offset)
        size = range_coder.stored_size(file.read(4), header.packed_bytes(header.packet_frames(before)))
        offset += (size or 0) + CRC.size
    return offset


def _next_packet(file: BinaryIO, header: Header, index: int, offset: int, damaged_bytes: int) -> int:
    """Offset of an intact packet near the end of a damaged one, or the place where it should have been."""
    file.seek(offset)
    max_bytes = _max_packet_bytes(header, index)
    window = file.read(damaged_bytes + 2 * max_bytes)
    candidates = [damaged_bytes, *range(len(window))]
    return offset + next(
        (c for c in candidates if _packet_at(window[c : c + max_bytes], header, index)), damaged_bytes
    )
