"""Opus for Ambisonics: encode a scene to an Ogg Opus file, decode or inspect one.

Channel mapping family 3 (RFC 8486) codes fixed mixtures of the Ambisonic channels as stereo pairs; at
160 kbit/s it is the paper's condition. Few programs decode it: this one gives back an ambiX file at 48 kHz,
aligned to the sample with what was encoded. `inspect` tells the real bit rate and the coding modes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from render.common.cli import parser, run
from render.common.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray


if TYPE_CHECKING:
    from listening.opus_codec.codec import OpusSettings


def main() -> None:
    """Run ``python -m listening.opus``."""
    command = parser(__doc__, "listening.opus")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="encode | decode | inspect")
    encoding = verbs.add_parser("encode", help="ambiX file (ACN/SN3D, orders 1 to 3) to Ogg Opus, family 3")
    encoding.add_argument("--kbps", type=int, default=160, help="nominal (%(default)s)")
    encoding.add_argument("--music", action="store_true", help="ask for libopus's music mode")
    decoding = verbs.add_parser("decode", help="Ogg Opus of family 2 or 3 to an ambiX file, 48 kHz, float")
    inspecting = verbs.add_parser("inspect", help="print channels, measured rates and coding modes")
    for verb, what in ((encoding, "audio file"), (decoding, "Ogg Opus file"), (inspecting, "Ogg Opus file")):
        verb.add_argument("input", type=Path, metavar="IN", help=what)
    for verb in (encoding, decoding):
        verb.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="file to write")
        verb.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments = command.parse_args()
    from listening.opus_codec.codec import OpusSettings

    if arguments.verb == "encode":
        signal = "music" if arguments.music else "auto"
        settings = OpusSettings(bitrate_bps=1000 * arguments.kbps, signal=signal)
        _encode_file(arguments.input, arguments.output, settings, arguments.force)
    elif arguments.verb == "decode":
        _decode_file(arguments.input, arguments.output, arguments.force)
    else:
        _inspect_file(arguments.input)


def _inspect_file(path: Path) -> None:
    """Print what stands in a file; with libopus also how high its coded channels reach."""
    from listening.opus_codec.codec import OpusSettings, coded_peak, decode_blocks, version
    from listening.opus_codec.info import inspect_file

    with open(path, "rb") as file:
        print(inspect_file(file, str(path)))
        try:
            version()
        except InputError:
            print("beam peak: not measured, it needs libopus")
            return
        file.seek(0)
        head, blocks = decode_blocks(file, str(path))
        settings = OpusSettings(family=head.family)
        peak = max((coded_peak(block, settings) for block in blocks), default=0.0)
    above = "" if peak <= 1 else "; above 1 the speech modes may have clipped"
    what = "mixtures" if head.family == 3 else "channels"
    print(f"beam peak: {peak:.3f} of full scale in the decoded {what}{above}")


def _encode_file(path: Path, output: Path, settings: OpusSettings, force: bool) -> None:
    from render.common.files import whole_file
    from render.fileio import audio_file
    from render.hoa.scene import order_of

    about = audio_file.info(path)
    try:
        order_of(about.channels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    peak = 0.0

    from listening.opus_codec.codec import BLOCK_FRAMES, coded_peak, encode_blocks

    def measured() -> Iterator[ndarray]:
        nonlocal peak
        for block in audio_file.blocks(path, block_length=BLOCK_FRAMES):
            peak = max(peak, coded_peak(block, settings))
            yield block

    with whole_file(output, force=force) as temporary, open(temporary, "wb") as file:
        rate_hz = about.sample_rate_hz
        file.writelines(encode_blocks(measured(), about.channels, about.length, rate_hz, settings))
    if peak > 1:
        print(
            f"warning: {path}: reaches {peak:.2f} in the coded channels; above 1 Opus may clip",
            file=sys.stderr,
        )


def _decode_file(path: Path, output: Path, force: bool) -> None:
    from listening.opus_codec.codec import decode_blocks
    from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ
    from render.fileio.audio_file import writer

    with open(path, "rb") as file:
        head, blocks = decode_blocks(file, str(path))
        with writer(output, head.channels, SAMPLE_RATE_HZ, "FLOAT", force) as sound:
            for block in blocks:
                sound.write(block)


if __name__ == "__main__":
    run(main)
