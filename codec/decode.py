"""Decode an .arvq file: ``python -m codec.decode X.arvq -o OUT.wav``.

The output is float ambiX (ACN/SN3D) at the level of what was encoded, to the sample as long.
"""

from __future__ import annotations

from pathlib import Path

from render.command import parser, progress, run


def decode_file(source: Path, target: Path, model_path: Path | None, subtype: str, force: bool) -> None:
    """Decode block by block."""
    from codec.bitstream import PACKET_FRAMES, read_stream
    from codec.inference import check_model, decode_blocks
    from codec.weights import load
    from render.audio_file import writer
    from render.errors import InputError

    if not source.is_file():
        raise InputError(f"{source}: no such file")
    model, digest = load(model_path)
    with open(source, "rb") as file:
        header, packets = read_stream(file, str(source))
        check_model(header, model, digest, str(source))
        decoded = decode_blocks(model, packets, header.gain, header.length)
        total = -(-header.frames // PACKET_FRAMES)
        with writer(target, header.channels, header.sample_rate_hz, subtype=subtype, force=force) as output:
            for block in progress(decoded, f"decoding {source.name}", total):
                output.write(block)
    print(f"{target}: {header.channels} channels, {header.length / header.sample_rate_hz:.2f} s")


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.decode")
    arguments.add_argument("input", type=Path, metavar="X.arvq")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="audio file")
    arguments.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    arguments.add_argument(
        "--subtype", default="FLOAT", choices=["PCM_16", "PCM_24", "FLOAT"], help="default: FLOAT"
    )
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    decode_file(given.input, given.output, given.model, given.subtype, given.force)


if __name__ == "__main__":
    run(main)
