"""Encode audio files into ``.arvq`` files and decode them, block by block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.file import read_header, read_intact_packets, write_stream
from codec.bitstream.format import Header, Packet
from codec.bitstream.rates import within_rate
from codec.checkpoints.model_file import load
from codec.coding.adaptation import Recording, adapted, length_at
from codec.coding.concealment import conceal
from codec.coding.pipeline import (
    DecoderSettings,
    OpenStream,
    check_codebooks,
    check_model,
    decode_packets,
    decode_range,
    encode_packets,
    front_end_for,
    make_header,
    summarise,
    unchanged,
)
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import refuse_to_replace
from render.common.progress import progress
from render.common.stdio import input_path, output_path
from render.dsp.block_processing import resampled_part
from render.fileio.audio_file import BLOCK_LENGTH, AudioInfo, blocks, info, writer
from render.fileio.feed_file import feed_blocks, feed_info
from render.fileio.scene_file import scene_blocks, scene_info
from render.hoa.layout import layout


@dataclass(frozen=True)
class EncodeOptions:
    """How a file is encoded.

    Attributes
    ----------
    codebooks : int, optional
        Use the first ones only; all by default.
    range_coded : bool
        Compress the packets without loss.
    force : bool
        Replace an existing output that differs.
    kbps : float, optional
        Instead of `codebooks`: use as many as this rate allows, before range coding.
    coefficients : bool
        Send attacks and coefficients beside the codes (`codec.side_info`), if the model has room for them.
    """

    codebooks: int | None = None
    range_coded: bool = False
    force: bool = False
    kbps: float | None = None
    coefficients: bool = True


@dataclass(frozen=True)
class AudioOutput:
    """Where decoded audio goes.

    Attributes
    ----------
    path : Path
        An audio file, or "-" for WAV on standard output.
    subtype : str
        "PCM_16", "PCM_24" or "FLOAT".
    force : bool
        Replace an existing file that differs.
    """

    path: Path
    subtype: str = "FLOAT"
    force: bool = False

    def write(
        self, decoded: Iterator[Float32[ndarray, "channel time"]], channels: int, sample_rate_hz: int
    ) -> None:
        """Write blocks of samples; nothing is left behind if one of them raises an error."""
        with ExitStack() as stack:
            path = self.path
            if str(path) == "-":
                path = stack.enter_context(output_path(path, ".wav", self.force))
            output = stack.enter_context(
                writer(path, channels, sample_rate_hz, subtype=self.subtype, force=self.force)
            )
            for block in decoded:
                for start in range(0, block.shape[1], BLOCK_LENGTH):  # what the writer converts stays small
                    output.write(block[:, start : start + BLOCK_LENGTH])
                del block  # before the next one takes memory


@dataclass(frozen=True)
class DecodeOptions:
    """What is decoded of a file, and how.

    Attributes
    ----------
    model : Path, optional
        Model file; the shipped one by default.
    start_s : float
        Seconds left out at the beginning.
    duration_s : float, optional
        Seconds decoded from there on; all by default.
    conceal : bool
        Decode a whole file around damage instead of refusing it.
    device : str
        "cpu" or "cuda".
    bf16 : bool
        Convolve in bfloat16.
    rate_hz : int, optional
        Sample rate of the output; that of the recording by default.
    """

    model: Path | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    conceal: bool = False
    device: str = "cpu"
    bf16: bool = False
    rate_hz: int | None = None


class EncodedFile(NamedTuple):
    """Size and format of a file that was encoded, and what was done to the recording before (`AdaptedSignal`)."""

    bytes: int
    header: Header
    changes: tuple[str, ...] = ()

    @property
    def kbps(self) -> float:
        """Bit rate of the whole file in kbit/s."""
        return self.bytes * 8 / (self.header.length / self.header.sample_rate_hz) / 1000


class DecodedAudio(NamedTuple):
    """Format of audio that was decoded; `length` in samples per channel."""

    channels: int
    length: int
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.length / self.sample_rate_hz


def signal_of(path: Path, config: ModelConfig) -> tuple[AudioInfo, Callable[[], Iterator[ndarray]]]:
    """Describe a signal and how to read its blocks as the model takes them: ambiX, or the layout's order."""
    if config.layout:
        feed = feed_info(path, layout(config.layout))
        return feed.about, partial(feed_blocks, feed)
    if config.channels > 1 and config.signal_layout == "ambiX":
        return scene_info(path), partial(scene_blocks, path)
    return info(path), partial(blocks, path)


