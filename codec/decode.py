"""Decode an .arvq file: ``python -m codec.decode X.arvq -o OUT.wav``.

The output has the level of what was encoded and is as long, to the sample; Ambisonics comes as float ambiX
(ACN/SN3D). ``--start`` and ``--seconds`` decode a part, the same bits as in the whole. ``-`` reads standard input
or writes standard output. With the published mono model (codec.weights) it also decodes the .dac files of the
stock package: ``python -m codec.decode X.dac --model mono.safetensors -o OUT.wav``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.progress import progress


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

    from codec.bitstream.file import read_header
    from codec.bitstream.format import PACKET_FRAMES
    from codec.checkpoints.model_file import load
    from codec.coding.pipeline import check_model, decode_range
    from render.common.stdio import input_path

    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not given.input.is_file():
        raise InputError(f"{where}: no such file")
    from codec.coding.files import concealed_blocks, decode_dac_file, sample_range, write_blocks

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


if __name__ == "__main__":
    run(main)
