"""Make the same stream at a lower rate: ``python -m codec.truncate X.arvq --codebooks 9 -o Y.arvq``.

Cuts the last codebooks out of every packet. No network runs: the result is the file that codec.encode --codebooks
makes, byte for byte.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.truncate")
    arguments.add_argument("input", type=Path, metavar="X.arvq")
    arguments.add_argument("--codebooks", type=int, required=True, metavar="N", help="codebooks that stay")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="Y.arvq")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()

    from codec.bitstream.file import read_header, read_packets, write_stream
    from render.common.stdio import input_path, output_path

    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not given.input.is_file():
        raise InputError(f"{where}: no such file")
    with input_path(given.input) as path, open(path, "rb") as source:
        header = read_header(source, where)
        if not 1 <= given.codebooks <= header.codebooks:
            raise InputError(f"{where}: has {header.codebooks} codebooks, {given.codebooks} cannot stay")
        smaller = replace(header, codebooks=given.codebooks)
        packets = read_packets(source, header, where)
        cut = (packet._replace(codes=packet.codes[: given.codebooks]) for packet in packets)
        with output_path(given.output, ".arvq", given.force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, smaller, cut)
    kbps = size * 8 / (header.length / header.sample_rate_hz) / 1000
    print(f"{given.output}: {size} bytes, {kbps:.3f} kbit/s, {given.codebooks} codebooks", file=sys.stderr)


if __name__ == "__main__":
    run(main)
