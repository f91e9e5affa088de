"""Figure 1: validation mel distance against training steps, for two ways to begin; its numbers, its drawing."""

from __future__ import annotations

import csv
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import whole_file

SETTLED_PERCENT = 2.0
# Okabe and Ito's colours, which everybody can tell apart; the line style serves those who print in grey
STYLES = {"random": ("#0072B2", "--", "random start"), "transfer": ("#D55E00", "-", "transfer from mono")}
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}
# no date and no program version: the bytes of a figure depend on the runs only
_METADATA = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "png": {"Software": None}}


@dataclass(frozen=True, eq=False)
class Curve:
    """Validation of one run.

    Attributes
    ----------
    initialisation : str
        A key of `STYLES`.
    seed : int
    steps : int (validation,)
        Steps trained before each validation.
    mel : float (validation,)
        Mel distance, mean over the held-out excerpts.
    """

    initialisation: str
    seed: int
    steps: Int64[ndarray, " validation"]
    mel: Float64[ndarray, " validation"]


def read_curve(path: Path, initialisation: str, seed: int) -> Curve | None:
    """Read ``step`` and ``val_mel`` of a run's metrics.csv; None if the run was not validated yet."""
    if not path.is_file():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        try:
            rows = [(int(r["step"]), float(r["val_mel"])) for r in csv.DictReader(file) if r["val_mel"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: no table of a training run (columns step and val_mel): {error!r}") from None
    if not rows:
        return None
    steps, mel = zip(*rows, strict=True)
    return Curve(initialisation, seed, np.array(steps), np.array(mel))


def mean_curve(curves: list[Curve]) -> Curve:
    """Mean over the seeds, at the steps at which all of them were validated."""
    common = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in curves)))
    if not common:
        raise InputError("the runs of an initialisation were never validated at the same step")
    mel = [curve.mel[np.isin(curve.steps, common)] for curve in curves]
    return Curve(curves[0].initialisation, 0, np.array(common), np.mean(mel, axis=0))


def change_over_last_fifth(curve: Curve) -> float:
    """Fall of the mel distance from 4/5 of the steps to the last one, in percent of the former.

    Between validations the distance is interpolated linearly; NaN for curves that begin later than that.
    """
    from_step = 0.8 * curve.steps[-1]
    if curve.steps[0] > from_step:
        return float("nan")
    before = np.interp(from_step, curve.steps, curve.mel)
    return float(100 * (before - curve.mel[-1]) / before)


def numbers(curves: list[Curve]) -> dict[str, Any]:
    """What the figure says, as JSON values.

    ``settled`` is whether the random start changed by less than 2 % over the last fifth of the steps;
    ``transfer_needs_steps`` the first validation at which transfer is as good as the random start is at its end.
    """
    found: dict[str, Any] = {}
    means = {}
    for name in STYLES:
        own = [curve for curve in curves if curve.initialisation == name]
        mean = means[name] = mean_curve(own)
        change = change_over_last_fifth(mean)
        found[name] = {
            "steps": int(mean.steps[-1]),
            "mel": round(float(mean.mel[-1]), 4),
            "mel_of_seed": {str(c.seed): round(float(c.mel[c.steps == mean.steps[-1]][0]), 4) for c in own},
            "change_over_last_fifth_percent": None if np.isnan(change) else round(change, 2),
        }
    change = found["random"]["change_over_last_fifth_percent"]
    found["settled"] = change is not None and abs(change) < SETTLED_PERCENT
    reached = np.flatnonzero(means["transfer"].mel <= means["random"].mel[-1])
    found["transfer_needs_steps"] = int(means["transfer"].steps[reached[0]]) if len(reached) else None
    return found


def write_table(curves: list[Curve], path: Path, force: bool = False) -> None:
    """Write every validation as CSV: initialisation, seed, step, mel."""
    with (
        whole_file(path, force=force) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["initialisation", "seed", "step", "val_mel"])
        for curve in curves:
            for step, mel in zip(curve.steps, curve.mel, strict=True):
                table.writerow([curve.initialisation, curve.seed, step, f"{mel:.6g}"])


def draw(curves: list[Curve], found: dict[str, Any], caption: list[str]) -> Figure:
    """Mean over the seeds as a thick line, each seed thin, the last values beside them, the caption below.

    The abscissa is linear, so that the steps that transfer saves can be read as a distance.
    """
    caption = [line for text in caption for line in textwrap.wrap(text, 96)]
    figure = Figure(figsize=(6.4, 4.0 + 0.17 * len(caption)))
    below = (0.62 + 0.17 * len(caption)) / figure.get_figheight()
    axes = figure.add_axes((0.1, below, 0.72, 0.96 - below))
    end = max(int(curve.steps[-1]) for curve in curves)
    for name, (colour, line, label) in STYLES.items():
        own = [curve for curve in curves if curve.initialisation == name]
        for curve in own:
            axes.plot(curve.steps, curve.mel, line, color=colour, linewidth=0.7, alpha=0.55)
        mean = mean_curve(own)
        axes.plot(mean.steps, mean.mel, line, color=colour, linewidth=2.0, label=f"{label} (thin: each seed)")
    heights = _apart([found[name]["mel"] for name in STYLES], 0.05 * np.ptp(axes.get_ylim()))
    for (name, (colour, _, label)), height in zip(STYLES.items(), heights, strict=True):
        text = f"{found[name]['mel']:.2f}  {label.split()[0]}"
        place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
        axes.annotate(text, (end, height), color=colour, **place)
    axes.set_xlim(0, end)
    axes.set_xlabel("training steps")
    axes.set_ylabel("validation mel distance (sum of 7 scales, log$_{10}$)")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.legend(frameon=False, loc="upper right")
    for line, text in enumerate(reversed(caption)):
        figure.text(0.1, (0.1 + 0.17 * line) / figure.get_figheight(), text, fontsize=7.5, color="0.25")
    return figure


def _apart(values: list[float], least: float) -> list[float]:
    """Move two heights apart from their middle until they differ by `least`."""
    middle, half = sum(values) / 2, max(least, abs(values[0] - values[1])) / 2
    sign = 1 if values[0] >= values[1] else -1
    return [middle + sign * half, middle - sign * half]


def write_figure(curves: list[Curve], found: dict[str, Any], caption: list[str], path: Path, force: bool) -> None:
    """Write ``path.pdf`` and ``path.png``."""
    with mpl.rc_context(_STYLE):
        for form, metadata in _METADATA.items():
            figure = draw(curves, found, caption)
            with whole_file(path.with_name(f"{path.name}.{form}"), force=force) as temporary:
                figure.savefig(temporary, metadata=metadata | {"Title": "validation mel distance against steps"})
