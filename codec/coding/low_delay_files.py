"""Encode and decode streams of low delay from files and pipes, each packet as soon as it can be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from codec.bitstream.rates import within_rate
from codec.checkpoints.model_file import load
from codec.coding.adaptation import Recording, adapted
from codec.coding.files import AudioOutput, DecodedAudio, DecodeOptions, EncodedFile, EncodeOptions, signal_of
from codec.coding.low_delay import LowDelayReader, decode_low_delay, write_low_delay
from codec.coding.pipeline import (
    DecoderSettings,
    check_codebooks,
    check_low_delay,
    check_model,
    low_delay_header,
)
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.common.files import errors_name, reads, refuse_to_replace
from render.common.stdio import output_path, standard_input, standard_output
from render.fileio.pcm import encode
from render.fileio.wave_stream import read_wave_stream, wave_stream_header


def encode_low_delay_file(
    source: Path, target: Path, model: RVQGAN, digest: bytes, options: EncodeOptions
) -> EncodedFile:
    """Encode an audio file, or WAV that arrives on standard input ("-"), into a stream of low delay.

    Standard input is taken for ACN/SN3D, or the channel order of the model's layout. Standard output ("-") has
    each packet as soon as it is made.

    Raises
    ------
    InputError
        If the model cannot code the signal or has no side information, or the sample rate is not that of the
        model.
    """
    check_low_delay(model.config, options.range_coded)
    check_codebooks(model.config, options.codebooks)
    recording = _recording(source, target, model.config)
    if recording.sample_rate_hz != model.config.sample_rate_hz:
        raise InputError(
            f"{source}: {recording.sample_rate_hz} Hz, the model codes {model.config.sample_rate_hz} Hz; a stream "
            "of low delay is not resampled"
        )
    signal = adapted(recording, model.config, str(source))
    units = None if options.coefficients else 0
    header = low_delay_header(model, digest, options.codebooks, signal.origin.order, units)
    if options.kbps is not None:
        header = within_rate(header, options.kbps, str(source))
    with _binary_output(target, options.force) as file:
        whole = write_low_delay(file, model, header, signal.read(), str(source))
    return EncodedFile(whole.max_bytes, whole, signal.changes)


def _recording(source: Path, target: Path, config: ModelConfig) -> Recording:
    if str(source) == "-":
        stream = read_wave_stream(standard_input(), "standard input")
        # its length is not known, and counts for resampling only
        return Recording(stream.channels, stream.sample_rate_hz, 1, lambda: stream.blocks)
    refuse_to_replace(source, target)
    reads(source)
    about, read_blocks = signal_of(source, config)
    return Recording(about.channels, about.sample_rate_hz, about.length, read_blocks)


@contextmanager
def _binary_output(target: Path, force: bool) -> Iterator[BinaryIO]:
    """Yield standard output itself, which `output_path` would fill at the end, or a file that becomes `target`."""
    if str(target) == "-":
        with errors_name("standard output"):
            yield standard_output()
        return
    with output_path(target, ".arvq", force) as temporary, open(temporary, "wb") as file:
        yield file


def decode_low_delay_file(source: Path, output: AudioOutput, options: DecodeOptions) -> DecodedAudio:
    """Decode a stream of low delay as it arrives, from a file, a named pipe or standard input ("-").

    Standard output ("-") is WAV of open size, which has every block as soon as it is decoded.

    Raises
    ------
    InputError
        If the stream was made by another model, or another sample format than FLOAT is asked for on a pipe.
    CorruptStream
        If it is damaged, ends too early or is not of low delay.
    """
    where = "standard input" if str(source) == "-" else str(source)
    model, digest = load(options.model, options.device, streamed=True)
    with ExitStack() as stack:
        if str(source) == "-":
            file = standard_input()
        else:
            stack.enter_context(errors_name(source))
            reads(source)
            file = stack.enter_context(open(source, "rb"))
        reader = LowDelayReader(file, where)
        header = reader.header
        check_model(header, model, digest, where)
        blocks = decode_low_delay(model, reader, DecoderSettings(bf16=options.bf16))
        if str(output.path) != "-":
            output.write(blocks, header.channels, header.sample_rate_hz)
        elif output.subtype != "FLOAT":
            raise InputError(f"standard output has samples of type FLOAT with --low-delay, not {output.subtype}")
        else:
            sink = standard_output()
            with errors_name("standard output"):
                sink.write(wave_stream_header(header.channels, header.sample_rate_hz))
                for block in blocks:
                    sink.write(encode(block, "FLOAT").tobytes())
                    sink.flush()
    assert reader.length is not None
    return DecodedAudio(header.channels, reader.length, header.sample_rate_hz)
