"""Describe the loudspeakers of a room, and exchange them with other programs.

Prints where each loudspeaker of a layout stands. The layout is one of BS.2051 or IAMF, or a file: .toml, or the
.json of IEM AllRADecoder and of SPARTA. -o writes it as the other kind of file; with --decoder the .json holds the
decoding matrix, too, which IEM SimpleDecoder plays. render.decode reads either: --layout room.json --decoder
room.json.

    python -m render.layout 7.1.4
    python -m render.layout room.toml -o room.json --decoder pareto
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.layout")
    arguments.add_argument("layout", help="7.1.4, 5.1, ... or a .toml or .json file of loudspeaker positions")
    arguments.add_argument("--decoder", help="decoder to write into the .json, see render.decode")
    arguments.add_argument("--ambisonic-order", type=int, default=3, metavar="N", help="of --decoder, default 3")
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument("-o", "--output", type=Path, metavar="FILE", help=".toml or .json to write")
    given = arguments.parse_args()
    if given.output and given.output.suffix not in (".toml", ".json"):
        raise InputError(f"{given.output}: the name of a file of loudspeakers ends in .toml or .json")
    if given.decoder and (given.output is None or given.output.suffix != ".json"):
        raise InputError("--decoder is written into a .json file; add -o FILE.json")

    from render.hoa.layout import is_layout_file, layout
    from render.loudspeakers.calibration import read_distances
    from render.loudspeakers.design import decoding_matrix
    from render.loudspeakers.plugin_files import write_layout, write_plugin_file

    of = layout(given.layout)
    distances = read_distances(Path(given.layout)) if is_layout_file(given.layout) else {}
    print(f"{of.name}: {len(of.full_range)} loudspeakers, {len(of.labels) - len(of.full_range)} LFE channels")
    for channel, speaker in enumerate(of.loudspeakers, start=1):
        place = f"azimuth {speaker.azimuth_deg:7.2f}  elevation {speaker.elevation_deg:6.2f}"
        place = "LFE" if speaker.is_lfe else place
        far = f"  {distances[speaker.label]:.2f} m" if speaker.label in distances else ""
        print(f"{channel:4d}  {speaker.label:8s} {place}{far}")
    if given.output and given.output.suffix == ".toml":
        write_layout(given.output, of, distances, given.force)
    elif given.output:
        matrix = decoding_matrix(of, given.ambisonic_order, given.decoder) if given.decoder else None
        write_plugin_file(given.output, of, distances, matrix, given.force)


if __name__ == "__main__":
    run(main)
