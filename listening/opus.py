"""Opus for Ambisonics: encode a scene to an Ogg Opus file, decode or inspect one.

    python -m listening.opus inspect out/demo/scenes/Beach/opus3_160.opus
    python -m listening.opus decode out/demo/scenes/Beach/opus3_160.opus -o out/beach.wav

Channel mapping family 3 (RFC 8486) codes fixed mixtures of the Ambisonic channels as stereo pairs; at
160 kbit/s it is the paper's condition. Few programs decode it: this one gives back an ambiX file at 48 kHz,
aligned to the sample with what was encoded. `inspect` shows the real bit rate and the coding modes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Run ``python -m listening.opus``."""
    command = parser(__doc__, "listening.opus")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="encode | decode | inspect")
    encoding = verbs.add_parser("encode", help="ambiX file (ACN/SN3D, orders 1 to 3) to Ogg Opus, family 3")
    encoding.add_argument("--kbps", type=int, default=160, help="nominal (%(default)s)")
    encoding.add_argument("--music", action="store_true", help="ask for libopus's music mode")
    decoding = verbs.add_parser("decode", help="Ogg Opus of family 2 or 3 to an ambiX file, 48 kHz, float")
    decoding.add_argument(
        "--family-255",
        action="store_true",
        help="also family 255, whose channels have no meaning (ffmpeg writes it): they are taken for ACN/SN3D",
    )
    inspecting = verbs.add_parser("inspect", help="print channels, measured rates and coding modes")
    for verb, what in ((encoding, "audio file"), (decoding, "Ogg Opus file"), (inspecting, "Ogg Opus file")):
        verb.add_argument("input", type=Path, metavar="IN", help=what)
    for verb in (encoding, decoding):
        verb.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="file to write")
        verb.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments = command.parse_args()

    from listening.opus_codec.codec import OpusSettings
    from listening.opus_codec.file_coding import decode_file, describe_file, encode_file

    if arguments.verb == "encode":
        settings = OpusSettings(1000 * arguments.kbps, signal="music" if arguments.music else "auto")
        peak = encode_file(arguments.input, arguments.output, settings, arguments.force)
        if peak > 1:
            warning = f"reaches {peak:.2f} in the coded channels; above 1 Opus may clip"
            print(f"warning: {arguments.input}: {warning}", file=sys.stderr)
    elif arguments.verb == "decode":
        decode_file(arguments.input, arguments.output, arguments.force, arguments.family_255)
    else:
        for line in describe_file(arguments.input):
            print(line)


if __name__ == "__main__":
    run(main)
