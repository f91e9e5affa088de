"""The ``.arvq`` file: a fixed header, then packets of packed codes, each with its own CRC.

All numbers little-endian. Header, 40 bytes:

    0  4  magic "ARVQ"          22  1  codebooks in this file
    4  2  version, 1            23  1  bits per code
    6  2  hop, samples/frame    24  2  gain in 1/256 dB, signed: applied before the encoder
    8  8  model: first bytes    26  2  frames per packet
          of its file's SHA-256 28  8  length in samples per channel
   16  4  sample rate in Hz     36  4  CRC-32 of bytes 0..35
   20  2  channels

A packet holds up to 256 frames. Its bits: the timbre layer (`codec.timbre`: 24 band levels, 7 bits), the
spatial layer (`codec.spatial`: one level per channel, 8 bits, one correlation per pair, 6 bits), then codebook
after codebook (all frames of the first, then of the second, ...) `bits per code` each; every number with its
most significant bit first; zero bits up to a whole byte; then the CRC-32 of the packet's bytes. What matters
most stands first: a packet cut after a codebook is the same packet at a lower rate. The header determines the
exact length of the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from codec import spatial, timbre
from render.errors import InputError

MAGIC, VERSION = b"ARVQ", 1
PACKET_FRAMES = 256
_FIELDS = struct.Struct("<4sHH8sIHBBhHQ")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size


class CorruptStream(InputError):
    """The bytes are no (intact) ``.arvq`` stream."""


@dataclass(frozen=True)
class Header:
    """What the header says; see the module's docstring."""

    model: bytes
    sample_rate_hz: int
    channels: int
    codebooks: int
    bits_per_code: int
    hop: int
    gain_q8_db: int
    length: int

    @property
    def frames(self) -> int:
        """Code frames: the length divided by the hop, rounded up."""
        return -(-self.length // self.hop)

    @property
    def gain(self) -> float:
        """Factor applied to the signal before the encoder."""
        return 10 ** (self.gain_q8_db / 256 / 20)

    def packet_bytes(self, frames: int) -> int:
        """Size of a packet of so many frames, without its CRC."""
        layers = timbre.BITS + spatial.bits(self.channels)
        return -(-(layers + frames * self.codebooks * self.bits_per_code) // 8)

    def packet_frame_counts(self) -> Iterator[int]:
        """Frames of every packet."""
        for start in range(0, self.frames, PACKET_FRAMES):
            yield min(PACKET_FRAMES, self.frames - start)

    @property
    def total_bytes(self) -> int:
        """Exact size of the file."""
        full, rest = divmod(self.frames, PACKET_FRAMES)
        size = HEADER_BYTES + full * (self.packet_bytes(PACKET_FRAMES) + _CRC.size)
        return size + (self.packet_bytes(rest) + _CRC.size if rest else 0)

    def pack(self) -> bytes:
        """Return the 40 bytes of the header."""
        fields = _FIELDS.pack(
            MAGIC, VERSION, self.hop, self.model, self.sample_rate_hz, self.channels, self.codebooks,
            self.bits_per_code, self.gain_q8_db, PACKET_FRAMES, self.length,
        )  # fmt: skip
        return fields + _CRC.pack(zlib.crc32(fields))


def parse_header(data: bytes, where: str) -> Header:
    """Read a header; anything impossible raises `CorruptStream` before any memory is asked for."""
    if len(data) < HEADER_BYTES:
        raise CorruptStream(f"{where}: {len(data)} bytes, an .arvq header has {HEADER_BYTES}; the file is cut")
    fields = data[: _FIELDS.size]
    magic, version, hop, model, rate, channels, codebooks, bits, gain, packet, length = _FIELDS.unpack(fields)
    if magic != MAGIC:
        raise CorruptStream(f"{where}: begins with {magic!r}, an .arvq file with {MAGIC!r}; wrong file?")
    if _CRC.unpack_from(data, _FIELDS.size)[0] != zlib.crc32(fields):
        raise CorruptStream(f"{where}: header damaged (its CRC at byte {_FIELDS.size} differs)")
    if version != VERSION:
        raise CorruptStream(f"{where}: .arvq version {version}, this program reads {VERSION}; update it")
    if not (hop and 1 <= channels <= 256 and codebooks and 1 <= bits <= 16 and packet == PACKET_FRAMES):
        raise CorruptStream(f"{where}: impossible header (hop {hop}, {channels} channels, {bits} bits)")
    return Header(model, rate, channels, codebooks, bits, hop, gain, length)


class Packet(NamedTuple):
    """Content of one packet."""

    codes: Int[ndarray, "codebook frame"]
    spatial: Int[ndarray, " number"]
    timbre: Int[ndarray, " band"]


def _to_bits(values: Int[ndarray, ...], width: int) -> ndarray:
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    return (values.reshape(-1, 1).astype(np.uint32) >> shifts & 1).astype(np.uint8).ravel()


def _from_bits(flags: ndarray, width: int) -> Int[ndarray, " number"]:
    return flags.reshape(-1, width) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def pack(packet: Packet, bits_per_code: int) -> bytes:
    """Return the bytes of a packet, without its CRC."""
    channels = spatial.channels(len(packet.spatial))
    parts = (
        _to_bits(packet.timbre, timbre.LEVEL_BITS),
        _to_bits(packet.spatial[:channels], spatial.LEVEL_BITS),
        _to_bits(packet.spatial[channels:], spatial.CORRELATION_BITS),
        _to_bits(packet.codes, bits_per_code),
    )
    return np.packbits(np.concatenate(parts)).tobytes()


def unpack(data: bytes, header: Header, frames: int) -> Packet:
    """Return the packet that `pack` packed."""
    flags = np.unpackbits(np.frombuffer(data, np.uint8))
    pairs = header.channels * (header.channels - 1) // 2
    fields = (
        (timbre.BANDS, timbre.LEVEL_BITS),
        (header.channels, spatial.LEVEL_BITS),
        (pairs, spatial.CORRELATION_BITS),
        (header.codebooks * frames, header.bits_per_code),
    )
    numbers, position = [], 0
    for count, width in fields:
        numbers.append(_from_bits(flags[position : position + count * width], width))
        position += count * width
    bands, levels, correlations, codes = numbers
    return Packet(codes.reshape(header.codebooks, frames), np.concatenate([levels, correlations]), bands)


def write_stream(file: BinaryIO, header: Header, packets: Iterable[Packet]) -> None:
    """Write header and packets; every packet but the last must hold `PACKET_FRAMES` frames."""
    file.write(header.pack())
    for packet in packets:
        packed = pack(packet, header.bits_per_code)
        file.write(packed + _CRC.pack(zlib.crc32(packed)))
    if file.tell() != header.total_bytes:
        raise RuntimeError(f"wrote {file.tell()} bytes, the header promises {header.total_bytes}")


def read_stream(file: BinaryIO, where: str) -> tuple[Header, Iterator[Packet]]:
    """Read the header, check the exact length, and return an iterator over the packets.

    Raises
    ------
    CorruptStream
        At once for a wrong header or length; while iterating for a damaged packet, with its byte offset.
    """
    header = parse_header(file.read(HEADER_BYTES), where)
    size = file.seek(0, 2)
    if size != header.total_bytes:
        state = "cut" if size < header.total_bytes else "followed by other bytes"
        raise CorruptStream(f"{where}: {size} bytes, its header says {header.total_bytes}; the file is {state}")
    file.seek(HEADER_BYTES)
    return header, _packets(file, header, where)


def _packets(file: BinaryIO, header: Header, where: str) -> Iterator[Packet]:
    for frames in header.packet_frame_counts():
        offset = file.tell()
        packed = file.read(header.packet_bytes(frames))
        if _CRC.unpack(file.read(_CRC.size))[0] != zlib.crc32(packed):
            raise CorruptStream(f"{where}: packet at byte {offset} is damaged (its CRC differs)")
        packet = unpack(packed, header, frames)
        if pack(packet, header.bits_per_code) != packed:
            raise CorruptStream(f"{where}: packet at byte {offset} has padding bits that are not 0")
        yield packet
