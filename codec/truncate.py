"""Make the same stream at a lower rate: ``python -m codec.truncate X.arvq --codebooks 9 -o Y.arvq``.

Cuts the last codebooks out of every packet. No network runs: the result is the file that codec.encode --codebooks
makes, byte for byte.
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
    arguments.add_argument("--codebooks", type=int, required=True, metavar="N", help="codebooks that are kept")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="Y.arvq")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    where = "standard input" if str(given.input) == "-" else str(given.input)
    if str(given.input) != "-" and not given.input.is_file():
        raise InputError(f"{where}: no such file")

    from codec.bitstream.file import keep_codebooks, read_header, read_packets, write_stream
    from render.common.stdio import input_path, output_path

    with input_path(given.input) as path, open(path, "rb") as source:
        header = read_header(source, where)
        packets = read_packets(source, header, where)
        header, packets = keep_codebooks(header, packets, given.codebooks, where)
        with output_path(given.output, ".arvq", given.force) as temporary, open(temporary, "wb") as file:
            size = write_stream(file, header, packets)
    kbps = size * 8 / (header.length / header.sample_rate_hz) / 1000
    print(f"{given.output}: {size} bytes, {kbps:.3f} kbit/s, {given.codebooks} codebooks", file=sys.stderr)


if __name__ == "__main__":
    run(main)
