"""The curves of training runs: every column of their metrics.csv against the steps."""

from __future__ import annotations

import csv
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from numpy import ndarray

from render.common.errors import InputError, did_you_mean
from render.common.figure_style import COLOURS, DEFAULT_LOOK, Look, figure_style, write_captioned_figure
from render.common.files import read_json, read_record
from stimuli.eigenscape.corpus import find_recordings

PANEL_IN = (2.3, 1.45)
"""Width and height of a panel in inches, where the width of the figure is not given."""
COLUMNS = 3
DASHES = ("-", "--", "-.", ":")
MAX_RUNS = len(COLOURS)
UNITS = {"_db": "dB", "_deg": "deg", "seconds_per_step": "s"}
"""End of a column's name -> its unit."""
LOGARITHMIC = ("gradient_norm", "learning_rate")
"""Ends of the names of columns that are drawn on a logarithmic scale."""


@dataclass(frozen=True, eq=False)
class RunCurves:
    """The progress of a run.

    Attributes
    ----------
    name : str
        Name of its folder.
    columns : dict
        Name of a column -> its steps and its values, where it has any.
    material : str
        What it was trained on, as far as that is known.
    """

    name: str
    columns: Mapping[str, tuple[Int64[ndarray, " row"], Float64[ndarray, " row"]]]
    material: str = ""


def read_run(folder: Path) -> RunCurves:
    """Read the progress of a run from its folder, or from its metrics.csv alone.

    Raises
    ------
    InputError
        If there is no metrics.csv, or it is not the table of a run, or has no row yet.
    """
    path = folder / "metrics.csv" if folder.is_dir() else folder
    if not path.is_file():
        raise InputError(f"{path}: no such file; name the folder of a run, as runs/mine")
    found: dict[str, list[tuple[int, float]]] = {}
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        table = csv.DictReader(file)
        if "step" not in (table.fieldnames or ()):
            raise InputError(f"{path}: not the table of a training run (it has no column step)")
        for row in table:
            if None in row:
                raise InputError(f"{path}:{table.line_num}: more cells than columns")
            if None in row.values():  # a full disk cut it off
                continue
            for column, cell in row.items():
                if column and column != "step" and cell:
                    point = _point(path, table.line_num, row["step"], column, cell)
                    found.setdefault(column, []).append(point)
    if not found:
        raise InputError(f"{path}: no row yet; the run has to reach its first report")
    columns = {name: (np.array([s for s, _ in points]), np.array([v for _, v in points]))
               for name, points in found.items()}  # fmt: skip
    return RunCurves(path.resolve().parent.name if folder.is_dir() else path.stem, columns, _material(path.parent))


def _point(path: Path, line: int, step: str | None, column: str, cell: str) -> tuple[int, float]:
    try:
        return int(step or ""), float(cell)
    except ValueError:
        raise InputError(f"{path}:{line}: {column} is {cell[:40]!r} at step {step!r}, no number") from None


def _material(folder: Path) -> str:
    """Say what kinds of recordings a run was trained on, by the records of those that are still there."""
    environment = folder / "env.json"
    folders = [Path(data) for data in read_json(environment).get("data", [])] if environment.is_file() else []
    kinds = [str(read_record(recording.path).get("material") or "recordings of unknown origin")
             for data in folders if data.is_dir() for recording in find_recordings(data)]  # fmt: skip
    return ", ".join(f"{kinds.count(kind)} x {kind}" for kind in sorted(set(kinds)))


def panels_of(runs: Sequence[RunCurves], shown: Sequence[str] = ()) -> list[str]:
    """Return the names of the panels: a validated quantity and the loss of the same name share one.

    Validated quantities come first, then losses, then the others, each in the order of the table.

    Parameters
    ----------
    runs
        The runs.
    shown
        Names of the panels that are wanted; none: all.

    Raises
    ------
    InputError
        If no run has a column of a wanted name.
    """
    columns = list(dict.fromkeys(column for run in runs for column in run.columns))
    validated = [column.removeprefix("val_") for column in columns if column.startswith("val_")]
    others = [column for column in columns if not column.startswith("val_") and column not in validated]
    possible = [*validated, *others]
    for name in shown:
        if name not in possible:
            raise InputError(f"--show {name}: no run has this column{did_you_mean(name, possible)}; there are "
                             f"{', '.join(possible)}")  # fmt: skip
    return list(dict.fromkeys(shown)) or possible


