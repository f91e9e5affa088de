"""Figure 1: validation mel distance against training steps for two initialisations, in numbers and as a figure."""

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
from render.common.figure_style import DEFAULT_LOOK, Look, figure_style, write_captioned_figure
from render.common.files import read_json, whole_file, write_json

SETTLED_PERCENT = 2.0
WIDE_IN = 5.0
"""Width in inches from which there is room for all words."""
# Colour, line style and label of each initialisation: colours of Okabe and Ito, which colour-blind readers can
# tell apart, and line styles for print in grey
CURVE_STYLES = {"random": ("#0072B2", "--", "random start"), "transfer": ("#D55E00", "-", "transfer from mono")}


@dataclass(frozen=True, eq=False)
class Curve:
    """Validation of one run.

    Attributes
    ----------
    initialisation : str
        A key of `CURVE_STYLES`.
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
    """Read ``step`` and ``val_mel`` of a run's metrics.csv; return None if the run was not validated yet."""
    if not path.is_file():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        try:
            rows = [(int(r["step"]), float(r["val_mel"])) for r in csv.DictReader(file) if r["val_mel"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: not the table of a training run (columns step and val_mel): {error!r}"
            ) from None
    if not rows:
        return None
    steps, mel = zip(*rows, strict=True)
    return Curve(initialisation, seed, np.array(steps), np.array(mel))


def read_curves(record_path: Path, seeds: list[int]) -> list[Curve]:
    """Read the curves of an experiment, as far as its runs were validated.

    Raises
    ------
    InputError
        If no run of an initialisation was validated.
    """
    prefix = record_path.with_suffix("")
    read = [
        read_curve(prefix.with_name(f"{prefix.name}-{kind}-{seed}") / "metrics.csv", kind, seed)
        for kind in CURVE_STYLES
        for seed in seeds
    ]
    curves = [curve for curve in read if curve is not None]
    if missing := set(CURVE_STYLES) - {curve.initialisation for curve in curves}:
        raise InputError(f"{prefix}-*: no validation of {', '.join(sorted(missing))} yet")
    return curves


def mean_curve(curves: list[Curve]) -> Curve:
    """Return the mean over the seeds, at the steps at which all of them were validated."""
    common = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in curves)))
    if not common:
        raise InputError("the runs of an initialisation were never validated at the same step")
    mel = [curve.mel[np.isin(curve.steps, common)] for curve in curves]
    return Curve(curves[0].initialisation, 0, np.array(common), np.mean(mel, axis=0))


def change_over_last_fifth(curve: Curve) -> float:
    """Return by how much the mel distance falls from 4/5 of the steps to the last one, in percent of the former.

    Between validations the distance is interpolated linearly. For curves that begin after 4/5 of the steps the
    result is NaN.
    """
    from_step = 0.8 * curve.steps[-1]
    if curve.steps[0] > from_step:
        return float("nan")
    before = np.interp(from_step, curve.steps, curve.mel)
    return float(100 * (before - curve.mel[-1]) / before)


def summarise(curves: list[Curve]) -> dict[str, Any]:
    """Return the figure in numbers, as JSON values.

    ``settled`` is whether the random initialisation changed by less than 2 % over the last fifth of the steps,
    ``transfer_needs_steps`` the step of the first validation at which transfer is as good as the random
    initialisation at its end.
    """
    found: dict[str, Any] = {}
    means = {}
    for name in CURVE_STYLES:
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


def caption_lines(record: dict[str, Any], summary: dict[str, Any]) -> list[str]:
    """Return the caption: the mono model, what was trained on what, and how far the training went.

    Parameters
    ----------
    record : dict
        Record of the experiment (`codec.figures.transfer_experiment`).
    summary : dict
        As `summarise` returns it.
    """
    model, train = record["settings"]["model"], record["settings"]["train"]
    seconds = train["excerpt_frames"] / model["sample_rate_hz"]
    losses = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in train["weights"].items() if value)
    steps, change = summary["random"]["steps"], summary["random"]["change_over_last_fifth_percent"]
    if change is None:
        progress = f"The random start has gone {steps:,} steps, too few to say whether it has settled."
    else:
        verdict = "settled (<\u00a02\u00a0%)" if summary["settled"] else "not settled yet (≥\u00a02\u00a0%)"
        moved = f"{'fell' if change >= 0 else 'rose'} by {abs(change):g}\u00a0%"
        progress = f"The random start {moved} over the last fifth of its {steps:,} steps: {verdict}."
    needed = summary["transfer_needs_steps"]
    progress += f" Transfer is as good after {needed:,}." if needed else " Transfer never is as good."
    if steps < train["steps"]:
        progress += f" UNFINISHED: {train['steps']:,} steps are planned."
    return [
        f"Mono model: {record['mono']}.",
        f"Model: {model['channels']} channels, {record['parameters']:,} parameters. Losses: {losses}. "
        f"A step: {train['batch']} x {seconds:.2g} s.",
        f"Material: {record['material']}.",
        progress,
    ]