def encode_file(source: Path, target: Path, model: RVQGAN, digest: bytes, options: EncodeOptions) -> EncodedFile:
    """Encode an audio file, or all files of a scene; "-" is standard input or output.

    Raises
    ------
    InputError
        If the model cannot code the signal, if the file changes while it is read, or if output and input are one.
    """
    name = "standard input" if str(source) == "-" else source.name
    if str(source) != "-":
        refuse_to_replace(source, target)
    with input_path(source) as path:
        about, read_blocks = signal_of(path, model.config)
        recording = Recording(about.channels, about.sample_rate_hz, about.length, read_blocks)
        signal = adapted(recording, model.config, str(source))
        check_codebooks(model.config, options.codebooks)
        summary = summarise(signal.read())
        units = None if options.coefficients else 0
        header = make_header(model, digest, summary, options.codebooks, options.range_coded, signal.origin, units)
        if options.kbps is not None:
            header = within_rate(header, options.kbps, str(source))
        packets = encode_packets(model, header, unchanged(signal.read(), summary, str(source)))
        with output_path(target, ".arvq", options.force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, header, progress(packets, f"encoding {name}", header.packets))
    return EncodedFile(size, header, signal.changes)


def decode_file(path: Path, where: str, output: AudioOutput, options: DecodeOptions) -> DecodedAudio:
    """Decode an ``.arvq`` file, or a part of it; `where` names it in messages.

    Raises
    ------
    InputError
        If the file was made by another model, or has no samples in the part that is asked for.
    CorruptStream
        If it is damaged and damage is not concealed.
    """
    with open(path, "rb") as file:
        header = read_header(file, where, allow_damage=options.conceal)
        model, digest = load(options.model, options.device, streamed=True)
        check_model(header, model, digest, where)
        rate_hz = options.rate_hz or header.original_rate_hz
        start, stop = _sample_range(
            length_at(header, rate_hz), rate_hz, options.start_s, options.duration_s, where
        )
        stream, settings = OpenStream(file, header, where), DecoderSettings(bf16=options.bf16)

        def coded(begin: int, end: int) -> Iterator[Float32[ndarray, "channel time"]]:
            """Decode samples at the rate of the stream."""
            if options.conceal:
                decoded = decode_packets(model, header, _concealed_packets(model, stream), settings=settings)
            else:
                decoded = decode_range(model, stream, begin, end, settings)
            packet_samples = header.framing.packet_frames * header.hop
            first, last = (min(at // packet_samples, header.packets - 1) for at in (begin, end - 1))
            return progress(decoded, f"decoding {where}", last - first + 1)

        part = resampled_part(coded, header.channels, header.length, header.sample_rate_hz, rate_hz, start, stop)
        output.write(part, header.channels, rate_hz)
    return DecodedAudio(header.channels, stop - start, rate_hz)


def _concealed_packets(model: RVQGAN, stream: OpenStream) -> Iterator[Packet]:
    """Packets of a damaged file; those that are concealed are reported on standard error."""
    header = stream.header
    packets = read_intact_packets(stream.file, header)
    filled = conceal(packets, header, front_end_for(header, model.config), stream.where)
    for index, (packet, concealed) in enumerate(filled):
        if concealed:
            begin = index * header.framing.packet_frames * header.hop
            end = min(header.length, begin + header.packet_frames(index) * header.hop)
            seconds = f"{begin / header.sample_rate_hz:.2f} to {end / header.sample_rate_hz:.2f} s"
            print(f"{stream.where}: packet {index} ({seconds}) is damaged and was concealed", file=sys.stderr)
        yield packet


def _sample_range(
    length: int, sample_rate_hz: int, start_s: float, duration_s: float | None, where: str
) -> tuple[int, int]:
    """First sample, and the one after the last, of the part of a signal that was asked for."""
    length_s = length / sample_rate_hz
    if 0 <= start_s <= length_s and (duration_s is None or duration_s >= 0):  # both comparisons exclude NaN
        start = round(start_s * sample_rate_hz)
        left_s = length_s if duration_s is None else min(duration_s, length_s)
        stop = min(start + round(left_s * sample_rate_hz), length)
        if start < stop:
            return start, stop
    duration = "" if duration_s is None else f" for {duration_s} s"
    raise InputError(f"{where}: no samples from {start_s} s on{duration}; the file lasts {length_s:.3f} s")
