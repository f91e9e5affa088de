"""Training checkpoints: safetensors with digests, complete or absent, never pickle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from render.artefact import read_json, sha256, write_json
from render.errors import InputError


def save(folder: Path, step: int, groups: dict[str, dict[str, Tensor]], meta: dict[str, Any]) -> Path:
    """Write ``folder/<step>/<group>.safetensors`` and ``meta.json``; the two newest steps are kept.

    The files are written into a temporary folder, which gets its name last: a killed process leaves
    the checkpoints before this one untouched.
    """
    final = folder / f"{step:07d}"
    temporary = folder / f".{step:07d}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    digests = {}
    for name, tensors in groups.items():
        path = temporary / f"{name}.safetensors"
        save_file({key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}, path)
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        digests[path.name] = sha256(path)
    write_json(temporary / "meta.json", {**meta, "step": step, "sha256": digests})
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    for old in steps(folder)[:-2]:
        shutil.rmtree(folder / f"{old:07d}")
    return final


def steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in a folder, in order."""
    return sorted(int(p.name) for p in folder.glob("[0-9]*") if (p / "meta.json").is_file())


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read a checkpoint; a file that is missing or differs from its digest raises `InputError`."""
    meta = read_json(path / "meta.json")
    groups = {}
    for name, digest in meta["sha256"].items():
        file = path / name
        if not file.is_file() or sha256(file) != digest:
            raise InputError(f"{file}: missing or damaged; remove {path} to resume from the one before")
        try:
            groups[file.stem] = load_file(file)
        except SafetensorError as error:
            raise InputError(f"{file}: no safetensors file ({error})") from error
    return groups, meta
