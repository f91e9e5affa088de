"""Encode audio files.

    python -m codec.encode data/prepared/seed-1/Beach.8.wav -o out/beach.arvq

The default model codes third-order Ambisonics (16 channels, ACN/SN3D, 44.1 kHz) at 15.5 kbit/s. Recordings of
another rate are resampled, and of a higher order the first 16 channels are coded; both is said and stored in the
stream, so that codec.decode gives the rate and the length back. Several inputs go into a folder: ``-o FOLDER``. A
scene in several files (a_01-08ch.wav, a_09-16ch.wav) is one input. ``-`` reads standard input or writes standard
output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.encode")
    arguments.add_argument("input", type=Path, nargs="+", metavar="IN", help="WAV, RF64, W64, CAF, FLAC")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="X.arvq")
    arguments.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    rate = arguments.add_mutually_exclusive_group()
    rate.add_argument("--codebooks", type=int, metavar="N", help="use the first N only (lower rate)")
    rate.add_argument(
        "--kbps",
        type=float,
        metavar="R",
        help="the highest rate up to R kbit/s, before range coding. With the shipped model 4.1 to 15.5: 1 or 2 "
        "codebooks beside 3.2 kbit/s of side information, and from 5.3 on in steps of 0.37 more of the "
        "envelope and the coefficients, which take the place of half of codebook 2 and of 3 to 14",
    )
    arguments.add_argument(
        "--low-delay",
        action="store_true",
        help="stream for live use: input is coded as it arrives, and leaves the decoder 0.85 s later; the rate is "
        "then at most 21 kbit/s (docs/codec.md)",
    )
    arguments.add_argument(
        "--range-coding", action="store_true", help="compress the codes without loss; gains where they repeat"
    )
    arguments.add_argument(
        "--no-coefficients",
        action="store_true",
        help="send codes of more codebooks instead of the strongest components up to 4.6 kHz: more of what the "
        "network does, less of everything else",
    )
    arguments.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    from render.fileio.scene_file import scene_name, whole_scenes

    sources, targets = whole_scenes(given.input), [given.output]
    if len(sources) > 1:
        if given.output.suffix == ".arvq" or given.output.is_file() or str(given.output) == "-":
            raise InputError(f"{given.output}: {len(sources)} inputs need a folder as output")
        targets = [given.output / f"{scene_name(source)}.arvq" for source in sources]
        if len(set(targets)) < len(targets):
            raise InputError("two inputs have the same name; encode them into different folders")

    from codec.checkpoints.model_file import load
    from codec.coding.files import EncodeOptions, encode_file
    from codec.coding.low_delay_files import encode_low_delay_file

    model, digest = load(given.model, given.device, streamed=True)
    options = EncodeOptions(
        given.codebooks, given.range_coding, given.force, given.kbps, coefficients=not given.no_coefficients
    )
    encode = encode_low_delay_file if given.low_delay else encode_file
    for source, target in zip(sources, targets, strict=True):
        made = encode(source, target, model, digest, options)
        print(
            f"{target}: {made.bytes} bytes, {made.kbps:.3f} kbit/s, {made.header.codebooks} codebooks",
            file=sys.stderr,
        )
        for change in made.changes:
            print(f"{source}: {change}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
