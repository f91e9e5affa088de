"""What a run folder says about itself: settings, versions, machine, and how the training goes."""

from __future__ import annotations

import csv
import fcntl
import math
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec.rvqgan.config import ModelConfig
from codec.training.config import ADVERSARIAL, RECONSTRUCTION, TrainConfig, preset_text
from codec.training.state import State
from codec.training.validation import columns
from render.common.errors import InputError
from render.common.files import read_json, whole_file, write_json

INTERVAL_S = 30.0  # between lines about the progress, where there is no terminal


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Refuse a run that another process trains. The lock goes with the process that holds it, killed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another process is training this run; wait for it, or stop it") from None
        yield


def describe_run(
    folder: Path, model_config: ModelConfig, config: TrainConfig, data: list[Path] | None = None
) -> None:
    """Write config.toml (a preset that repeats the run) and env.json (versions, commit, machine, data)."""
    with whole_file(folder / "config.toml", force=True) as temporary:
        temporary.write_text(preset_text(model_config, config), encoding="utf-8")
    packages = ("torch", "numpy", "scipy", "soundfile", "soxr", "numba", "safetensors")
    cuda = torch.cuda.is_available()
    write_json(
        folder / "env.json",
        {
            "commit": _commit(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "threads": torch.get_num_threads(),
            "data": [str(path) for path in data or []],
            **{name: version(name) for name in packages},
        },
        force=True,
    )


def data_of(folder: Path) -> list[Path]:
    """Folders of recordings that a run was trained on last, as its env.json says."""
    path = folder / "env.json"
    return [Path(data) for data in read_json(path).get("data", [])] if path.is_file() else []


def _commit() -> str | None:
    """Return the commit of the checkout that runs, None outside one."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    answer = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603, no shell, fixed words
    return answer.stdout.strip() or None


def told(values: dict[str, float]) -> str:
    """Numbers with their names, as they are printed."""
    return "  ".join(
        f"{name.removeprefix('val_').replace('_', ' ')} {value:.3g}" for name, value in values.items()
    )


class Metrics:
    """metrics.csv, which is the truth; the same numbers on the terminal, and for TensorBoard if it is installed.

    A row holds the means of the losses since the row before. Rows after the step that a run is resumed at are
    dropped, they come again; so are those that a full disk cut off.
    """

    def __init__(self, folder: Path, model: ModelConfig, config: TrainConfig, step: int, until: int):
        self.path, self.config, self.until = folder / "metrics.csv", config, until
        self.item_s = config.excerpt_frames / model.sample_rate_hz
        used = [name for name in (*RECONSTRUCTION, *ADVERSARIAL) if config.weights.get(name)]
        networks = [
            "gradient_norm",
            *(["discriminator", "discriminator_gradient_norm"] if config.discriminator else []),
        ]
        self.columns = [
            "step", "learning_rate", "seconds_per_step", *used, "quantizer", *networks, "perplexity",
            "perplexity_min", *(f"val_{name}" for name in columns(model)),
        ]  # fmt: skip
        self.sums: dict[str, tuple[float, int]] = {}
        self.begin_step, self.began = step, time.monotonic()
        self.shown = self.began
        self.terminal = sys.stderr.isatty()
        kept: list[list[str]] = []
        if step and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(self.columns)]
            kept = [row for row in rows[1:] if int(row[0]) <= step]
        with whole_file(self.path, force=True) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(",".join(row) + "\n" for row in (self.columns, *kept))
        self.board = _tensorboard(folder / "tensorboard", step)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Count the losses of a step, and show how far the run is."""
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)
        now = time.monotonic()
        if now - self.shown >= (0.2 if self.terminal else INTERVAL_S):
            self.shown = now
            line = self._line(step, values)
            if self.terminal:
                line = f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}"
            print(line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def write(self, step: int, rate: float, found: dict[str, float]) -> None:
        """Write the means since the last row, with what else was found, and print them."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        row = {"step": step, "learning_rate": rate, "seconds_per_step": self._seconds(step), **means, **found}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(",".join(f"{row[c]:.6g}" if c in row else "" for c in self.columns) + "\n")
        if self.board is not None:
            for name, value in list(row.items())[1:]:
                self.board.add_scalar(name.replace("val_", "validation/", 1), value, step)
            self.board.flush()
        self.shown = time.monotonic()
        print("\r\x1b[K" if self.terminal else "", end="", file=sys.stderr, flush=True)
        print(self._line(step, means), flush=True)
        if found:
            print(f"{'validation':>{2 * len(str(self.until)) + 6}}  {told(found)}", flush=True)

    def _line(self, step: int, losses: dict[str, float]) -> str:
        """Step, losses, steps and seconds of audio per second, time left."""
        seconds = max(self._seconds(step), 1e-9)
        left_min = math.ceil(seconds * (self.until - step) / 60)
        left = f"{left_min // 60} h {left_min % 60} min" if left_min >= 60 else f"{left_min} min"
        audio_s = self.config.batch * self.item_s / seconds
        pace = f"{1 / seconds:.2g} steps/s, {audio_s:.3g} s of audio/s, {left} left"
        shown = {name: value for name, value in losses.items() if not name.endswith("norm")}
        return f"step {step:>{len(str(self.until))}}/{self.until}  {pace}  {told(shown)}"

    def _seconds(self, step: int) -> float:
        return (time.monotonic() - self.began) / max(step - self.begin_step, 1)

    def state(self) -> dict[str, Tensor]:
        """Return the sums since the last row, for a checkpoint."""
        return {name: torch.tensor(pair, dtype=torch.float64) for name, pair in self.sums.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on with the sums of a checkpoint."""
        self.sums = {name: (float(total), int(count)) for name, (total, count) in state.items()}


def _tensorboard(folder: Path, step: int) -> Any:
    """Open an event file, None without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def replayed(state: State, losses: dict[str, float], sources: list[str]) -> list[str]:
    """What a replayed step was, in lines: losses, norms, what is not finite, where the items come from."""
    lines = [f"step {state.step + 1}, from the weights after step {state.step}; nothing is written"]
    lines += [f"  {name:28}{value:.7g}" for name, value in losses.items()]
    for network, kind in ((state.model, "weight"), (state.model, "gradient"), (state.discriminator, "gradient")):
        named = network.named_parameters() if network else ()
        tensors = ((name, p if kind == "weight" else p.grad) for name, p in named)
        if bad := [name for name, tensor in tensors if tensor is not None and not bool(tensor.isfinite().all())]:
            lines.append(f"  {kind}s that are not finite: {', '.join(bad[:4])}{' ...' if len(bad) > 4 else ''}")
    return [*lines, *(f"  item {index}: {source}" for index, source in enumerate(sources))]
