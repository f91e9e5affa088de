"""Convert recordings to the format of the paper: third order, 44.1 kHz, 16 bit.

    python -m stimuli.prepare data/synthetic/seed-1 -o data/prepared/seed-1
    python -m stimuli.prepare EIGENSCAPE -o data/eigenscape
    python -m stimuli.prepare EIGENSCAPE --split scene --fold Beach -o data/no-beach

The input is a folder of recordings with EigenScape's names, flat, in folders or in its zip files, or any other
file or folder of ambiX (ACN/SN3D) of third order or higher. The first 16 channels are kept, resampled (soxr VHQ),
multiplied by one gain (a multiple of 6 dB that leaves 3 dB of headroom, and is recorded), and dithered with
triangular noise. A file that says that it is N3D or FuMa is converted, one whose statistics show it without being
said is refused. A scene in several files (a_01-08ch.wav, a_09-16ch.wav) is one recording. Finished files are kept:
the command can be interrupted and repeated.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.progress import progress
from stimuli.eigenscape.corpus import CLASSES, HOLDOUT


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "stimuli.prepare")
    arguments.add_argument("root", type=Path, metavar="ROOT", help="folder of recordings, one file or zip file")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    arguments.add_argument("--recordings", metavar="1,8", help="only these numbers of each class")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="files at the same time")
    arguments.add_argument("--bits", type=int, choices=(16, 24), default=16, help="default 16, as in the paper")
    arguments.add_argument(
        "--gain-db", type=float, help="one gain for all files (default: per file, in 6 dB steps)"
    )
    arguments.add_argument(
        "--convention",
        choices=("auto", "sn3d", "n3d", "fuma"),
        default="auto",
        help="convention of the files (default auto: what they say, SN3D where they say nothing, refused if their "
        "statistics differ)",
    )
    arguments.add_argument("--verify", action="store_true", help="compare with EigenScape's MD5 sums")
    arguments.add_argument(
        "--split",
        choices=("recording", "scene"),
        help="write to training/ and held-out/: one recording of each class held out, or a whole class",
    )
    arguments.add_argument("--fold", metavar="F", help="which one: 1 to 8 (default 8), or a class")
    given = arguments.parse_args()
    numbers, holdout = _numbers(given.recordings), _holdout(given.split, given.fold)
    from stimuli.eigenscape.published_metadata import METADATA
    from stimuli.preparation.conversion import PreparationSettings
    from stimuli.preparation.corpus_preparation import (
        HELD_OUT,
        TRAINING,
        divide,
        prepare_sources,
        select_sources,
        without_unsuitable,
    )

    found = select_sources(given.root, numbers)
    sources, reasons = without_unsuitable(given.root, found)
    for reason in reasons:
        print(f"skipped: {reason}", file=sys.stderr)
    if not sources:
        raise InputError(f"{given.root}: none of its {len(found)} audio files is ambiX of third order or higher")
    if holdout is not None:
        division = divide(given.root, sources, holdout)
        training, held_out = len(division.training), len(division.held_out)
        print(f"{training} recordings to {TRAINING}, {held_out} to {HELD_OUT} (fold {holdout})")
        if not division.locations_known:
            print(f"note: no {METADATA} below {given.root}; shared locations cannot be found", file=sys.stderr)
        for sentence in division.shared_locations:
            print(f"warning: {sentence}", file=sys.stderr)
    settings = PreparationSettings(given.bits, given.gain_db, given.convention)
    workers = max(1, given.workers or 1)
    prepared = prepare_sources(sources, given.output, settings, holdout, given.verify, workers)
    for _ in progress(prepared, "prepare recording", len(sources)):
        pass
    print(f"{given.output}: {len(sources)} recordings, 16 channels, 44.1 kHz, {given.bits} bit")


def _numbers(text: str | None) -> set[int] | None:
    """Numbers of recordings from "1,8"; None where the option is not given."""
    try:
        return {int(number) for number in text.split(",")} if text else None
    except ValueError:
        raise InputError(f"--recordings {text}: need numbers like 1,8") from None


def _holdout(kind: str | None, fold: str | None) -> int | str | None:
    """Held-out recording number or class from --split and --fold; None without a split."""
    if kind is None:
        if fold is not None:
            raise InputError(f"--fold {fold}: needs --split recording or --split scene")
        return None
    if kind == "scene":
        if fold not in CLASSES:
            raise InputError(f"--fold {fold}: with --split scene a class is held out: {', '.join(CLASSES)}")
        return fold
    if fold is not None and (not fold.isdecimal() or not 1 <= int(fold) <= 8):
        raise InputError(f"--fold {fold}: with --split recording, numbers from 1 to 8 are possible")
    return int(fold) if fold else HOLDOUT


if __name__ == "__main__":
    run(main)
