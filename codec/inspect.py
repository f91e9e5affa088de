"""Describe what an .arvq file holds.

    python -m codec.inspect out/demo/scenes/Beach/prop.arvq

Prints its bit rate and what takes it, the entropy of the codes of each codebook, damaged packets, and checksums.
No model is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from render.common.cli import parser, run
from render.common.errors import InputError


def report(found: dict[str, Any]) -> str:
    """Return the table that the command prints."""
    order = f", order {round(found['channels'] ** 0.5) - 1}, ACN/SN3D" if found["layout"] == "ambiX" else ""
    lines = [
        f"{found['file']}  {found['bytes']} bytes  {found['kbps']:.3f} kbit/s  {found['seconds']:.3f} s",
        f"  {found['channels']} channels, {found['sample_rate_hz']} Hz, {found['layout'] or 'no layout'}{order}",
        f"  {found['codebooks']} of {found['model_codebooks']} codebooks, gain {found['gain_db']:+.2f} dB, "
        f"{'range-coded' if found['range_coded'] else 'packed'}, {found['packets']} packets"
        f"{', low delay' if found['low_delay'] else ''}",
        f"  model {found['model']}  source {found['source_crc32']}  SHA-256 {found['sha256']}",
        "  kbit/s: " + ", ".join(f"{name} {rate:.3f}" for name, rate in found["kbps_of"].items()),
    ]
    if found["original_sample_rate_hz"] != found["sample_rate_hz"] or found["original_order"] is not None:
        order = "" if found["original_order"] is None else f", order {found['original_order']}"
        lines.append(
            f"  recording: {found['original_sample_rate_hz']} Hz{order}, {found['original_length']} samples"
        )
    lines.append(f"  reachable: {found['reachable']}")
    if found["replaced"]:
        lines.append(f"  {found['replaced']}")
    if found["range_coded"]:
        lines.append(f"  range coding saves {found['kbps_saved_by_range_coding']:.3f} kbit/s")
    if found["damaged_packets"]:
        lines.append(f"  DAMAGED packets: {', '.join(map(str, found['damaged_packets']))}")
    lines.append(f"  codebook  entropy/bit  codes used   ({found['frames']} frames)")
    for index, (entropy, used) in enumerate(zip(found["entropy_bits"], found["codes_used"], strict=True), start=1):
        lines.append(f"  {index:8}  {entropy:11.2f}  {used:10}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.inspect")
    arguments.add_argument("input", type=Path, nargs="+", metavar="X.arvq")
    arguments.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = arguments.parse_args()

    import json

    from codec.bitstream.inspection import inspect
    from render.common.stdio import input_path

    found = []
    for name in given.input:
        where = "standard input" if str(name) == "-" else str(name)
        if str(name) != "-" and not name.is_file():
            raise InputError(f"{where}: no such file")
        with input_path(name) as path:
            found.append(inspect(path, where))
    print(json.dumps(found, indent=1) if given.json else "\n".join(report(one) for one in found))


if __name__ == "__main__":
    run(main)
