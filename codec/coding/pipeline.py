"""Encode and decode streams of any length in constant memory, with the same bits however they are cut.

The network runs as a stream (`codec.streaming.stream_codec`); what comes before and after it
(`codec.coding.front_end`) works packet by packet, on a grid that begins with the first sample. So nothing depends
on how the signal arrives or on the number of threads.
"""

from __future__ import annotations

import io
import math
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from codec.bitstream.file import read_header, read_packets, write_stream
from codec.bitstream.format import ABSENT, MAX_SAMPLE, NO_ORIGIN, Header, Origin, Packet
from codec.coding.front_end import FrontEnd, NetworkInput, front_end_of, usual_coefficient_units
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.streaming.rechunk import rechunk
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder
from render.common.errors import InputError
from render.common.memory import return_freed_memory
from render.common.prefetch import prefetched
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

LEVEL_DBFS = -24.0  # rms of channel 0 at the encoder's input, as in training
_MEASURED_BLOCK = 65_536  # samples


class SignalSummary(NamedTuple):
    """What must be known of a signal before it can be encoded.

    Attributes
    ----------
    length : int
        Samples per channel.
    rms : float
        Of channel 0, or half that of the loudest channel if it is more. In Ambisonics it never is; in a feed, a
        silent first loudspeaker must not raise the others beyond the range of the encoder.
    peak : float
        Largest absolute value of all samples.
    crc32 : int
        `Header.source_crc32`.
    """

    length: int
    rms: float
    peak: float
    crc32: int


def summarise(parts: Iterable[Float32[ndarray, "channel time"]]) -> SignalSummary:
    """Measure length, level and checksum of a signal, the same however it is cut."""
    length, energies, peak, crc = 0, np.zeros(1), 0.0, 0
    for block, _, count in rechunk(parts, repeat(_MEASURED_BLOCK)):
        length += count
        energies = energies + [np.square(channel, dtype=np.float64).sum() for channel in block]
        peak = max(peak, float(block.max()), -float(block.min()))
        crc = zlib.crc32(np.ascontiguousarray(block.T, "<f4").tobytes(), crc)
    energy = max(energies[0], energies.max() / 4)
    return SignalSummary(length, math.sqrt(energy / max(length, 1)), peak, crc)