def draw_runs(runs: Sequence[RunCurves], shown: Sequence[str] = (), look: Look = DEFAULT_LOOK) -> Figure:
    """Draw a panel for each quantity, against the steps; runs are told apart by colour and by line.

    Parameters
    ----------
    runs
        At most `MAX_RUNS`.
    shown
        As in `panels_of`.
    look
        Look of the figure.
    """
    names = panels_of(runs, shown)
    size = float(mpl.rcParams["font.size"])
    width, height = PANEL_IN
    columns = min(COLUMNS, len(names))
    total = look.width_in or max(columns, 2) * width
    if look.width_in is not None:
        columns = max(1, min(columns, int(total / (0.17 * size))))
    rows = -(-len(names) // columns)
    caption = _caption(runs)
    lines = textwrap.wrap(caption, int(total * 72 / (0.5 * size))) if look.caption else []
    below = 0.016 * size * len(lines) + 0.03 * size * (len(runs) > 1) + 0.2
    figure = Figure((total, rows * height * min(1.0, total / columns / width) + below), layout="constrained")
    figure.set_label(caption)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.remove()
    for number, (axes, name) in enumerate(zip(panels.flat, names, strict=False)):
        for run, colour, dash in zip(runs, COLOURS, cycle(DASHES), strict=False):
            _draw_column(axes, run, name, colour, dash)
        _label(axes, name, size)
        if number + columns >= len(names):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("training steps", fontsize=0.8 * size)
    if len(runs) > 1:
        for run, colour, dash in zip(runs, COLOURS, cycle(DASHES), strict=False):
            panels[0, 0].plot([], [], dash, color=colour, label=run.name)
        figure.legend(loc="outside upper center", ncols=min(len(runs), 3), frameon=False, fontsize=0.8 * size)
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=0.8 * size, color="0.25")
    return figure


def _draw_column(axes: Axes, run: RunCurves, name: str, colour: str, dash: str) -> None:
    """Draw a loss as a thin line, and what was validated as a thick one with discs."""
    validated = f"val_{name}"
    if name in run.columns:
        axes.plot(
            *run.columns[name], dash, color=colour, linewidth=0.8, alpha=0.6 if validated in run.columns else 1
        )
    if validated in run.columns:
        axes.plot(*run.columns[validated], dash, color=colour, linewidth=1.4, marker="o", markersize=2.2)


def _label(axes: Axes, name: str, size: float) -> None:
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    end = next((end for end in UNITS if end.startswith("_") and name.endswith(end)), "")
    title = name.removesuffix(end).replace("_", " ")
    axes.set_title(f"{title} ({unit})" if unit else title, fontsize=0.9 * size)
    axes.tick_params(labelsize=0.8 * size)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    values = np.concatenate([line.get_ydata() for line in axes.lines] or [np.ones(1)])
    if name.endswith(LOGARITHMIC) and (values > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(left=0)


def _caption(runs: Sequence[RunCurves]) -> str:
    """Return what is drawn, and for each run its steps and its material."""
    described = [
        f"{run.name}, {max(int(steps[-1]) for steps, _ in run.columns.values()):,} steps"
        + (f" on {run.material}" if run.material else "")
        for run in runs
    ]
    return (f"Training of {'; '.join(described)}. Thin: means of the losses since the previous report; thick with "
            "discs: validation of the averaged weights on held-out excerpts.")  # fmt: skip


def last_values(run: RunCurves) -> dict[str, float]:
    """Return the last validated value of each quantity."""
    found = {name.removeprefix("val_"): float(values[-1]) for name, (_, values) in run.columns.items()
             if name.startswith("val_")}  # fmt: skip
    return {name: value for name, value in found.items() if math.isfinite(value)}


def write_run_curves(
    runs: Sequence[RunCurves],
    path: Path,
    shown: Sequence[str] = (),
    look: Look = DEFAULT_LOOK,
    force: bool = False,
) -> None:
    """Write the figure of `draw_runs` as ``path.pdf``, ``.png`` and ``.svg``, and its caption."""
    with figure_style(9, look):
        write_captioned_figure(draw_runs(runs, shown, look), path, ("pdf", "png", "svg"), "training curves", force)
