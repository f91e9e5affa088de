"""What a run folder says about itself: settings, versions, machine, and how the training went."""

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


class Metrics:
    """metrics.csv (the truth) and the same rows on the terminal; rows after a resumed step are dropped."""

    columns = (
        "step", "learning_rate", "seconds_per_step", "mel", "covariance", "band_covariance", "waveform",
        "quantizer", "val_mel", "val_covariance", "val_band_covariance", "val_snr_db", "val_perplexity",
    )  # fmt: skip

    def __init__(self, path: Path, step: int):
        self.path, self.sums = path, {}
        kept = []
        if step and path.exists():
            kept = [r for r in path.read_text().splitlines()[1:] if int(r.split(",")[0]) <= step]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([",".join(self.columns), *kept]) + "\n")

    def add(self, values: dict[str, float]) -> None:
        """Count the losses of one step."""
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)

    def write(self, step: int, rate: float, validation: dict[str, float], seconds: float, left_s: float) -> None:
        """Write the means since the last row, and print them."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        row = {"step": step, "learning_rate": rate, "seconds_per_step": seconds, **means}
        row |= {f"val_{name}": value for name, value in validation.items()}
        self.sums = {}
        cells = (f"{row[c]:.6g}" if c in row else "" for c in self.columns)
        with open(self.path, "a") as file:
            file.write(",".join(cells) + "\n")
        shown = "  ".join(f"{k} {v:.3g}" for k, v in row.items() if k not in ("learning_rate", "step"))
        print(f"step {step}  {shown}  {left_s / 60:.0f} min left", flush=True)
