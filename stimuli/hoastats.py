"""Print what the signals of an Ambisonic recording reveal about it.

    python -m stimuli.hoastats data/prepared/seed-1/Beach.8.wav

Order, channel order and normalisation (with the evidence), the corner frequencies of the microphone's order
filters, its self-noise, and in bands of frequencies: the energy of each order relative to W, the effective rank of
the channels and the diffuseness. The file is read block by block and not changed.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "stimuli.hoastats")
    arguments.add_argument("file", type=Path, metavar="FILE", help="Ambisonic file of any order, ACN")
    arguments.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers to a file")
    options = arguments.parse_args()
    from render.common.files import write_json
    from render.fileio.scene_file import scene_files, split_blocks, split_info
    from stimuli.field_statistics.recording_report import report
    from stimuli.field_statistics.statistics import measure

    try:
        paths = scene_files(options.file)
        measured = measure(split_blocks(paths), split_info(paths).sample_rate_hz)
    except InputError as error:
        message = str(error)
        raise InputError(message if str(options.file) in message else f"{options.file}: {message}") from None
    print(report(measured))
    if options.json:
        write_json(options.json, measured.record())


if __name__ == "__main__":
    run(main)
