"""Decode an .arvq file.

    python -m codec.decode out/demo/scenes/Beach/prop.arvq -o out/beach.wav

The output has the level, the sample rate and, to the sample, the length of what was encoded; Ambisonics comes as
float ambiX (ACN/SN3D). ``--start`` and ``--seconds`` decode a part: with the same bits as in the whole at the rate
of the model, and equal within rounding where the output is resampled. ``-`` reads standard input or writes
standard output. With the published mono model (codec.weights) it also decodes the .dac files of the stock package:
``python -m codec.decode X.dac --model mono.safetensors -o OUT.wav``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


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
    arguments.add_argument(
        "--rate",
        type=int,
        metavar="HZ",
        help="sample rate of the output (default: that of the recording that was encoded, so that both can be "
        "compared; --rate 44100 gives what the shipped model computes, not resampled)",
    )
    arguments.add_argument(
        "--low-delay", action="store_true", help="decode a stream of codec.encode --low-delay as it arrives"
    )
    arguments.add_argument("--conceal", action="store_true", help="decode around damage instead of refusing")
    arguments.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    arguments.add_argument("--bf16", action="store_true", help="convolve in bfloat16: faster on a GPU, less exact")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    in_part = bool(given.start) or given.seconds is not None
    if given.conceal and in_part:
        raise InputError("--conceal decodes whole files; leave --start and --seconds out")
    if given.low_delay and (given.conceal or in_part or given.rate):
        raise InputError("--low-delay decodes what arrives; leave --conceal, --start, --seconds and --rate out")
    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not (given.input.is_file() or (given.low_delay and given.input.is_fifo())):
        raise InputError(f"{where}: no such file")

    from codec.coding.files import AudioOutput, DecodeOptions, decode_file
    from codec.coding.low_delay_files import decode_low_delay_file
    from codec.descript.dac_file import is_dac_file
    from render.common.stdio import input_path
    from render.hoa.scene import check_rate

    if given.rate is not None:
        check_rate(given.rate)
    output = AudioOutput(given.output, given.subtype, given.force)
    options = DecodeOptions(
        given.model, given.start, given.seconds, given.conceal, given.device, given.bf16, given.rate
    )
    if given.low_delay:
        made = decode_low_delay_file(given.input, output, options)
    else:
        with input_path(given.input) as path:
            if is_dac_file(path):
                if given.conceal or in_part or given.rate:
                    raise InputError(
                        f"{where}: a .dac file is decoded whole and at its rate; leave --conceal, --start, "
                        "--seconds and --rate out"
                    )
                from codec.descript.dac_decode import decode_dac_file

                made = decode_dac_file(path, where, output, given.model)
            else:
                made = decode_file(path, where, output, options)
    print(
        f"{given.output}: {made.channels} channels, {made.duration_s:.2f} s at {made.sample_rate_hz} Hz",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run(main)
