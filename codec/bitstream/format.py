"""The bits of an ``.arvq`` file: its header and its packets, as `docs/bitstream.md` describes them.

The bits of a packet are ordered by importance: first the side information, if the model was made with it, then
codebook after codebook. A file at a lower rate is therefore this file with the last codebooks cut out of every
packet, and no network is needed to make it.

The side information does not raise the rate: the last of the model's codebooks give up as many codes at the end
of every packet as it takes, so that a file with all codebooks has the nominal rate.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from codec.bitstream import range_coder
from codec.bitstream.sizes import (
    LOW_DELAY,
    PACKET_FRAMES,
    STANDARD,
    Framing,
    coefficient_bytes,
    envelope_bytes,
    packet_frame_counts,
    side_info_bytes,
)
from render.common.errors import InputError

MAGIC = b"ARVQ"
VERSION = 13
ABSENT = -1  # in place of a code that gave way to the side information
_FIELDS = struct.Struct("<4sBBH8sIHBBBBhQI8sI")
CRC = struct.Struct("<I")
MAX_SAMPLE = 100.0  # of a signal, relative to full scale: 40 dB above it
MIN_GAIN_Q8_DB = -64 * 256  # of a signal whose rms is `MAX_SAMPLE`, see `codec.coding.pipeline.LEVEL_DBFS`
_ORIGINAL_RATES_HZ = (8_000, 192_000)  # lowest and highest
_SIDE_INFO_FLAG, _RANGE_CODED_FLAG, _LOW_DELAY_FLAG, _UNITS_SHIFT = 1, 2, 4, 3  # the other five bits are a number
HEADER_BYTES = _FIELDS.size + CRC.size
_TRAILER_FIELDS = struct.Struct("<QI")
TRAILER_BYTES = _TRAILER_FIELDS.size + CRC.size


class CorruptStream(InputError):
    """The bytes are not an intact ``.arvq`` stream."""


class Origin(NamedTuple):
    """What the coded signal was made of, where that had another sample rate or a higher order.

    Attributes
    ----------
    sample_rate_hz : int
        Rate of the recording; 0 if it is that of the stream.
    surplus : int
        Samples that the recording has less than the length of the stream, converted to that rate and rounded down.
    order : int
        Ambisonic order of the recording; 0 if it is that of the stream.
    """

    sample_rate_hz: int = 0
    surplus: int = 0
    order: int = 0

    @property
    def word(self) -> int:
        """The three values as 32 bits."""
        return self.sample_rate_hz | self.surplus << 24 | self.order << 29

    @classmethod
    def of_word(cls, word: int) -> Origin:
        """Return the values of a `word`."""
        return cls(word & 0xFFFFFF, word >> 24 & 31, word >> 29)


NO_ORIGIN = Origin()


@dataclass(frozen=True)
class Header:
    """The fields of the header, and the sizes that follow from them.

    Attributes
    ----------
    model : bytes
        First 8 bytes of the SHA-256 of the model file.
    sample_rate_hz, channels : int
    codebooks, model_codebooks : int
        Number of codebooks in this file, and of the model.
    bits_per_code : int
    hop : int
        Samples per frame and channel.
    gain_q8_db : int
        Gain in 1/256 dB that was applied before the encoder, at least `MIN_GAIN_Q8_DB`.
    length : int
        Samples per channel; 0 while a stream of low delay has not ended.
    source_crc32 : int
        CRC-32 of the samples that were encoded, as interleaved little-endian float32.
    layout : str
        "ambiX" for Ambisonics in ACN order with SN3D normalisation, whose order follows from the number of
        channels; the name of a loudspeaker layout (BS.2051: "4+7+0"); "" if nothing is known.
    has_side_info : bool
        Whether each packet begins with side information (`codec.side_info`).
    range_coded : bool
        Whether the packets went through the adaptive range coder (`codec.bitstream.range_coder`).
    origin : Origin
        Rate and order of the recording, where they are others than those of the stream.
    low_delay : bool
        Whether the packets have 16 frames and length and checksum follow after the last one, in a trailer.
    coefficient_units : int
        Size of the attacks and coefficients of a packet (`codec.side_info.coefficient_coding`): so many half bytes
        per frame, 0 to 31; 0 without side information. They follow the levels and correlations and, with the
        layout ambiX, the envelope (`codec.side_info.temporal_envelope`), a sixteenth of that size.
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
    source_crc32: int = 0
    layout: str = ""
    has_side_info: bool = False
    range_coded: bool = False
    origin: Origin = NO_ORIGIN
    low_delay: bool = False
    coefficient_units: int = 0

    @property
    def framing(self) -> Framing:
        """How the stream is divided into packets."""
        return LOW_DELAY if self.low_delay else STANDARD

    @property
    def original_rate_hz(self) -> int:
        """Sample rate of the recording."""
        return self.origin.sample_rate_hz or self.sample_rate_hz

    @property
    def original_length(self) -> int:
        """Samples per channel of the recording."""
        return self.length * self.original_rate_hz // self.sample_rate_hz - self.origin.surplus

    @property
    def frames(self) -> int:
        """Number of frames: the length divided by the hop, rounded up, to whole packets if these are equal."""
        frames = -(-self.length // self.hop)
        whole = self.framing.packet_frames if self.framing.equal_packets else 1
        return -(-frames // whole) * whole

    @property
    def gain(self) -> float:
        """Factor applied to the signal before the encoder."""
        return 10 ** (self.gain_q8_db / 256 / 20)

    @property
    def packets(self) -> int:
        """Number of packets."""
        return max(1, self.frames // self.framing.packet_frames)

    def packet_frames(self, index: int) -> int:
        """Frames of packet number `index`; an answer for any header, without a list of all packets."""
        usual = self.framing.packet_frames
        if self.framing.equal_packets or index < self.packets - 1:
            return usual
        return self.frames - usual * (self.packets - 1)

    @property
    def packet_frame_counts(self) -> list[int]:
        """Frames of every packet."""
        if self.framing.equal_packets:
            return [self.framing.packet_frames] * self.packets
        return packet_frame_counts(self.frames)

    def side_info_bytes(self, frames: int) -> int:
        """Bytes of the side information of a packet of `frames` frames; 0 without side information."""
        if not self.has_side_info:
            return 0
        return self._side_info_bytes(frames, self.framing)

    def _side_info_bytes(self, frames: int, framing: Framing) -> int:
        parameters = side_info_bytes(self.channels, frames, framing)
        return parameters + self.envelope_bytes(frames) + coefficient_bytes(self.coefficient_units, frames)

    def envelope_bytes(self, frames: int) -> int:
        """Bytes of the temporal envelope in the side information of a packet; only Ambisonics have one."""
        return envelope_bytes(self.coefficient_units, frames) if self.layout == "ambiX" else 0

    def absent_codes(self, frames: int) -> int:
        """Codes at the end of a packet that give way to its side information; the first codebook never does.

        In a stream of low delay it is the same share of the codes, since the model knows no others.
        """
        free = (self.model_codebooks - self.codebooks) * frames  # codes of the codebooks that this file leaves out
        side_info_bits = 8 * self.side_info_bytes(frames)
        if self.low_delay and self.has_side_info:
            side_info_bits = 8 * self._side_info_bytes(PACKET_FRAMES, STANDARD) * frames // PACKET_FRAMES
        needed = -(-side_info_bits // self.bits_per_code) - free
        return min((self.codebooks - 1) * frames, max(0, needed))

    def packet_shape(self, frames: int) -> range_coder.PacketShape:
        """Layout of the content of a packet of `frames` frames."""
        codes = self.codebooks * frames - self.absent_codes(frames)
        return range_coder.PacketShape(8 * self.side_info_bytes(frames), self.bits_per_code, codes, frames)

    def packed_bytes(self, frames: int) -> int:
        """Bytes of the content of a packet before range coding."""
        shape = self.packet_shape(frames)
        return -(-(shape.side_info_bits + shape.codes * shape.bits_per_code) // 8)

    def packed_offset(self, index: int) -> int:
        """Byte at which packet number `index` of a file without range coding begins; at `packets`, its size."""
        whole = min(index, self.packets - 1)
        offset = HEADER_BYTES + whole * (self.packed_bytes(self.framing.packet_frames) + CRC.size)
        return offset + (self.packed_bytes(self.packet_frames(whole)) + CRC.size if index > whole else 0)

    @property
    def max_bytes(self) -> int:
        """Largest possible size of the file; without range coding, its size."""
        trailer_bytes = TRAILER_BYTES if self.low_delay else 0
        return self.packed_offset(self.packets) + (self.packets if self.range_coded else 0) + trailer_bytes

    @property
    def min_bytes(self) -> int:
        """Smallest possible size of the file; without range coding, its size."""
        if not self.range_coded:
            return self.max_bytes
        return HEADER_BYTES + self.packets * (1 + CRC.size)

    def pack(self) -> bytes:
        """Return the bytes of the header."""
        flags = _SIDE_INFO_FLAG * self.has_side_info | _RANGE_CODED_FLAG * self.range_coded
        flags |= _LOW_DELAY_FLAG * self.low_delay | self.coefficient_units << _UNITS_SHIFT
        length, source_crc32 = (0, 0) if self.low_delay else (self.length, self.source_crc32)
        order = 255 if self.layout != "ambiX" else math.isqrt(self.channels) - 1 & 255
        fields = _FIELDS.pack(
            MAGIC, VERSION, flags, self.hop, self.model, self.sample_rate_hz, self.channels, self.codebooks,
            self.model_codebooks, self.bits_per_code, order, self.gain_q8_db, length, source_crc32,
            self.layout.encode("ascii"), self.origin.word,
        )  # fmt: skip
        return fields + CRC.pack(zlib.crc32(fields))

    def crc(self, index: int, content: bytes) -> int:
        """CRC-32 of a packet over header, number and content: a packet of another file or place fails."""
        # the header's own CRC is left out: a CRC over data followed by its CRC is the same for all data
        return zlib.crc32(content, zlib.crc32(self.pack()[: _FIELDS.size] + struct.pack("<I", index)))

    def trailer(self) -> bytes:
        """Return what follows the last packet of a stream of low delay: length, checksum of the samples, CRC."""
        content = _TRAILER_FIELDS.pack(self.length, self.source_crc32)
        return content + CRC.pack(self.crc(self.packets, content))


def parse_header(data: bytes, where: str) -> Header:
    """Parse and check the first `HEADER_BYTES` bytes of a file; `where` names it in error messages.

    Raises
    ------
    CorruptStream
        If a field has an impossible value or the CRC differs; nothing has been allocated by then.
    """
    if len(data) < HEADER_BYTES:
        raise CorruptStream(
            f"{where}: has {len(data)} bytes, but an .arvq header takes {HEADER_BYTES}; the file is cut"
        )
    fields = data[: _FIELDS.size]
    if fields[:4] != MAGIC:
        raise CorruptStream(f"{where}: begins with {fields[:4]!r}, an .arvq file with {MAGIC!r}; wrong file?")
    if fields[4] != VERSION:
        raise CorruptStream(
            f"{where}: .arvq version {fields[4]}, this program reads {VERSION}; encode the recording again"
        )
    if CRC.unpack_from(data, _FIELDS.size)[0] != zlib.crc32(fields):
        raise CorruptStream(f"{where}: the header is damaged (its CRC at byte {_FIELDS.size} differs)")
    (
        _, _, flags, hop, model, rate_hz, channels, codebooks, model_codebooks, bits, order, gain, length, source,
        layout, origin_word,
    ) = _FIELDS.unpack(fields)  # fmt: skip
    header = Header(
        model, rate_hz, channels, codebooks, model_codebooks, bits, hop, gain, length, source,
        layout.rstrip(b"\0").decode("latin-1"), bool(flags & _SIDE_INFO_FLAG),
        bool(flags & _RANGE_CODED_FLAG), Origin.of_word(origin_word), bool(flags & _LOW_DELAY_FLAG),
        flags >> _UNITS_SHIFT,
    )  # fmt: skip
    possible = (
        hop and rate_hz and 1 <= channels <= 256 and 1 <= codebooks <= model_codebooks <= 64 and 1 <= bits <= 16
        and bool(length) != header.low_delay and not (header.low_delay and header.range_coded)
        and (not header.coefficient_units or header.has_side_info)
        and gain >= MIN_GAIN_Q8_DB
        and header.layout.isascii() and header.layout.isprintable()
        and (header.layout != "ambiX" or (order + 1) ** 2 == channels)
        and _is_possible_origin(header)
    )  # fmt: skip
    if not possible or header.pack() != data[:HEADER_BYTES]:
        raise CorruptStream(
            f"{where}: impossible header (hop {hop}, {rate_hz} Hz, {channels} channels, {codebooks} of "
            f"{model_codebooks} codebooks, {bits} bits, order {order}, {length} samples)"
        )
    return header


def _is_possible_origin(header: Header) -> bool:
    origin = header.origin
    low, high = _ORIGINAL_RATES_HZ
    if header.low_delay and origin.sample_rate_hz:
        return False  # how long the recording is cannot be known when the header is written
    rates = origin.sample_rate_hz != header.sample_rate_hz and (header.low_delay or header.original_length >= 1)
    rates = rates and (origin.sample_rate_hz == 0 or low <= origin.sample_rate_hz <= high)
    order = origin.order == 0 or (header.layout == "ambiX" and (origin.order + 1) ** 2 > header.channels)
    return rates and order and (origin.sample_rate_hz > 0 or origin.surplus == 0)


def packet_bytes(header: Header) -> int:
    """Size of every packet of a stream of low delay, with its CRC."""
    return header.packed_bytes(header.framing.packet_frames) + CRC.size


def with_trailer(header: Header, data: bytes, packets: int) -> Header | None:
    """Complete the header of a stream of low delay by what follows its packets; None if that is damaged."""
    if len(data) != TRAILER_BYTES:
        return None
    whole = replace(header, length=(values := _TRAILER_FIELDS.unpack_from(data))[0], source_crc32=values[1])
    return whole if whole.length and whole.packets == packets and whole.trailer() == data else None


class Packet(NamedTuple):
    """Content of one packet: its codes, and its side information (empty in a stream without)."""

    codes: Int[ndarray, "codebook frame"]
    side_info: bytes = b""


def pack(packet: Packet, header: Header) -> bytes:
    """Return the content of a packet before range coding, without its CRC."""
    codes = packet.codes.ravel()
    codes = codes[: codes.size - header.absent_codes(packet.codes.shape[1])]
    return packet.side_info + np.packbits(_to_bits(codes, header.bits_per_code)).tobytes()


def unpack(content: bytes, header: Header, frames: int) -> Packet:
    """Return the packet of `frames` frames that `pack` packed; codes that are not there are `ABSENT`."""
    split = header.side_info_bytes(frames)
    absent = header.absent_codes(frames)
    bits = np.unpackbits(np.frombuffer(content[split:], np.uint8))
    codes = _from_bits(bits[: (header.codebooks * frames - absent) * header.bits_per_code], header.bits_per_code)
    codes = np.append(codes, np.full(absent, ABSENT)).reshape(header.codebooks, frames)
    return Packet(codes, content[:split])


def _to_bits(values: Int[ndarray, ...], width: int) -> ndarray:
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    return (values.reshape(-1, 1).astype(np.uint32) >> shifts & 1).astype(np.uint8).ravel()


def _from_bits(bits: ndarray, width: int) -> Int[ndarray, " number"]:
    return bits.reshape(-1, width) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def write_packet(packet: Packet, header: Header, index: int) -> bytes:
    """Return the bytes of packet number `index` in the file: its content, range-coded or not, and its CRC."""
    content = pack(packet, header)
    if header.range_coded:
        content = range_coder.compress(content, header.packet_shape(packet.codes.shape[1]))
    return content + CRC.pack(header.crc(index, content))