def draw(curves: list[Curve], summary: dict[str, Any], caption: list[str], look: Look = DEFAULT_LOOK) -> Figure:
    """Draw the mean over the seeds as a thick line, each seed as a thin one, and the caption below.

    The abscissa is linear, so that the steps that transfer saves can be read as a distance.
    """
    size, width = float(mpl.rcParams["font.size"]), look.width_in or 6.4
    letters = int(width * 72 / (0.5 * size))
    lines = [line for text in caption for line in textwrap.wrap(text, letters)] if look.caption else []
    figure = Figure((width, min(4.0, 0.8 * width) + 0.016 * size * len(lines)), layout="constrained")
    figure.set_label(" ".join(caption))
    axes = figure.subplots()
    is_wide = width >= WIDE_IN
    thin = " (thin: each seed)" if is_wide else ""
    end = max(int(curve.steps[-1]) for curve in curves)
    for name, (colour, line, label) in CURVE_STYLES.items():
        own = [curve for curve in curves if curve.initialisation == name]
        for curve in own:
            axes.plot(curve.steps, curve.mel, line, color=colour, linewidth=0.7, alpha=0.55)
        mean = mean_curve(own)
        axes.plot(mean.steps, mean.mel, line, color=colour, linewidth=2.0, label=f"{label}{thin}")
    axes.set_ylabel(f"validation mel distance{' (sum of 7 scales, log₁₀)' if is_wide else ''}")
    heights = _apart([summary[name]["mel"] for name in CURVE_STYLES], 0.05 * np.ptp(axes.get_ylim()))
    for (name, (colour, _, label)), height in zip(CURVE_STYLES.items(), heights, strict=True):
        text = f"{summary[name]['mel']:.2f}  {label.split()[0]}"
        placement = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
        axes.annotate(text, (end, height), color=colour, **placement)
    axes.set_xlim(0, end)
    axes.set_xlabel("training steps")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.legend(frameon=False, loc="upper right")
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=0.8 * size, color="0.25", ha="left", x=0.01)
    return figure


def _apart(values: list[float], least: float) -> list[float]:
    """Move two heights symmetrically away from each other until they differ by `least`."""
    middle, half = sum(values) / 2, max(least, abs(values[0] - values[1])) / 2
    sign = 1 if values[0] >= values[1] else -1
    return [middle + sign * half, middle - sign * half]


def write_figure_1(record_path: Path, output: Path, force: bool = False, look: Look = DEFAULT_LOOK) -> list[str]:
    """Draw Figure 1 from the runs of an experiment; return its caption.

    Writes ``output.pdf``, ``.svg`` and ``.png``, the caption as ``output.txt``, the numbers as ``output.json`` and
    all validations as ``output.csv``.

    Parameters
    ----------
    record_path : Path
        Record of the experiment, beside its runs (`codec.figures.transfer_experiment`).
    output : Path
        Path of the files without suffix.
    force : bool
        Replace existing files that differ.
    look : Look

    Raises
    ------
    InputError
        If there are no runs, if an initialisation was not validated yet, or if existing files differ.
    """
    if not record_path.is_file():
        raise InputError(
            f"{record_path}: no such file: there are no runs to draw; leave --draw out and give --data"
        )
    record = read_json(record_path)
    curves = read_curves(record_path, record["seeds"])
    summary = summarise(curves)
    caption = caption_lines(record, summary)
    write_table(curves, output.with_name(f"{output.name}.csv"), force)
    write_json(output.with_name(f"{output.name}.json"), summary | record, force)
    with figure_style(9, look):
        figure = draw(curves, summary, caption, look)
        write_captioned_figure(
            figure, output, ("pdf", "png", "svg"), "validation mel distance against steps", force
        )
    return caption
