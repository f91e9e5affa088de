"""Prepare a whole corpus: which recordings, where each is written, and what is held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from render.common.errors import InputError
from render.common.parallel import in_parallel
from stimuli.eigenscape.corpus import Recording, split
from stimuli.eigenscape.published_metadata import locations, shared_locations
from stimuli.eigenscape.sources import Source, find_sources
from stimuli.preparation.conversion import PreparationSettings, prepare_source, recording_info

TRAINING, HELD_OUT = "training", "held-out"  # folders of a corpus that is split


@dataclass(frozen=True)
class Division:
    """How a corpus divides into training and held-out recordings.

    Attributes
    ----------
    training, held_out : list of Recording
    locations_known : bool
        Whether the corpus's table of locations was found.
    shared_locations : list of str
        Sentences about held-out recordings that were made at the same place as a training recording.
    """

    training: list[Recording]
    held_out: list[Recording]
    locations_known: bool
    shared_locations: list[str]


def select_sources(root: Path, numbers: set[int] | None = None) -> list[Source]:
    """Find the recordings below `root`, or those with the given numbers.

    Raises
    ------
    InputError
        If there are none.
    """
    sources = find_sources(root)
    if numbers is not None:
        sources = [source for source in sources if source.recording and source.recording.number in numbers]
    if not sources:
        raise InputError(f"{root}: none of its recordings has a number in {sorted(numbers or ())}")
    return sources


def without_unsuitable(root: Path, sources: list[Source]) -> tuple[list[Source], list[str]]:
    """Leave out the files of a folder that are not ambiX of third order; also return why each was left out.

    A single file and a folder of EigenScape's recordings are returned as they are: a defect of one of them is an
    error. Members of zip files are checked when they are unpacked.
    """
    if not root.is_dir() or any(source.recording for source in sources):
        return sources, []
    suitable, reasons = [], []
    for source in sources:
        try:
            if not source.member:
                recording_info(source.path)
            suitable.append(source)
        except InputError as error:
            reasons.append(str(error))
    return suitable, reasons


def divide(root: Path, sources: list[Source], holdout: int | str) -> Division:
    """Divide recordings of EigenScape as `split` does, and find locations that occur in both parts.

    Raises
    ------
    InputError
        If a recording is not named like EigenScape's.
    """
    recordings = [source.recording for source in sources if source.recording]
    if len(recordings) < len(sources):
        raise InputError(f"{root}: only recordings with EigenScape's names can be split")
    training, held_out = split(recordings, holdout)
    places = locations(root)
    return Division(training, held_out, bool(places), shared_locations(training, held_out, places))


def prepare_sources(
    sources: list[Source],
    folder: Path,
    settings: PreparationSettings,
    holdout: int | str | None = None,
    verify: bool = False,
    workers: int = 1,
) -> Iterator[Path]:
    """Prepare recordings in parallel and yield the path of each when it is finished.

    Parameters
    ----------
    sources : list of Source
    folder : Path
    settings : PreparationSettings
    holdout : int, str or None
        Fold of `split`: recordings are written to the folders ``training`` and ``held-out`` below `folder`.
    verify : bool
        Compare every source with EigenScape's published MD5.
    workers : int
        Processes.
    """
    jobs = {}
    for source in sources:
        target = _part(folder, source, holdout) / source.name
        jobs[target] = (source, target, settings, verify)
    for target, _ in in_parallel(prepare_source, jobs, workers):
        yield target


def _part(folder: Path, source: Source, holdout: int | str | None) -> Path:
    if holdout is None or source.recording is None:
        return folder
    is_training = bool(split([source.recording], holdout)[0])
    return folder / (TRAINING if is_training else HELD_OUT)
