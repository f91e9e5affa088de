"""Make the same stream at a lower rate.

    python -m codec.truncate out/demo/scenes/Beach/prop.arvq --codebooks 9 -o out/half.arvq

Cuts the last codebooks out of every packet. No network runs: the result is the file that codec.encode --codebooks
makes, byte for byte. ``--kbps 10`` keeps as many codebooks as that rate allows; codec.inspect lists the rates that
a file can have. Where a stream has side information, it takes the place of the last codebooks (of the shipped
model from the middle of the second on), so that 2 to 18 codebooks have the same rate.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.truncate")
    arguments.add_argument("input", type=Path, metavar="X.arvq")
    rate = arguments.add_mutually_exclusive_group(required=True)
    rate.add_argument("--codebooks", type=int, metavar="N", help="codebooks that are kept")
    rate.add_argument(
        "--kbps", type=float, metavar="R", help="keep as many as R kbit/s allow, before range coding"
    )
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="Y.arvq")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not given.input.is_file():
        raise InputError(f"{where}: no such file")

    from codec.bitstream.file import keep_codebooks, read_header, read_packets, write_stream
    from codec.bitstream.rates import codebooks_within, replaced_codebooks, replaced_text
    from render.common.stdio import input_path, output_path

    with input_path(given.input) as path, open(path, "rb") as source:
        header = read_header(source, where)
        packets = read_packets(source, header, where)
        count = given.codebooks if given.kbps is None else codebooks_within(header, given.kbps, where)
        header, packets = keep_codebooks(header, packets, count, where)
        with output_path(given.output, ".arvq", given.force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, header, packets)
    kbps = size * 8 / (header.length / header.sample_rate_hz) / 1000
    print(f"{given.output}: {size} bytes, {kbps:.3f} kbit/s, {count} codebooks", file=sys.stderr)
    if count in replaced_codebooks(header):
        print(f"{replaced_text(header)}: without them the file is about as large", file=sys.stderr)


if __name__ == "__main__":
    run(main)
