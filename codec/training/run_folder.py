"""The folder of a run: its settings, and a record of the versions, the machine and the data it is trained with."""

from __future__ import annotations

import fcntl
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from codec.rvqgan.config import ModelConfig
from codec.training.config import TrainConfig, load_preset, preset_text, refuse_other_settings, settings_record
from codec.training.distributed import is_first_process
from render.common.errors import InputError
from render.common.files import read_json, whole_file, write_json

DEFAULT_PRESET = "small"
BEFORE_FIRST_STEP = {"components", "config.toml", "env.json"}
"""What a run whose principal components are being made has in its folder."""
PACKAGES = ("torch", "numpy", "scipy", "soundfile", "soxr", "numba", "safetensors")


@dataclass(frozen=True)
class Run:
    """A training run: what is trained on what, and where it is written.

    Attributes
    ----------
    folder : Path
    model : ModelConfig
    config : TrainConfig
    data : list of Path
        Folders of prepared recordings.
    device : str or None
        "cpu" or "cuda"; None: CUDA where it is available.
    """

    folder: Path
    model: ModelConfig
    config: TrainConfig
    data: list[Path]
    device: str | None = None

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, as they stand in meta.json of a checkpoint."""
        return settings_record(self.model, self.config)


def new_run(
    folder: Path, preset: str | None, changes: dict[str, Any], data: list[Path], device: str | None = None
) -> Run:
    """Return a run that begins in an empty or missing folder.

    Parameters
    ----------
    folder : Path
    preset : str or None
        Name or path of a preset; None: `DEFAULT_PRESET`.
    changes : dict
        Settings of ``[train]`` that replace those of the preset.
    data : list of Path
    device : str, optional

    Raises
    ------
    InputError
        If the folder holds a run already, if no data are given, or if a setting is not valid.
    """
    # A start that was interrupted before the first step may be repeated, with other settings too. The first
    # process checks; the others may already find what it has written.
    taken = folder.exists() and not {path.name for path in folder.iterdir()} <= BEFORE_FIRST_STEP
    if taken and is_first_process():
        raise InputError(f"{folder}: exists; use --resume to continue it, or choose another --run")
    model, config = load_preset(preset or DEFAULT_PRESET)
    return Run(folder, model, replace(config, **changes), _required(data), device)


def existing_run(
    folder: Path, preset: str | None, changes: dict[str, Any], data: list[Path], device: str | None = None
) -> Run:
    """Return a run that is to be resumed or replayed; parameters as for `new_run`.

    Preset and data are by default those of the run. ``steps`` in `changes` extends a run (or
    shortens it); all other settings must be those of the run, except `codec.training.config.FREE_ON_RESUME`.

    Raises
    ------
    InputError
        If other settings differ, or if no data are given and none are recorded.
    """
    own = folder / "config.toml"
    model, config = load_preset(preset or (str(own) if own.is_file() else DEFAULT_PRESET))
    config = replace(config, **changes)
    if own.is_file():
        own_model, own_config = load_preset(str(own))
        if "steps" in changes:
            own_config = replace(own_config, steps=config.steps)
        refuse_other_settings(settings_record(own_model, own_config), model, config, str(folder))
    return Run(folder, model, config, _required(data or recorded_data(folder)), device)


def _required(data: list[Path]) -> list[Path]:
    if not data:
        raise InputError("--data DIR is needed: folders of prepared recordings (python -m stimuli.prepare)")
    return data


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run, so that no two processes train it; it ends with the process, even a killed one.

    Raises
    ------
    InputError
        If another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another process is training this run; wait for it, or stop it") from None
        yield


def describe_run(run: Run) -> None:
    """Write config.toml (a preset that repeats the run) and env.json (versions, commit, machine, data)."""
    with whole_file(run.folder / "config.toml", force=True) as temporary:
        temporary.write_text(preset_text(run.model, run.config), encoding="utf-8")
    environment = {
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "data": [str(path) for path in run.data],
        **{name: version(name) for name in PACKAGES},
    }
    write_json(run.folder / "env.json", environment, force=True)


def recorded_data(folder: Path) -> list[Path]:
    """Return the folders of recordings that a run was last trained on, as recorded in its env.json; maybe none."""
    path = folder / "env.json"
    return [Path(data) for data in read_json(path).get("data", [])] if path.is_file() else []


def _commit() -> str | None:
    """Return the commit of this checkout, None outside of one."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    answer = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603, no shell, fixed words
    return answer.stdout.strip() or None
