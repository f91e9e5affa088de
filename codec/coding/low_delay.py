"""Streams for live use: encoded and decoded as they arrive, in one pass.

Such a stream has packets of 16 frames (0.19 s at 44.1 kHz), and its length and checksum follow after the last one.
A sample leaves the decoder when four packets and 0.1 s have arrived after the beginning of its own
(`delay_samples`): the side information of a packet is known at its end; the encoder of the network looks ahead
into the next packet, the decoder into the one after it, and the restored levels at the end of a packet depend on
those at the beginning of the next one. The bytes are the same for every cut of the signal.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.file import intact_packet
from codec.bitstream.format import (
    HEADER_BYTES,
    MAX_SAMPLE,
    CorruptStream,
    Header,
    Packet,
    packet_bytes,
    parse_header,
    with_trailer,
    write_packet,
)
from codec.bitstream.sizes import LOW_DELAY, Framing
from codec.coding.front_end import front_end_of, usual_coefficient_units
from codec.coding.pipeline import DecoderSettings, decode_packets, encode_packets
from codec.rvqgan.codec import RVQGAN
from codec.side_info import level_restoration
from codec.side_info.klt import MDCT_HOP
from codec.side_info.periodic_offset import REACH
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder
from render.common.errors import InputError

Blocks = Iterable[Float32[ndarray, "channel time"]]


def delay_samples(model: RVQGAN, framing: Framing = LOW_DELAY, coefficient_units: int | None = None) -> int:
    """Samples that must have arrived after a sample of the signal before it leaves the decoder, at most.

    The samples that lie ahead are counted in whole packets, since codes and side information come in packets.
    `coefficient_units` are those of the stream, by default as many as usual: attacks are sought ahead of a packet.
    """
    packet = framing.packet_frames * model.config.hop
    frames = framing.packet_frames
    encoder = StreamEncoder(model, tile_frames=frames).latency_samples - packet  # without the tile that fills up
    decoder = (StreamDecoder(model, tile_frames=frames).latency_frames - frames) * model.config.hop
    units = usual_coefficient_units(model.config) if coefficient_units is None else coefficient_units
    front_end = front_end_of(model.config, framing, units)
    if not front_end.has_side_info:
        return packet * (1 + math.ceil(encoder / packet) + math.ceil(decoder / packet))
    restored = math.ceil(level_restoration.CONTEXT_SAMPLES / packet)
    offset = -(-REACH // model.config.strides[-1]) * model.config.hop
    packets = 1 + math.ceil(encoder / packet) + math.ceil((decoder + offset + MDCT_HOP) / packet) + restored
    return packets * packet + front_end.lookahead_samples


def write_low_delay(file: BinaryIO, model: RVQGAN, header: Header, parts: Blocks, where: str) -> Header:
    """Encode the blocks of a signal and write each packet as soon as it is complete; return the whole header.

    Parameters
    ----------
    file : BinaryIO
    model : RVQGAN
    header : Header
        `codec.coding.pipeline.low_delay_header`.
    parts : iterable of (channel, time)
    where : str
        Name of the signal in error messages.

    Raises
    ------
    InputError
        If there are no samples, or one exceeds `MAX_SAMPLE`.
    """
    length, crc = 0, 0

    def measured() -> Iterator[Float32[ndarray, "channel time"]]:
        nonlocal length, crc
        for part in parts:
            if np.abs(part).max(initial=0) > MAX_SAMPLE:
                raise InputError(f"{where}: exceeds {MAX_SAMPLE:g} relative to full scale; scale it")
            length += part.shape[1]
            crc = zlib.crc32(np.ascontiguousarray(part.T, "<f4").tobytes(), crc)
            yield part

    packets = enumerate(encode_packets(model, header, measured()))
    for index, packet in packets:
        if index == 0:
            file.write(header.pack())
        file.write(write_packet(packet, header, index))
        file.flush()
    if not length:
        raise InputError(f"{where}: no samples")
    whole = replace(header, length=length, source_crc32=crc)
    file.write(whole.trailer())
    file.flush()
    return whole


class LowDelayReader:
    """Packets of a stream of low delay as they arrive.

    Parameters
    ----------
    file : BinaryIO
        Buffered, at its beginning; it need not be seekable.
    where : str
        Name of the stream in error messages.

    Attributes
    ----------
    header : Header
    length : int or None
        Samples per channel; None until the end has arrived.

    Raises
    ------
    CorruptStream
        If the header is damaged or the stream is not one of low delay; when packets are taken, if one is damaged
        or the end is missing.
    """

    def __init__(self, file: BinaryIO, where: str):
        self._file, self._where = file, where
        self.header = parse_header(file.read(HEADER_BYTES), where)
        self.length: int | None = None
        if not self.header.low_delay:
            raise CorruptStream(f"{where}: not a stream of low delay; decode it without --low-delay")

    def __iter__(self) -> Iterator[Packet]:
        size, index = packet_bytes(self.header), 0
        while len(data := self._file.read(size)) == size:
            packet = intact_packet(data, self.header, index)
            if packet is None:
                raise CorruptStream(f"{self._where}: packet {index} is damaged, its CRC differs")
            yield packet
            index += 1
        whole = with_trailer(self.header, data, index)
        if whole is None:
            raise CorruptStream(f"{self._where}: ends after packet {index - 1}, but not as a stream should")
        self.length = whole.length


def decode_low_delay(
    model: RVQGAN, reader: LowDelayReader, settings: DecoderSettings
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Decode a stream of low delay, each block as soon as its packets have arrived."""
    position = 0
    for block in decode_packets(model, reader.header, reader, settings=settings):
        # the end is known before the last packet leaves the decoder
        kept = block if reader.length is None else block[:, : max(0, reader.length - position)]
        position += block.shape[1]
        yield kept
