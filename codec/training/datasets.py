"""The recordings of a run: those that it is trained on, and those that are held out for validation."""

from __future__ import annotations

from pathlib import Path

from codec.coding.front_end import front_end_of
from codec.training.component_files import component_files, training_units
from codec.training.distributed import Processes
from codec.training.excerpts import Augmentation, Excerpts
from codec.training.recordings import SignalFormat, open_recordings
from codec.training.run_folder import Run, describe_run
from codec.training.validation import ValidationSet, excerpt_length
from render.common.errors import InputError
from stimuli.eigenscape.corpus import HOLDOUT, find_recordings, split


def training_and_held_out(folders: list[Path], holdout: int | str = HOLDOUT) -> tuple[list[Path], list[Path]]:
    """Return the recordings in `folders` to train on, and those held out (`stimuli.eigenscape.corpus.split`).

    Raises
    ------
    InputError
        If a folder has no recordings or is given twice, if there is nothing to train on, or nothing held out.
    """
    found = [recording for folder in folders for recording in find_recordings(folder)]
    resolved = [recording.path.resolve() for recording in found]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise InputError(f"{twice[0]}: lies in two of the given folders; name each folder once")
    training, held_out = split(found, holdout)
    where = ", ".join(map(str, folders))
    which = f"the class {holdout}" if isinstance(holdout, str) else f"recording {holdout} of each class"
    if not training:
        raise InputError(
            f"{where}: nothing to train on: all {len(found)} recordings are held out ({which}); prepare others too"
        )
    if not held_out:
        raise InputError(
            f"{where}: nothing is held out for validation ({which}) among {len(found)} recordings; prepare it too"
        )
    return [r.path for r in training], [r.path for r in held_out]


def open_datasets(run: Run, group: Processes) -> tuple[Excerpts, ValidationSet]:
    """Open the recordings of a run: random excerpts to train on, and the held-out ones for validation.

    A model that codes principal components is trained on these; they are written to ``run.folder/components``,
    after the description of the run: it can be resumed from then on.

    Raises
    ------
    InputError
        If the recordings cannot be split (`training_and_held_out`), or one of them cannot be used
        (`codec.training.recordings.open_recordings`).
    """
    model, config = run.model, run.config
    training_paths, held_out_paths = training_and_held_out(run.data, config.holdout)
    signal_format = SignalFormat(model.channels, model.sample_rate_hz, model.layout)
    held_out = open_recordings(held_out_paths, signal_format, config.level_dbfs)
    lengths = [recording.length for recording in held_out]
    length = excerpt_length(lengths, model.sample_rate_hz, model.hop, config.validation_seconds)
    validation = ValidationSet(held_out, length, config.validation_per_recording)
    recordings = open_recordings(training_paths, signal_format, config.level_dbfs, config.excerpt_frames)
    # The components of a rotated scene are those of the scene
    keeps_channels = front_end_of(model).keeps_channels
    rotate = config.turn and not model.layout and keeps_channels
    if not keeps_channels:
        components = run.folder / "components"
        if group.is_first and not run.checkpoints.exists():
            describe_run(run)
        units = training_units(model, len(recordings))
        own = slice(group.rank, None, group.count)
        component_files(recordings[own], units[own], model, components)
        group.wait()
        recordings = component_files(recordings, units, model, components)
    augmentation = Augmentation(rotate, config.mix, config.phase_shift)
    return Excerpts(recordings, config.excerpt_frames, config.seed, augmentation), validation
