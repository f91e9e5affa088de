"""Decode an .arvq file: ``python -m codec.decode X.arvq -o OUT.wav``.

The output has the level of what was encoded and is as long, to the sample; Ambisonics comes as float ambiX
(ACN/SN3D). ``--start`` and ``--seconds`` decode a part, the same bits as in the whole. ``-`` reads standard input
or writes standard output. With the published mono model (codec.weights) it also decodes the .dac files of the
stock package: ``python -m codec.decode X.dac --model mono.safetensors -o OUT.wav``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from codec.bitstream.file import read_intact_packets, write_stream
from codec.bitstream.format import PACKET_FRAMES, Header
from codec.checkpoints.model_file import load
from codec.coding.concealment import conceal
from codec.coding.pipeline import check_signal, decode_packets, encode_packets, make_header, survey, surveyed
from codec.descript.dac_decode import decode_dac_at_level, decoded_length
from codec.descript.dac_file import read_dac
from codec.rvqgan.codec import RVQGAN
from codec.side_info.spatial_layer import Layer
from render.common.errors import InputError
from render.common.progress import progress
from render.common.stdio import input_path, output_path
from render.fileio.audio_file import blocks, info, writer


def concealed_blocks(model: RVQGAN, file: BinaryIO, header: Header, where: str, bf16: bool) -> Iterator:
    """Blocks of a damaged file; says on stderr what was made up."""
    layer = Layer(model.config) if header.layers else None

    def packets() -> Iterator:
        filled = conceal(read_intact_packets(file, header), header, layer, where)
        for index, (packet, made_up) in enumerate(filled):
            if made_up:
                begin = index * PACKET_FRAMES * header.hop
                end = min(header.length, begin + header.packet_frames(index) * header.hop)
                seconds = f"{begin / header.sample_rate_hz:.2f} to {end / header.sample_rate_hz:.2f} s"
                print(f"{where}: packet {index} ({seconds}) is damaged and was concealed", file=sys.stderr)
            yield packet

    yield from decode_packets(model, header, packets(), bf16=bf16)


def sample_range(header: Header, start_s: float, seconds: float | None, where: str) -> tuple[int, int]:
    """First sample and the one behind the last of the part that was asked for."""
    length_s = header.length / header.sample_rate_hz
    if 0 <= start_s <= length_s and (seconds is None or seconds >= 0):  # no NaN either
        start = round(start_s * header.sample_rate_hz)
        left_s = length_s if seconds is None else min(seconds, length_s)
        stop = min(start + round(left_s * header.sample_rate_hz), header.length)
        if start < stop:
            return start, stop
    lasting = "" if seconds is None else f" for {seconds} s"
    raise InputError(f"{where}: no samples from {start_s} s on{lasting}; the file lasts {length_s:.3f} s")


def decode_dac_file(
    path: Path, where: str, model_path: Path | None, target: Path, subtype: str, force: bool
) -> None:
    """Decode a file of the stock package."""
    dac = read_dac(path)
    model, _ = load(model_path)
    decoded = decode_dac_at_level(model, dac, where)
    rate_hz = model.config.sample_rate_hz
    write_blocks(decoded, dac.channels, rate_hz, target, subtype, force)
    seconds = decoded_length(model, dac) / rate_hz
    print(f"{target}: {dac.channels} channels, {seconds:.2f} s at {rate_hz} Hz", file=sys.stderr)


def write_blocks(decoded: Iterator, channels: int, rate_hz: int, target: Path, subtype: str, force: bool) -> None:
    """Write blocks of samples to an audio file, or as WAV to standard output."""
    with ExitStack() as stack:
        path = stack.enter_context(output_path(target, ".wav", force)) if str(target) == "-" else target
        output = stack.enter_context(writer(path, channels, rate_hz, subtype=subtype, force=force))
        for block in decoded:
            output.write(block)


def encode_file(
    source: Path, target: Path, model: RVQGAN, digest: bytes, codebooks: int | None, range_coded: bool, force: bool
) -> None:  # fmt: skip
    """Encode block by block; says on stderr what came out."""
    name = "standard input" if str(source) == "-" else source.name
    if target.is_file() and source.is_file() and target.samefile(source):
        raise InputError(
            f"{source}: is the input, and would be replaced by what is made of it; name another output"
        )
    with input_path(source) as path:
        about = info(path)
        check_signal(model, about.channels, about.sample_rate_hz, about.length, codebooks, str(source))
        found = survey(blocks(path))
        header = make_header(model, digest, found, codebooks, range_coded)
        packets = encode_packets(model, header, surveyed(blocks(path), found, str(source)))
        with output_path(target, ".arvq", force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, header, progress(packets, f"encoding {name}", header.packets))
    kbps = size * 8 / (header.length / header.sample_rate_hz) / 1000
    print(f"{target}: {size} bytes, {kbps:.3f} kbit/s, {header.codebooks} codebooks", file=sys.stderr)
