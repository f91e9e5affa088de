"""Checkpoints of training runs: safetensors with digests, either complete or absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from render.common.errors import InputError
from render.common.files import read_json, sha256, write_json

Groups = dict[str, dict[str, Tensor]]
KEPT = 2  # newest checkpoints


def save(folder: Path, step: int, groups: Groups, meta: dict[str, Any]) -> Path:
    """Write ``folder/<step>/<group>.safetensors`` and ``meta.json``; the two newest steps are kept.

    Parameters
    ----------
    folder : Path
        Folder of the checkpoints.
    step : int
    groups : dict of dict of tensor
        Tensors by name, in groups that become a file each.
    meta : dict
        JSON values for ``meta.json``, which also gets the step and the digests.

    Returns
    -------
    Path
        Folder of this checkpoint.

    Raises
    ------
    InputError
        If the disk is full or cannot be written to; the earlier checkpoints are unchanged.
    """
    final = _write(folder, f"{step:07d}", groups, {**meta, "step": step})
    for old in steps(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{old:07d}")
    return final


def save_best(folder: Path, step: int, groups: Groups, meta: dict[str, Any]) -> Path:
    """Write ``folder/best-<step>`` as `save` does, then remove the previous best checkpoint."""
    final = _write(folder, f"best-{step:07d}", groups, {**meta, "step": step})
    for old in folder.glob("best-*"):
        if old != final:
            shutil.rmtree(old)
    return final


def best(folder: Path) -> dict[str, Any]:
    """Return the content of meta.json of the best checkpoint, empty if there is none."""
    return max((read_json(path) for path in folder.glob("best-*/meta.json")), key=lambda m: m["step"], default={})


def _write(folder: Path, name: str, groups: Groups, meta: dict[str, Any]) -> Path:
    """Write the files to a temporary folder and rename it last: a checkpoint is either complete or absent."""
    final, temporary = folder / name, folder / f".{name}.part"
    digests = {}
    try:
        for stale in folder.glob(".*.part"):
            shutil.rmtree(stale)
        temporary.mkdir(parents=True)
        for group, tensors in groups.items():
            path = temporary / f"{group}.safetensors"
            save_file({key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}, path)
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
            digests[path.name] = sha256(path)
        write_json(temporary / "meta.json", {**meta, "sha256": digests})
        if final.exists():  # the step is repeated from an earlier checkpoint
            shutil.rmtree(final)
        temporary.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = steps(folder)
        earlier = f"the one of step {kept[-1]} is intact" if kept else "there is no earlier one"
        raise InputError(
            f"{final}: the checkpoint cannot be written ({_reason(error)}); {earlier}. Make room, then continue "
            "with --resume"
        ) from error
    return final


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def steps(folder: Path) -> list[int]:
    """Return the steps of the complete checkpoints in a folder, in ascending order."""
    return sorted(int(p.name) for p in folder.glob("[0-9]*") if (p / "meta.json").is_file())


def load(path: Path) -> tuple[Groups, dict[str, Any]]:
    """Read a checkpoint; return its groups of tensors and the content of its meta.json.

    Raises
    ------
    InputError
        If a file is missing or differs from its digest.
    """
    meta = read_json(path / "meta.json")
    groups = {}
    for name, digest in meta["sha256"].items():
        file = path / name
        if not file.is_file() or sha256(file) != digest:
            raise InputError(f"{file}: missing or damaged; remove {path} to resume from the previous checkpoint")
        try:
            groups[file.stem] = load_file(file)
        except SafetensorError as error:
            raise InputError(f"{file}: not a safetensors file ({error})") from error
    return groups, meta
