"""What a run folder says about itself: settings, versions, machine."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from render.artefact import write_json


def describe_run(folder: Path, model_config: Any, config: Any) -> None:
    """Write config.json (model and training settings) and env.json (versions, commit, machine)."""
    write_json(folder / "config.json", {"model": model_config.as_json(), "train": asdict(config)}, force=True)
    packages = ("torch", "numpy", "scipy", "soundfile", "soxr", "numba", "safetensors")
    write_json(
        folder / "env.json",
        {
            "commit": _commit(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
            **{name: version(name) for name in packages},
        },
        force=True,
    )


def _commit() -> str | None:
    """Return the commit of the checkout that runs, None outside one."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    answer = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603, no shell, fixed words
    return answer.stdout.strip() or None
