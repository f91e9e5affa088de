"""Encode and decode streams of any length in constant memory, the same bits for every cut.

The network runs as a stream (`codec.streaming.stream_codec`); the spatial layer
(`codec.side_info.spatial_layer`) works packet by packet, on the
grid that begins with the first sample. So nothing depends on how the signal arrived or on the number of threads.
"""

from __future__ import annotations

import io
import math
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from codec.bitstream.file import read_header, read_packets, write_stream
from codec.bitstream.format import ABSENT, PACKET_FRAMES, Header, Packet
from codec.rvqgan.codec import RVQGAN, contextual_frames
from codec.side_info.analysis import REACH, SLOT_FRAMES
from codec.side_info.klt import HALF
from codec.side_info.spatial_layer import Components, Layer
from codec.streaming.rechunk import rechunk
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder
from render.common.errors import InputError
from render.hoa.layout import layout
from render.hoa.scene import Feed, Scene

LEVEL_DBFS = -24.0  # rms of channel 0 at the encoder's input, as in training
_SURVEY_SAMPLES = 65_536


def _for_ever(length: int) -> Iterator[int]:
    while True:
        yield length


class Survey(NamedTuple):
    """What must be known of a signal before it can be encoded.

    Attributes
    ----------
    length : int
    rms : float
        Of channel 0, or half that of the loudest channel if it is more: in Ambisonics it never is, and in a feed a
        silent first loudspeaker must not lift the others out of the range of the encoder.
    source : int
        CRC-32, see `Header.source`.
    """

    length: int
    rms: float
    source: int


def survey(parts: Iterable[Float32[ndarray, "channel time"]]) -> Survey:
    """Measure a signal, the same for every cut."""
    length, energies, crc = 0, np.zeros(1), 0
    for block, _, count in rechunk(parts, _for_ever(_SURVEY_SAMPLES)):
        length += count
        energies = energies + [np.square(channel, dtype=np.float64).sum() for channel in block]
        crc = zlib.crc32(np.ascontiguousarray(block.T, "<f4").tobytes(), crc)
    energy = max(energies[0], energies.max() / 4)
    return Survey(length, math.sqrt(energy / max(length, 1)), crc)


