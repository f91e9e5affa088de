"""The progress of a run in numbers: metrics.csv, the terminal and, if it is installed, TensorBoard."""

from __future__ import annotations

import csv
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codec.rvqgan.config import ModelConfig
from codec.training.config import ADVERSARIAL, RECONSTRUCTION, TrainConfig
from codec.training.validation import columns
from render.common.files import whole_file

INTERVAL_S = 30.0  # between lines about the progress where standard error is not a terminal


def format_metrics(values: dict[str, float]) -> str:
    """Return the numbers with their names as one line to print."""
    return "  ".join(
        f"{name.removeprefix('val_').replace('_', ' ')} {value:.3g}" for name, value in values.items()
    )


class Metrics:
    """Collects the losses of every step and writes rows of metrics.csv.

    A row holds the means of the losses since the previous row and, after a validation, its results (``val_...``).
    When a run is resumed, the rows of later steps are dropped, since those steps are repeated, and so are rows
    that a full disk cut off. The same numbers go to the terminal and to TensorBoard.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    model, config
        Settings of the run, which determine the columns.
    step : int
        Step at which the run begins or is resumed.
    until : int
        Last step, for the estimate of the time left.
    """

    def __init__(self, folder: Path, model: ModelConfig, config: TrainConfig, step: int, until: int):
        self.path, self.until = folder / "metrics.csv", until
        self._audio_s_per_step = config.batch * config.excerpt_frames / model.sample_rate_hz
        gradients = ["gradient_norm"]
        if config.discriminator:
            gradients += ["discriminator", "discriminator_gradient_norm"]
        self.columns = [
            "step", "learning_rate", "seconds_per_step", *config.weighted(RECONSTRUCTION + ADVERSARIAL),
            "quantizer", *gradients, "perplexity", "perplexity_min", *(f"val_{name}" for name in columns(model)),
        ]  # fmt: skip
        self._sums: dict[str, tuple[float, int]] = {}
        self._first_step, self._started = step, time.monotonic()
        self._shown = self._started
        self._terminal = sys.stderr.isatty()
        kept: list[list[str]] = []
        if step and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(self.columns)]
            kept = [row for row in rows[1:] if int(row[0]) <= step]
        with whole_file(self.path, force=True) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(",".join(row) + "\n" for row in (self.columns, *kept))
        self._tensorboard = _tensorboard_writer(folder / "tensorboard", step)

    def add(self, step: int, losses: dict[str, float]) -> None:
        """Add the losses of a step to the means, and show the progress from time to time."""
        for name, value in losses.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)
        now = time.monotonic()
        if now - self._shown >= (0.2 if self._terminal else INTERVAL_S):
            self._shown = now
            line = self._line(step, losses)
            if self._terminal:
                line = f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}"
            print(line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def write(self, step: int, learning_rate: float, validation: dict[str, float]) -> None:
        """Write and print a row: the means since the previous one, and the results of a validation, if any."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        row = {"step": step, "learning_rate": learning_rate, "seconds_per_step": self._seconds_per_step(step)}
        row |= means | validation
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(",".join(f"{row[c]:.6g}" if c in row else "" for c in self.columns) + "\n")
        if self._tensorboard is not None:
            for name, value in list(row.items())[1:]:
                self._tensorboard.add_scalar(name.replace("val_", "validation/", 1), value, step)
            self._tensorboard.flush()
        self._shown = time.monotonic()
        print("\r\x1b[K" if self._terminal else "", end="", file=sys.stderr, flush=True)
        print(self._line(step, means), flush=True)
        if validation:
            print(f"{'validation':>{2 * len(str(self.until)) + 6}}  {format_metrics(validation)}", flush=True)

    def _line(self, step: int, losses: dict[str, float]) -> str:
        """Return a line with the step, steps and seconds of audio per second, the time left and the losses."""
        seconds = max(self._seconds_per_step(step), 1e-9)
        left_min = math.ceil(seconds * (self.until - step) / 60)
        left = f"{left_min // 60} h {left_min % 60} min" if left_min >= 60 else f"{left_min} min"
        pace = f"{1 / seconds:.2g} steps/s, {self._audio_s_per_step / seconds:.3g} s of audio/s, {left} left"
        shown = {name: value for name, value in losses.items() if not name.endswith("norm")}
        return f"step {step:>{len(str(self.until))}}/{self.until}  {pace}  {format_metrics(shown)}"

    def _seconds_per_step(self, step: int) -> float:
        return (time.monotonic() - self._started) / max(step - self._first_step, 1)

    def state(self) -> dict[str, Tensor]:
        """Return the sums since the last row as tensors (total, count), for a checkpoint."""
        return {name: torch.tensor(pair, dtype=torch.float64) for name, pair in self._sums.items()}

    def restore(self, sums: dict[str, Tensor]) -> None:
        """Continue with the sums of a checkpoint."""
        self._sums = {name: (float(total), int(count)) for name, (total, count) in sums.items()}


def _tensorboard_writer(folder: Path, step: int) -> Any:
    """Return a writer of TensorBoard events, None if the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # optional extra
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
