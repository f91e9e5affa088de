"""Download published weights and convert them to model files.

    python -m codec.weights fetch                     # Descript's mono model, 44.1 kHz, 16 kbit/s, 257 MB
    python -m codec.weights convert weights_44khz_16kbps.pth -o data/mono.safetensors

fetch needs a network once. It records the SHA-256 of the download beside the file, and later accepts nothing else.
convert reads Descript's checkpoints and those of transformers' DacModel (.pth, .safetensors). Converted files are
used by codec.encode and codec.decode (--model) and by codec.transfer.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run

PUBLISHED_URL = (
    "https://github.com/descriptinc/descript-audio-codec/releases/download/1.0.0/weights_44khz_16kbps.pth"
)


def main() -> None:
    """Run the command line."""
    arguments = parser(__doc__, "codec.weights")
    verbs = arguments.add_subparsers(dest="verb", required=True, metavar="fetch | convert")
    fetch = verbs.add_parser("fetch", allow_abbrev=False, help="download a published checkpoint")
    fetch.add_argument(
        "--url", default=PUBLISHED_URL, help="address of the checkpoint (default: mono, 44.1 kHz, 16 kbit/s)"
    )
    fetch.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: the name in the URL, in the current folder"
    )
    convert_parser = verbs.add_parser(
        "convert", allow_abbrev=False, help="write a published checkpoint as a model file"
    )
    convert_parser.add_argument("input", type=Path, metavar="IN", help=".pth or .safetensors")
    convert_parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    convert_parser.add_argument("--sample-rate", type=int, metavar="HZ", help="for files that do not state it")
    convert_parser.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()

    if given.verb == "fetch":
        from codec.descript.download import fetch_checkpoint

        target = fetch_checkpoint(given.url, given.output)
        print(f"{target}: fetched; next: python -m codec.weights convert {target} -o OUT.safetensors")
        return

    from codec.descript.conversion import convert
    from codec.rvqgan.codec import count_parameters

    model = convert(given.input, given.output, given.sample_rate, given.force)
    print(f"{given.output}: {count_parameters(model)} parameters, {model.config.bitrate_bps():.1f} bit/s")


if __name__ == "__main__":
    run(main)