def surveyed(
    parts: Iterable[Float32[ndarray, "channel time"]], about: Survey, where: str
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Pass a signal on; raise `InputError` if it is not the one that was surveyed: files change."""
    length, crc = 0, 0
    for part in parts:
        length += part.shape[1]
        crc = zlib.crc32(np.ascontiguousarray(part.T, "<f4").tobytes(), crc)
        if length > about.length:
            break
        yield part
    if (length, crc) != (about.length, about.source):
        raise InputError(f"{where}: changed while it was read; encode it again when it is complete")


def level_gain_q8_db(rms: float) -> int:
    """Gain in 1/256 dB that brings a signal of this rms to `LEVEL_DBFS`; 0 for silence."""
    if rms < 1e-7:
        return 0
    gain_db = LEVEL_DBFS - 20 * math.log10(rms)
    if gain_db < -127:
        raise InputError(
            f"the signal's rms is {rms:.2g}, full scale being 1: louder than streams can say; scale it"
        )
    return round(256 * min(127.0, gain_db))


def check_signal(
    model: RVQGAN, channels: int, sample_rate_hz: int, length: int, codebooks: int | None, where: str
):
    """Raise `InputError` if the model cannot take a signal."""
    config = model.config
    if channels != config.channels:
        raise InputError(f"{where}: {channels} channels, the model codes {config.channels}")
    if sample_rate_hz != config.sample_rate_hz:
        raise InputError(
            f"{where}: {sample_rate_hz} Hz, the model codes {config.sample_rate_hz} Hz; "
            "python -m stimuli.prepare resamples"
        )
    if length == 0:
        raise InputError(f"{where}: no samples")
    if codebooks is not None and not 1 <= codebooks <= config.codebooks:
        raise InputError(f"{codebooks} codebooks; the model has 1 to {config.codebooks}")


def make_header(
    model: RVQGAN, digest: bytes, about: Survey, codebooks: int | None = None, range_coded: bool = False
) -> Header:
    """Header of a stream to be encoded."""
    config = model.config
    return Header(
        digest, config.sample_rate_hz, config.channels, codebooks or config.codebooks, config.codebooks,
        config.bits_per_code, config.hop, level_gain_q8_db(about.rms), about.length, about.source,
        config.signal_layout, config.side_layers, range_coded,
    )  # fmt: skip


def encode_packets(
    model: RVQGAN, header: Header, parts: Iterable[Float32[ndarray, "channel time"]], threads: int | None = None
) -> Iterator[Packet]:
    """Packets of a stream of samples."""
    encoder = StreamEncoder(model, header.codebooks, threads)
    waiting: deque[bytes] = deque()

    def codes() -> Iterator[Int[ndarray, "codebook frame"]]:
        for part in network_input(model, header, parts):
            waiting.append(part.layer)
            yield encoder.push(part.samples)
        yield encoder.finish()

    for block, _, frames in rechunk(codes(), header.packet_frame_counts):
        codes_of_packet = block.copy()
        absent = header.absent(frames)
        if absent:
            codes_of_packet.reshape(-1)[-absent:] = ABSENT
        yield Packet(codes_of_packet, waiting.popleft() if header.layers else b"")


def network_input(
    model: RVQGAN, header: Header, parts: Iterable[Float32[ndarray, "channel time"]]
) -> Iterator[Components]:
    """What the network gets of a stream of samples: with a spatial layer components, packet by packet."""
    gain = np.float32(header.gain)

    def scaled() -> Iterator[Float32[ndarray, "channel time"]]:
        for part in parts:
            yield part * gain
        yield np.zeros((header.channels, header.frames * header.hop - header.length), np.float32)

    if header.layers:
        yield from Layer(model.config).components(scaled(), header.packet_frame_counts)
    else:
        yield from (Components(part, b"") for part in scaled())


def lead_packets(model: RVQGAN) -> int:
    """Packets after which a decoder that begins in the middle has the state of one that began at the beginning.

    The last of them begins with gains of the last slot before it, in whose windows the network must be exact.
    """
    windows = math.ceil((REACH + HALF) / model.config.hop)
    return 1 + math.ceil((contextual_frames(model.config)[1] + windows + SLOT_FRAMES) / PACKET_FRAMES)


def decode_packets(
    model: RVQGAN,
    header: Header,
    packets: Iterable[Packet],
    first: int = 0,
    threads: int | None = None,
    bf16: bool = False,
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Samples of the packets, one block for each; `packets` begins with packet number `first`.

    Where that is not 0, the first packets (`lead_packets`) only bring network and layers into the state that they
    would have: samples come from those behind on, the same bits as when decoding from the beginning.
    """
    decoder = StreamDecoder(model, threads, running=first > 0, bf16=bf16)
    arrived: deque[bytes] = deque()

    def decoded() -> Iterator[Float32[ndarray, "channel time"]]:
        lead = decoder.lag_samples if first else 0  # what a running decoder still owes
        for packet in packets:
            arrived.append(packet.layer)
            samples = decoder.push(packet.codes)
            skipped = min(lead, samples.shape[1])
            lead -= skipped
            yield samples[:, skipped:]
        yield decoder.finish()

    counts = [header.packet_frames(index) for index in range(first, header.packets)]
    if header.layers:
        blocks = Layer(model.config).channels(decoded(), counts, (arrived.popleft() for _ in counts))
    else:
        blocks = (block for block, _, _ in rechunk(decoded(), (count * header.hop for count in counts)))
    left = header.length - first * PACKET_FRAMES * header.hop
    for index, samples in enumerate(blocks):
        kept = min(left, samples.shape[1])
        left -= kept
        if first == 0 or index >= lead_packets(model):
            yield np.ascontiguousarray(samples[:, :kept]) / np.float32(header.gain)


def decode_range(
    model: RVQGAN, file: BinaryIO, header: Header, where: str, start: int, stop: int, bf16: bool = False
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Samples `start` to `stop` of a file, the same bits as when decoding all of it."""
    packet_samples = PACKET_FRAMES * header.hop
    wanted = min(start // packet_samples, header.packets - 1)
    first = max(0, wanted - lead_packets(model))
    position = (first + lead_packets(model) if first else 0) * packet_samples
    packets = read_packets(file, header, where, first)
    for block in decode_packets(model, header, packets, first, bf16=bf16):
        begin, end = max(start - position, 0), min(stop - position, block.shape[1])
        if begin < end:
            yield block[:, begin:end]
        position += block.shape[1]
        if position >= stop:
            return


def check_model(header: Header, model: RVQGAN, digest: bytes, where: str) -> None:
    """Raise `InputError` if a stream was not made by this model."""
    if header.model != digest:
        raise InputError(
            f"{where}: coded with the model whose SHA-256 begins with {header.model.hex()}, "
            f"not with this one ({digest.hex()}); give the right one with --model"
        )
    config = model.config
    told = (
        header.sample_rate_hz, header.channels, header.hop, header.bits_per_code, header.model_codebooks,
        header.layers, header.layout,
    )  # fmt: skip
    has = (
        config.sample_rate_hz, config.channels, config.hop, config.bits_per_code, config.codebooks,
        config.side_layers, config.signal_layout,
    )  # fmt: skip
    if told != has:
        raise InputError(f"{where}: header contradicts its model; the file was tampered with")


def encode(
    model: RVQGAN, digest: bytes, signal: Scene | Feed, codebooks: int | None = None, range_coded: bool = False
) -> bytes:
    """Encode a scene or a feed into the bytes of an ``.arvq`` file."""
    samples = signal.samples
    check_signal(model, samples.shape[0], signal.sample_rate_hz, signal.length, codebooks, "signal")
    header = make_header(model, digest, survey([samples]), codebooks, range_coded)
    file = io.BytesIO()
    write_stream(file, header, encode_packets(model, header, [samples]))
    return file.getvalue()


def decode(model: RVQGAN, digest: bytes, data: bytes) -> Scene | Feed:
    """Decode the bytes of an ``.arvq`` file of Ambisonics or of a known loudspeaker layout."""
    file = io.BytesIO(data)
    header = read_header(file, "stream")
    check_model(header, model, digest, "stream")
    packets = read_packets(file, header, "stream")
    samples = np.concatenate(list(decode_packets(model, header, packets)), axis=1)
    if header.layout == "ambiX":
        return Scene(samples, header.sample_rate_hz)
    return Feed(samples, header.sample_rate_hz, layout(header.layout))
