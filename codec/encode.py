"""Encode audio files: ``python -m codec.encode IN.wav -o X.arvq``.

The default model codes third-order Ambisonics (16 channels, ACN/SN3D, 44.1 kHz) at 15.5 kbit/s. Several inputs go
into a folder: ``-o FOLDER``. ``-`` reads standard input or writes standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from codec.model import Codec


def encode_file(
    source: Path, target: Path, model: Codec, digest: bytes, codebooks: int | None, range_coded: bool, force: bool
) -> None:  # fmt: skip
    """Encode block by block; says on stderr what came out."""
    from codec.inference import check_signal, encode_packets, make_header, survey, surveyed
    from codec.pipes import input_path, output_path
    from codec.stream_file import write_stream
    from render.audio_file import blocks, info

    name = "standard input" if str(source) == "-" else source.name
    if target.is_file() and source.is_file() and target.samefile(source):
        raise InputError(
            f"{source}: is the input, and would be replaced by what is made of it; name another output"
        )
    with input_path(source) as path:
        about = info(path)
        check_signal(model, about.channels, about.sample_rate_hz, about.frames, codebooks, str(source))
        found = survey(blocks(path))
        header = make_header(model, digest, found, codebooks, range_coded)
        packets = encode_packets(model, header, surveyed(blocks(path), found, str(source)))
        with output_path(target, ".arvq", force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, header, progress(packets, f"encoding {name}", header.packets))
    kbps = size * 8 / (header.length / header.sample_rate_hz) / 1000
    print(f"{target}: {size} bytes, {kbps:.3f} kbit/s, {header.codebooks} codebooks", file=sys.stderr)


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.encode")
    arguments.add_argument("input", type=Path, nargs="+", metavar="IN", help="WAV, RF64, W64, CAF, FLAC")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="X.arvq")
    arguments.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    arguments.add_argument("--codebooks", type=int, metavar="N", help="use the first N only (lower rate)")
    arguments.add_argument(
        "--range-coding", action="store_true", help="code the codes again, without loss; pays with repetitive ones"
    )
    arguments.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    targets = [given.output]
    if len(given.input) > 1:
        if given.output.suffix == ".arvq" or given.output.is_file() or str(given.output) == "-":
            raise InputError(f"{given.output}: {len(given.input)} inputs need a folder as output")
        targets = [given.output / f"{source.stem}.arvq" for source in given.input]
        if len(set(targets)) < len(targets):
            raise InputError("two inputs have the same name; encode them into different folders")

    from codec.weights import load

    model, digest = load(given.model, given.device)
    for source, target in zip(given.input, targets, strict=True):
        encode_file(source, target, model, digest, given.codebooks, given.range_coding, given.force)


if __name__ == "__main__":
    run(main)
