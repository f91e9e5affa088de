"""The bits of an ``.arvq`` file: its header and its packets, as `docs/bitstream.md` describes them.

A packet's bits stand in the order of their weight: the spatial layer (`codec.side_info.analysis`) where the
model was made
with it, then codebook after codebook. So a file at a lower rate is this file with the last codebooks cut out of
every packet, and no network is needed to make it.

The layer costs nothing: the last of the model's codebooks give up as many codes at the end of every packet as it
needs, so that a file with all codebooks has the nominal rate.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from codec.bitstream import range_coder as rangecoder
from codec.side_info.analysis import slots
from codec.side_info.parameter_coding import layer_bytes
from render.common.errors import InputError

MAGIC, VERSION = b"ARVQ", 8
PACKET_FRAMES = 256  # of every packet but the last, which also takes up what would make no whole packet
ABSENT = -1  # code of a codebook that gave way to the spatial layer in a frame
_FIELDS = struct.Struct("<4sBBH8sIHBBBBhQI8s4x")
CRC = struct.Struct("<I")
_LAYERS, _RANGE_CODED = 1, 2
HEADER_BYTES = _FIELDS.size + CRC.size


class CorruptStream(InputError):
    """The bytes are no (intact) ``.arvq`` stream."""


def packet_frame_counts(frames: int) -> list[int]:
    """Frames of every packet of a stream: `PACKET_FRAMES`, the last one has all the rest."""
    packets = max(1, frames // PACKET_FRAMES)
    return [PACKET_FRAMES] * (packets - 1) + [frames - PACKET_FRAMES * (packets - 1)]


@dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes
    ----------
    model : bytes
        First 8 bytes of the SHA-256 of the model file.
    sample_rate_hz, channels, hop, bits_per_code : int
    codebooks, model_codebooks : int
        In this file, and in the model.
    gain_q8_db : int
        Gain in 1/256 dB that was applied before the encoder.
    length : int
        Samples per channel.
    source : int
        CRC-32 of the samples that were encoded, as interleaved little-endian float32.
    layout : str
        "ambiX" for Ambisonics in ACN order with SN3D normalisation, whose order follows from the number of
        channels; the name of a loudspeaker layout (BS.2051: "4+7+0"); "" if nothing is known.
    layers : bool
        Whether the packets begin with the spatial layer.
    range_coded : bool
        Whether the codes went through the adaptive range coder (`codec.bitstream.range_coder`).
    """

    model: bytes
    sample_rate_hz: int
    channels: int
    codebooks: int
    model_codebooks: int
    bits_per_code: int
    hop: int
    gain_q8_db: int
    length: int
    source: int = 0
    layout: str = ""
    layers: bool = True
    range_coded: bool = False

    @property
    def frames(self) -> int:
        """Code frames: the length divided by the hop, rounded up."""
        return -(-self.length // self.hop)

    @property
    def gain(self) -> float:
        """Factor applied to the signal before the encoder."""
        return 10 ** (self.gain_q8_db / 256 / 20)

    @property
    def packets(self) -> int:
        """Number of packets."""
        return max(1, self.frames // PACKET_FRAMES)

    def packet_frames(self, index: int) -> int:
        """Frames of a packet."""
        return PACKET_FRAMES if index < self.packets - 1 else self.frames - PACKET_FRAMES * (self.packets - 1)

    @property
    def packet_frame_counts(self) -> list[int]:
        """Frames of every packet."""
        return packet_frame_counts(self.frames)

    def layer_bytes(self, frames: int) -> int:
        """Bytes of the spatial layer of a packet of so many frames."""
        return layer_bytes(self.channels, slots(frames)[1]) if self.layers else 0

    def absent(self, frames: int) -> int:
        """How many codes at the end of a packet gave way to the layer; the first codebook stays."""
        free = (self.model_codebooks - self.codebooks) * frames  # codes that the model could send beside these
        needed = -(-8 * self.layer_bytes(frames) // self.bits_per_code) - free
        return min((self.codebooks - 1) * frames, max(0, needed))

    def packet_shape(self, frames: int) -> rangecoder.Shape:
        """Numbers of a packet."""
        codes = self.codebooks * frames - self.absent(frames)
        return rangecoder.Shape(8 * self.layer_bytes(frames), self.bits_per_code, codes, frames)

    def packed_bytes(self, frames: int) -> int:
        """Size of a packet's content before range coding."""
        shape = self.packet_shape(frames)
        return -(-(shape.layer_bits + shape.codes * shape.bits_per_code) // 8)

    def packed_offset(self, index: int) -> int:
        """Where a packet of a file without range coding begins; `packets` gives the size of the file."""
        whole = min(index, self.packets - 1)
        offset = HEADER_BYTES + whole * (self.packed_bytes(PACKET_FRAMES) + CRC.size)
        return offset + (self.packed_bytes(self.packet_frames(whole)) + CRC.size if index > whole else 0)

    @property
    def largest_bytes(self) -> int:
        """Size of the file; if it is range-coded, the most that it can have."""
        return self.packed_offset(self.packets) + (self.packets if self.range_coded else 0)

    @property
    def smallest_bytes(self) -> int:
        """Size of the file; if it is range-coded, the least that it can have."""
        if not self.range_coded:
            return self.largest_bytes
        return HEADER_BYTES + self.packets * (1 + CRC.size)

    def pack(self) -> bytes:
        """Return the bytes of the header."""
        flags = _LAYERS * self.layers | _RANGE_CODED * self.range_coded
        order = 255 if self.layout != "ambiX" else math.isqrt(self.channels) - 1 & 255
        fields = _FIELDS.pack(
            MAGIC, VERSION, flags, self.hop, self.model, self.sample_rate_hz, self.channels, self.codebooks,
            self.model_codebooks, self.bits_per_code, order, self.gain_q8_db, self.length, self.source,
            self.layout.encode("ascii"),
        )  # fmt: skip
        return fields + CRC.pack(zlib.crc32(fields))

    def crc(self, index: int, content: bytes) -> int:
        """CRC-32 of a packet, begun with header and number: a packet of another file or place fails."""
        # without the header's own CRC: behind it, the CRC of every header is the same number
        return zlib.crc32(content, zlib.crc32(self.pack()[: _FIELDS.size] + struct.pack("<I", index)))


def parse_header(data: bytes, where: str) -> Header:
    """Read a header; anything impossible raises `CorruptStream` before any memory is asked for."""
    if len(data) < HEADER_BYTES:
        raise CorruptStream(f"{where}: {len(data)} bytes, an .arvq header has {HEADER_BYTES}; the file is cut")
    fields = data[: _FIELDS.size]
    if fields[:4] != MAGIC:
        raise CorruptStream(f"{where}: begins with {fields[:4]!r}, an .arvq file with {MAGIC!r}; wrong file?")
    if fields[4] != VERSION:
        raise CorruptStream(f"{where}: .arvq version {fields[4]}, this program reads {VERSION}")
    if CRC.unpack_from(data, _FIELDS.size)[0] != zlib.crc32(fields):
        raise CorruptStream(f"{where}: header damaged (its CRC at byte {_FIELDS.size} differs)")
    (
        _,
        _,
        flags,
        hop,
        model,
        rate,
        channels,
        codebooks,
        model_codebooks,
        bits,
        order,
        gain,
        length,
        source,
        layout,
    ) = _FIELDS.unpack(fields)
    header = Header(
        model, rate, channels, codebooks, model_codebooks, bits, hop, gain, length, source,
        layout.rstrip(b"\0").decode("ascii", "replace"), bool(flags & _LAYERS), bool(flags & _RANGE_CODED),
    )  # fmt: skip
    possible = (
        hop and rate and 1 <= channels <= 256 and 1 <= codebooks <= model_codebooks <= 64 and 1 <= bits <= 16
        and length and flags < 4 and header.layout.isprintable()
        and (header.layout != "ambiX" or (order + 1) ** 2 == channels)
    )  # fmt: skip
    if not possible or header.pack() != data[:HEADER_BYTES]:
        raise CorruptStream(
            f"{where}: impossible header (hop {hop}, {rate} Hz, {channels} channels, {codebooks} of "
            f"{model_codebooks} codebooks, {bits} bits, order {order}, {length} samples)"
        )
    return header


class Packet(NamedTuple):
    """Content of one packet: codes, and side information (empty where there is none)."""

    codes: Int[ndarray, "codebook frame"]
    layer: bytes = b""


def _to_bits(values: Int[ndarray, ...], width: int) -> ndarray:
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    return (values.reshape(-1, 1).astype(np.uint32) >> shifts & 1).astype(np.uint8).ravel()


def _from_bits(flags: ndarray, width: int) -> Int[ndarray, " number"]:
    return flags.reshape(-1, width) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def pack(packet: Packet, header: Header) -> bytes:
    """Return the bytes of a packet before range coding, without its CRC."""
    codes = packet.codes.ravel()
    codes = codes[: codes.size - header.absent(packet.codes.shape[1])]
    return packet.layer + np.packbits(_to_bits(codes, header.bits_per_code)).tobytes()


def unpack(data: bytes, header: Header, frames: int) -> Packet:
    """Return the packet that `pack` packed."""
    layer, rest = data[: header.layer_bytes(frames)], data[header.layer_bytes(frames) :]
    absent = header.absent(frames)
    count = (header.codebooks * frames - absent) * header.bits_per_code
    codes = _from_bits(np.unpackbits(np.frombuffer(rest, np.uint8))[:count], header.bits_per_code)
    return Packet(np.append(codes, np.full(absent, ABSENT)).reshape(header.codebooks, frames), layer)


def write_packet(packet: Packet, header: Header, index: int) -> bytes:
    """Return everything that the file holds of a packet."""
    content = pack(packet, header)
    if header.range_coded:
        content = rangecoder.compress(content, header.packet_shape(packet.codes.shape[1]))
    return content + CRC.pack(header.crc(index, content))