def unchanged(
    parts: Iterable[Float32[ndarray, "channel time"]], summary: SignalSummary, where: str
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Pass on a signal that is read for the second time.

    Raises
    ------
    InputError
        If it is not the signal that was summarised, because the file changed in between.
    """
    length, crc = 0, 0
    for part in parts:
        length += part.shape[1]
        crc = zlib.crc32(np.ascontiguousarray(part.T, "<f4").tobytes(), crc)
        if length > summary.length:
            break
        yield part
    if (length, crc) != (summary.length, summary.crc32):
        raise InputError(f"{where}: changed while it was read; encode it again when it is complete")


def level_gain_q8_db(rms: float) -> int:
    """Gain in 1/256 dB that brings a signal of this rms to `LEVEL_DBFS`; 0 for silence."""
    if rms < 1e-7:
        return 0
    return round(256 * min(127.0, LEVEL_DBFS - 20 * math.log10(rms)))


def check_signal(config: ModelConfig, channels: int, sample_rate_hz: int, length: int, where: str) -> None:
    """Raise `InputError` if a model of this configuration cannot code such a signal; `where` names it."""
    if channels != config.channels:
        raise InputError(f"{where}: {channels} channels, the model codes {config.channels}")
    if sample_rate_hz != config.sample_rate_hz:
        raise InputError(
            f"{where}: {sample_rate_hz} Hz, the model codes {config.sample_rate_hz} Hz; "
            "python -m stimuli.prepare and codec.encode resample"
        )
    if length == 0:
        raise InputError(f"{where}: no samples")


def check_codebooks(config: ModelConfig, codebooks: int | None) -> None:
    """Raise `InputError` if a model of this configuration does not have that many codebooks."""
    if codebooks is not None and not 1 <= codebooks <= config.codebooks:
        raise InputError(f"{codebooks} codebooks; the model has 1 to {config.codebooks}")


def _format_of(config: ModelConfig) -> dict[str, Any]:
    """Fields of the header that follow from the model."""
    return dict(
        sample_rate_hz=config.sample_rate_hz,
        channels=config.channels,
        model_codebooks=config.codebooks,
        bits_per_code=config.bits_per_code,
        hop=config.hop,
        layout=config.signal_layout,
        has_side_info=front_end_of(config).has_side_info,
    )


def check_low_delay(config: ModelConfig, range_coded: bool) -> None:
    """Raise `InputError` if a model of this configuration cannot make a stream of low delay, or not such a one."""
    if range_coded:
        raise InputError("a stream of low delay has packets of one size; leave the range coding out")
    if not front_end_of(config).has_side_info:
        raise InputError(
            "a stream of low delay needs a model with side information, which brings every packet to the level "
            "that the network knows: the level of the whole signal is not known before its end"
        )


def low_delay_header(
    model: RVQGAN,
    digest: bytes,
    codebooks: int | None = None,
    order: int = 0,
    coefficient_units: int | None = None,
) -> Header:
    """Return the header of a stream of low delay, whose length and checksum follow when it ends.

    The gain is 0 dB: the front end brings every packet to one level, and nothing is known of the others.

    Parameters
    ----------
    model, digest, codebooks, coefficient_units
        As in `make_header`.
    order : int
        Ambisonic order of the recording if it is higher than the model's, otherwise 0.
    """
    check_low_delay(model.config, range_coded=False)
    return Header(
        model=digest,
        codebooks=codebooks or model.config.codebooks,
        gain_q8_db=0,
        length=0,
        origin=Origin(order=order),
        low_delay=True,
        coefficient_units=_units(model.config, coefficient_units),
        **_format_of(model.config),
    )


def _units(config: ModelConfig, given: int | None) -> int:
    return usual_coefficient_units(config) if given is None else given


def make_header(
    model: RVQGAN,
    digest: bytes,
    summary: SignalSummary,
    codebooks: int | None = None,
    range_coded: bool = False,
    origin: Origin = NO_ORIGIN,
    coefficient_units: int | None = None,
) -> Header:
    """Return the header of a stream that is to be encoded.

    Parameters
    ----------
    model : RVQGAN
    digest : bytes
        First 8 bytes of the SHA-256 of the model file.
    summary : SignalSummary
    codebooks : int, optional
        Use the first ones only; all by default.
    range_coded : bool
        Compress the packets without loss, `codec.bitstream.range_coder`.
    origin : Origin
        Rate and order of the recording, where the signal was adapted to the model.
    coefficient_units : int, optional
        Size of attacks and coefficients, `Header.coefficient_units`; by default that of the model.

    Raises
    ------
    InputError
        If a sample exceeds `MAX_SAMPLE`.
    """
    config = model.config
    if summary.peak > MAX_SAMPLE:
        raise InputError(
            f"the signal reaches {summary.peak:.3g} relative to full scale, but a stream holds at most "
            f"{MAX_SAMPLE:g}; scale it"
        )
    return Header(
        model=digest,
        codebooks=codebooks or config.codebooks,
        gain_q8_db=level_gain_q8_db(summary.rms),
        length=summary.length,
        source_crc32=summary.crc32,
        range_coded=range_coded,
        origin=origin,
        coefficient_units=_units(config, coefficient_units),
        **_format_of(config),
    )


def check_model(header: Header, model: RVQGAN, digest: bytes, where: str) -> None:
    """Raise `InputError` if a stream was not made by this model; `where` names the stream."""
    if header.model != digest:
        raise InputError(
            f"{where}: coded with the model whose SHA-256 begins with {header.model.hex()}, "
            f"not with this one ({digest.hex()}); give the right one with --model"
        )
    if header != replace(header, **_format_of(model.config)):
        raise InputError(f"{where}: header contradicts its model; the file was tampered with")


def front_end_for(header: Header, config: ModelConfig) -> FrontEnd:
    """Front end of a stream, made with a model of this configuration."""
    return front_end_of(config, header.framing, header.coefficient_units)


def encode_packets(
    model: RVQGAN, header: Header, parts: Iterable[Float32[ndarray, "channel time"]], threads: int | None = None
) -> Iterator[Packet]:
    """Encode the blocks of a signal into packets; `threads` as in `StreamEncoder`.

    A packet is yielded as soon as the blocks that have been taken determine it.
    """
    encoder = StreamEncoder(model, header.codebooks, threads, header.framing.packet_frames)
    side_info: deque[bytes] = deque()
    packets = network_input(model, header, parts)
    if not header.low_delay:  # the next packet is analysed while the network codes this one
        packets = prefetched(packets, depth=1)

    def codes() -> Iterator[Int[ndarray, "codebook frame"]]:
        for packet in packets:
            side_info.append(packet.side_info)
            yield encoder.push(packet.samples)
        yield encoder.finish()

    for block, _, frames in rechunk(codes(), _packet_frame_counts(header)):
        codes_of_packet = block.copy()
        absent = header.absent_codes(frames)
        if absent:
            codes_of_packet.reshape(-1)[-absent:] = ABSENT
        yield Packet(codes_of_packet, side_info.popleft())


def network_input(
    model: RVQGAN, header: Header, parts: Iterable[Float32[ndarray, "channel time"]]
) -> Iterator[NetworkInput]:
    """Yield what the network codes of the blocks of a signal, packet by packet and in whole frames."""
    gain = np.float32(header.gain)
    completed = header.hop * (header.framing.packet_frames if header.framing.equal_packets else 1)

    def scaled() -> Iterator[Float32[ndarray, "channel time"]]:
        length = 0
        for part in parts:
            length += part.shape[1]
            yield part * gain
        yield np.zeros((header.channels, -length % completed), np.float32)

    return front_end_for(header, model.config).forward(scaled(), _packet_frame_counts(header))


def _packet_frame_counts(header: Header, first: int = 0) -> Sequence[int] | repeat[int]:
    """Frames of the packets from number `first` on; without an end where their number is not known."""
    if header.framing.equal_packets:
        return repeat(header.framing.packet_frames)
    return header.packet_frame_counts[first:]


class DecoderSettings(NamedTuple):
    """How the network runs in a decoder; none of it is stored in the stream.

    Attributes
    ----------
    threads : int, optional
        PyTorch's number by default; changes the time, never a bit.
    bf16 : bool
        Convolve in bfloat16: faster on a GPU, less exact.
    """

    threads: int | None = None
    bf16: bool = False


def decode_packets(
    model: RVQGAN,
    header: Header,
    packets: Iterable[Packet],
    first: int = 0,
    settings: DecoderSettings = DecoderSettings(),  # noqa: B008, immutable
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Decode packets into samples, one block for each.

    Parameters
    ----------
    model : RVQGAN
    header : Header
        If its length is 0 (`low_delay_header`), nothing is cut off at the end.
    packets : iterable of Packet
        All from number `first` on.
    first : int
        If it is not 0, the first `FrontEnd.lead_in_packets` only lead the decoder into the state that it would
        have had; the blocks begin after them and have the same bits as when everything is decoded.
    settings : DecoderSettings
    """
    front_end, packet_frames = front_end_for(header, model.config), header.framing.packet_frames
    decoder = StreamDecoder(model, settings.threads, packet_frames, first > 0, settings.bf16)
    side_info: deque[bytes] = deque()

    def decoded() -> Iterator[Float32[ndarray, "channel time"]]:
        owed = decoder.lag_samples if first else 0  # samples of earlier packets, which come out first
        for packet in packets:
            side_info.append(packet.side_info)
            for samples in decoder.pieces(packet.codes):
                skipped = min(owed, samples.shape[1])
                owed -= skipped
                yield samples[:, skipped:]
        return_freed_memory()  # the last packet may be the longest, which finds no room where the others were
        yield from decoder.last_pieces()

    counts = _packet_frame_counts(header, first)
    blocks = front_end.inverse(decoded(), counts, (side_info.popleft() for _ in counts))
    left = header.length - first * packet_frames * header.hop if header.length else sys.maxsize
    dropped = front_end.lead_in_packets if first else 0
    for samples in blocks:
        kept = min(left, samples.shape[1])
        left -= kept
        if dropped:
            dropped -= 1
        else:
            scaled = np.divide(samples[:, :kept], np.float32(header.gain), order="C")
            # limited, since codes and side information need not come from an encoder and may ask for any level
            yield scaled.clip(-MAX_SAMPLE, MAX_SAMPLE, out=scaled)
            del scaled
        del samples  # before the next one takes memory


class OpenStream(NamedTuple):
    """An open ``.arvq`` file, seekable, its header, and its name in error messages."""

    file: BinaryIO
    header: Header
    where: str


def decode_range(
    model: RVQGAN,
    stream: OpenStream,
    start: int,
    stop: int,
    settings: DecoderSettings = DecoderSettings(),  # noqa: B008, immutable
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Decode samples `start` to before `stop`, with the same bits as when everything is decoded."""
    header = stream.header
    lead_in = front_end_for(header, model.config).lead_in_packets
    packet_samples = header.framing.packet_frames * header.hop
    wanted = min(start // packet_samples, header.packets - 1)
    first = max(0, wanted - lead_in)
    position = (first + lead_in if first else 0) * packet_samples
    packets = read_packets(stream.file, header, stream.where, first)
    for block in decode_packets(model, header, packets, first, settings):
        begin, end = max(start - position, 0), min(stop - position, block.shape[1])
        if begin < end:
            yield block[:, begin:end]
        position += block.shape[1]
        del block  # before the next one takes memory
        if position >= stop:
            return


def encode(
    model: RVQGAN, digest: bytes, signal: Scene | Feed, codebooks: int | None = None, range_coded: bool = False
) -> bytes:
    """Encode a scene or a feed into the bytes of an ``.arvq`` file; parameters and errors as in `make_header`."""
    samples = signal.samples
    check_signal(model.config, samples.shape[0], signal.sample_rate_hz, signal.length, "signal")
    check_codebooks(model.config, codebooks)
    header = make_header(model, digest, summarise([samples]), codebooks, range_coded)
    file = io.BytesIO()
    write_stream(file, header, encode_packets(model, header, [samples]))
    return file.getvalue()


def decode(model: RVQGAN, digest: bytes, data: bytes) -> Scene | Feed:
    """Decode the bytes of an ``.arvq`` file of Ambisonics or of a known loudspeaker layout.

    Raises
    ------
    InputError
        If the stream was made by another model.
    CorruptStream
        If it is damaged.
    """
    file = io.BytesIO(data)
    header = read_header(file, "stream")
    check_model(header, model, digest, "stream")
    packets = read_packets(file, header, "stream")
    samples = np.concatenate(list(decode_packets(model, header, packets)), axis=1)
    if header.layout == "ambiX":
        return Scene(samples, header.sample_rate_hz)
    return Feed(samples, header.sample_rate_hz, layout(header.layout))
