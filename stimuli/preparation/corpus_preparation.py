"""Bring recordings into the form of the paper: third order, 44.1 kHz, 16 bit.

    python -m stimuli.prepare EIGENSCAPE -o data/eigenscape
    python -m stimuli.prepare EIGENSCAPE --split scene --fold Beach -o data/no-beach

Takes a folder of recordings with EigenScape's names, flat, in folders or in its zip files, or any other file
or folder of ambiX (ACN/SN3D) of third order or higher. Keeps the first 16 channels, resamples (soxr VHQ),
multiplies by one recorded gain, a multiple of 6 dB, that leaves 3 dB of headroom, and adds triangular
dither. A recording whose statistics say that it is N3D or FuMa is refused. Finished files are kept: the
command can be interrupted and repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import progress
from render.common.errors import InputError
from render.common.parallel import in_parallel
from render.fileio.audio_file import info
from stimuli.eigenscape.corpus import CLASSES, HOLDOUT, Recording, split
from stimuli.eigenscape.sources import METADATA, Source, find, locations, shared_locations
from stimuli.preparation.conversion import check_form, prepare_source

TRAINING, HELD_OUT = "training", "held-out"  # folders of a split


def part_of(recording: Recording, holdout: int | str) -> str:
    """Folder of a recording in a split corpus."""
    return TRAINING if split([recording], holdout)[0] else HELD_OUT


def prepare(
    root: Path,
    folder: Path,
    numbers: set[int] | None = None,
    workers: int = 1,
    bits: int = 16,
    gain_db: float | None = None,
    convention: str = "auto",
    verify: bool = False,
    holdout: int | str | None = None,
) -> None:
    """Prepare what is found below `root` into `folder`, in parallel; split into two folders with `holdout`."""
    found = find(root)
    sources = [s for s in found if numbers is None or (s.recording and s.recording.number in numbers)]
    if not sources:
        raise InputError(f"{root}: none of its recordings has a number in {sorted(numbers or ())}")
    if root.is_dir() and not any(source.recording for source in sources):
        sources = _of_third_order(root, sources)
    if holdout is not None:
        _warn_of_shared_locations(root, sources, holdout)
    jobs = {}
    for source in sources:
        place = folder if holdout is None or not source.recording else folder / part_of(source.recording, holdout)
        jobs[place / source.name] = (source, place / source.name, bits, gain_db, convention, verify)
    made = in_parallel(prepare_source, jobs, workers)
    for _ in progress(made, "prepare recording", len(jobs)):
        pass
    print(f"{folder}: {len(jobs)} recordings, 16 channels, 44.1 kHz, {bits} bit")


def _of_third_order(root: Path, sources: list[Source]) -> list[Source]:
    """Files of a folder that can be prepared; what is passed over is told."""
    kept = []
    for source in sources:
        try:
            if not source.member:
                check_form(info(source.path))
            kept.append(source)
        except InputError as error:
            print(f"passed over: {error}", file=sys.stderr)
    if not kept:
        raise InputError(f"{root}: none of its {len(sources)} audio files is ambiX of third order or higher")
    return kept


def _warn_of_shared_locations(root: Path, sources: list[Source], holdout: int | str) -> None:
    """Tell what is held out, and where the same place is on both sides of the split."""
    recordings = [source.recording for source in sources if source.recording]
    if len(recordings) < len(sources):
        raise InputError(f"{root}: only recordings with EigenScape's names can be split")
    training, held_out = split(recordings, holdout)
    print(f"{len(training)} recordings to {TRAINING}, {len(held_out)} to {HELD_OUT} (fold {holdout})")
    places = locations(root)
    if not places:
        print(f"note: no {METADATA} below {root}; equal locations cannot be told", file=sys.stderr)
    for sentence in shared_locations(training, held_out, places):
        print(f"warning: {sentence}", file=sys.stderr)


def fold_of(kind: str | None, fold: str | None) -> int | str | None:
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
        raise InputError(f"--fold {fold}: with --split recording possible are 1 to 8")
    return int(fold) if fold else HOLDOUT
