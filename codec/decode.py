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
from typing import TYPE_CHECKING

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from typing import BinaryIO

    from codec.bitstream import Header
    from codec.model import Codec


def concealed_blocks(model: Codec, file: BinaryIO, header: Header, where: str, bf16: bool) -> Iterator:
    """Blocks of a damaged file; says on stderr what was made up."""
    from codec.bitstream import PACKET_FRAMES
    from codec.concealment import conceal
    from codec.inference import decode_packets
    from codec.layer import Layer
    from codec.stream_file import read_intact_packets

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


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.decode")
    arguments.add_argument("input", type=Path, metavar="X.arvq")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="audio file")
    arguments.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    arguments.add_argument(
        "--subtype", default="FLOAT", choices=["PCM_16", "PCM_24", "FLOAT"], help="default: FLOAT"
    )
    arguments.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds left out")
    arguments.add_argument("--seconds", type=float, metavar="S", help="seconds decoded")
    arguments.add_argument("--conceal", action="store_true", help="decode around damage instead of refusing")
    arguments.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    arguments.add_argument("--bf16", action="store_true", help="convolve in bfloat16: faster on a GPU, less exact")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    if given.conceal and (given.start or given.seconds is not None):
        raise InputError("--conceal decodes whole files; leave --start and --seconds out")

    from codec.bitstream import PACKET_FRAMES
    from codec.inference import check_model, decode_range
    from codec.pipes import input_path
    from codec.stream_file import read_header
    from codec.weights import load

    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not given.input.is_file():
        raise InputError(f"{where}: no such file")
    with input_path(given.input) as path, open(path, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            if given.conceal or given.start or given.seconds is not None:
                raise InputError(f"{where}: a .dac file is decoded whole; leave --conceal, --start, --seconds out")
            return decode_dac_file(path, where, given.model, given.output, given.subtype, given.force)
        file.seek(0)
        header = read_header(file, where, damaged_too=given.conceal)
        model, digest = load(given.model, given.device)
        check_model(header, model, digest, where)
        start, stop = sample_range(header, given.start, given.seconds, where)
        if given.conceal:
            decoded = concealed_blocks(model, file, header, where, given.bf16)
        else:
            decoded = decode_range(model, file, header, where, start, stop, given.bf16)
        touched = [min(at // (PACKET_FRAMES * header.hop), header.packets - 1) for at in (start, stop - 1)]
        packets = touched[1] - touched[0] + 1
        shown = progress(decoded, f"decoding {where}", packets)
        write_blocks(shown, header.channels, header.sample_rate_hz, given.output, given.subtype, given.force)
    seconds = (stop - start) / header.sample_rate_hz
    print(f"{given.output}: {header.channels} channels, {seconds:.2f} s", file=sys.stderr)


def decode_dac_file(
    path: Path, where: str, model_path: Path | None, target: Path, subtype: str, force: bool
) -> None:
    """Decode a file of the stock package."""
    from codec.dac_decode import decode_dac_at_level, decoded_length
    from codec.dac_file import read_dac
    from codec.weights import load

    dac = read_dac(path)
    model, _ = load(model_path)
    decoded = decode_dac_at_level(model, dac, where)
    rate_hz = model.config.sample_rate_hz
    write_blocks(decoded, dac.channels, rate_hz, target, subtype, force)
    seconds = decoded_length(model, dac) / rate_hz
    print(f"{target}: {dac.channels} channels, {seconds:.2f} s at {rate_hz} Hz", file=sys.stderr)


def write_blocks(decoded: Iterator, channels: int, rate_hz: int, target: Path, subtype: str, force: bool) -> None:
    """Write blocks of samples to an audio file, or as WAV to standard output."""
    from codec.pipes import output_path
    from render.audio_file import writer

    with ExitStack() as stack:
        path = stack.enter_context(output_path(target, ".wav", force)) if str(target) == "-" else target
        output = stack.enter_context(writer(path, channels, rate_hz, subtype=subtype, force=force))
        for block in decoded:
            output.write(block)


if __name__ == "__main__":
    run(main)
