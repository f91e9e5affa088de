"""Results of BS.1116, AB and ABX tests, drawn: overall, and by item and by listener."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.ratings.conditions import shorten
from analysis.reporting.layout import Grid, figure_with_panels, inches, watermark
from render.common.figure_style import figure_style, write_figure

AXES = {
    "bs1116": ("mean", "difference grade (object − hidden reference)", (-4.0, 1.0), 0.0),
    "ab": ("share", "share that preferred the first of the pair", (0.0, 1.0), 0.5),
    "abx": ("share", "share of correct answers", (0.0, 1.0), 0.5),
}
"""Method -> column that is drawn, axis label, values that the axis holds, and where there is no difference."""

_MARKS = {"overall": ("s", "0.0", 6.0), "item": ("o", "#0072B2", 4.5), "listener": ("D", "#D55E00", 4.0)}
_MAX_NAME, _MAX_ROWS = 60, 120


def comparison_figure(method: str, rows: Sequence[Mapping[str, Any]], caveat: str, simulated: bool) -> Figure:
    """Draw estimates with 95 % intervals, one row each; form as well as colour tells the scope."""
    column, label, limits, null = AXES[method]
    kept_apart = [key for key in ("attribute", "transducer") if len({row[key] for row in rows}) > 1]
    names = [shorten(", ".join([_name(row), *(row[key] for key in kept_apart)]), _MAX_NAME) for row in rows]
    left = inches(max(map(len, names)), 8) + 0.3
    grid = Grid(width=4.2, height=max(1.0, 0.2 * len(rows)), left=left, right=1.0, below=0.5)
    caption = f"{'SIMULATED. ' if simulated else ''}{label[0].upper()}{label[1:]} and 95 % interval. {caveat}"
    figure, ((axes,),) = figure_with_panels(grid, caption)
    for scope, (marker, colour, size) in _MARKS.items():
        at = [n for n, row in enumerate(rows) if row["scope"] == scope]
        for n in at:
            row = rows[n]
            if not math.isnan(row["ci_low"]):
                axes.plot([row["ci_low"], row["ci_high"]], [n, n], color=colour, linewidth=1.2)
            axes.plot(row[column], n, marker, color=colour, markersize=size, label=scope if n == at[0] else None)
    axes.axvline(null, color="0.5", linewidth=0.8)
    drawn = [row[key] for row in rows for key in (column, "ci_low", "ci_high") if not math.isnan(row[key])]
    least, greatest = (
        min([limits[0], *drawn]),
        max([limits[1], *drawn]),
    )  # a confused reference has grades up to +4
    margin = 0.03 * (greatest - least)
    axes.set(xlim=(least - margin, greatest + margin), ylim=(len(rows) - 0.5, -0.5), xlabel=label)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.grid(axis="x", color="0.92")
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if simulated:
        watermark(axes, "SIMULATED", 20)
    return figure


def write_comparison_figure(
    method: str, rows: Sequence[Mapping[str, Any]], caveat: str, simulated: bool, folder: Path, force: bool = False
) -> int:
    """Write the figure as ``comparison.pdf``, ``.png`` and ``.svg``; return how many rows had no place in it."""
    drawn = rows[:_MAX_ROWS]
    title = f"{'SIMULATED: ' if simulated else ''}results of a {method.upper()} test"
    with figure_style(9):
        figure = comparison_figure(method, drawn, caveat, simulated)
        for suffix in ("pdf", "png", "svg"):
            write_figure(figure, folder / f"comparison.{suffix}", title, force)
    return len(rows) - len(drawn)


def _name(row: Mapping[str, Any]) -> str:
    pair = row["condition"] if "condition" in row else f"{row['first']} – {row['second']}"
    return f"{pair}, {row['of']}" if row["of"] else f"{pair}, all"
