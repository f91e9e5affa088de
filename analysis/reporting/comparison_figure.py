"""Results of BS.1116, AB and ABX tests, drawn: a panel for each pair, a row overall, by item and by listener."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.ratings.conditions import labels, shorten
from analysis.reporting.layout import Grid, figure_with_panels, font_sizes, inches, panel_width, watermark
from render.common.figure_style import DEFAULT_LOOK, Look, figure_style, write_captioned_figure


@dataclass(frozen=True)
class Scale:
    """What is drawn of a method: column, axis, range, value of no difference, title of a panel, caption."""

    column: str
    axis: str
    limits: tuple[float, float]
    null: float
    title: str
    caption: str


SCALES = {
    "bs1116": Scale(
        "mean", "difference grade", (-4.0, 1.0), 0.0, "{first}",
        "Difference grade (object minus hidden reference): mean and 95 % t interval over the listeners' means, in "
        "the rows of listeners over items.",
    ),
    "ab": Scale(
        "share", "share that preferred the first", (0.0, 1.0), 0.5, "{first} over {second}",
        "Share of the decided trials in which the first was preferred, with 95 % intervals of Clopper and "
        "Pearson. They take the trials of one listener as independent.",
    ),
    "abx": Scale(
        "share", "share of correct answers", (0.0, 1.0), 0.5, "{first} or {second}",
        "Share of trials in which X was recognised, with 95 % intervals of Clopper and Pearson; 0.5 is guessing. "
        "Trials pooled over listeners are not independent.",
    ),
}  # fmt: skip

_MARKS = {"overall": ("s", "0.0", 0.6), "item": ("o", "#0072B2", 0.5), "listener": ("D", "#D55E00", 0.45)}
"""Scope -> marker, colour, and size in relation to the font's."""

_MAX_NAME, _MAX_ROWS, _MAX_PANELS, _MAX_COLUMNS = 30, 120, 24, 4

Row = Mapping[str, Any]


def comparison_figure(
    method: str,
    rows: Sequence[Row],
    simulated: bool,
    look: Look = DEFAULT_LOOK,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw estimates with 95 % intervals.

    Parameters
    ----------
    method
        A key of `SCALES`.
    rows
        As `analysis.study.comparison.summary` returns them.
    simulated
        Whether the ratings are simulated.
    look
        Look of the figure.
    names
        Condition -> its name, for those that are not to have the usual one.
    """
    scale, size, small = SCALES[method], *font_sizes()
    of = list(dict.fromkeys((row["scope"], row["of"]) for row in rows))
    heights = _heights([scope for scope, _ in of])
    shown = [shorten(name or "all", _MAX_NAME) for _, name in of]
    left, gap = inches(max(map(len, shown)), small) + 0.25, 0.03 * size
    count = len({_panel_of(row) for row in rows})
    columns = min(count, _MAX_COLUMNS)
    if look.width_in is not None:
        columns = max(1, min(columns, int((look.width_in - left - 0.15 + gap) / (1.0 + gap))))
    lines = -(-count // columns)
    width = panel_width(2.6 if count > 1 else 4.0, look, left + 0.15, columns, gap)
    height = 1.9 * small / 72 * (heights[-1] + 1)
    panels = _by_pair(rows, names or {}, scale.title, int((width + gap) / inches(1, size)))
    title_lines = 1 + max(title.count("\n") for title, _ in panels)
    between = (2.6 + 1.3 * title_lines) * size / 72
    grid = Grid(
        width, height, left, 0.15, 0.045 * size, lines, columns, gap, between, (title_lines - 1) * size / 60
    )
    caption = (f"{'SIMULATED. ' if simulated else ''}{scale.caption} Squares: all; discs: items; diamonds: "
               "listeners.")  # fmt: skip
    figure, all_axes = figure_with_panels(grid, caption, look)
    limits = _limits(scale, rows)
    for number, axes in enumerate(all_axes.flat):
        if number >= len(panels):
            axes.remove()
            continue
        title, found = panels[number]
        _draw_rows(axes, [found.get(key) for key in of], heights, scale, size)
        axes.set_title(title, fontsize=size)
        axes.set(xlim=limits, ylim=(heights[-1] + 0.6, -0.6))
        axes.set_yticks(heights, shown if number % columns == 0 else [""] * len(shown), fontsize=small)
        axes.tick_params(axis="x", labelsize=small)
        if simulated:
            watermark(axes, "SIMULATED", min(20, 9 * width))
    lowest = all_axes[-1, 0].get_position()
    middle = (left + 0.5 * (columns * width + (columns - 1) * gap)) / figure.get_figwidth()
    figure.text(middle, lowest.y0 - 0.03 * size / figure.get_figheight(), scale.axis, ha="center", va="top",
                fontsize=0.9 * size)  # fmt: skip
    return figure


def _by_pair(
    rows: Sequence[Row], names: Mapping[str, str], title: str, longest: int
) -> list[tuple[str, dict[tuple[str, str], Row]]]:
    """Group the rows by panel: the pair, and what else is never pooled; return the panels with their titles.

    Lines of a title have at most `longest` characters where the names allow it.
    """
    named = labels({str(row[key]) for row in rows for key in ("condition", "first", "second") if key in row})
    named |= names
    kept_apart = [key for key in ("attribute", "transducer") if len({row[key] for row in rows}) > 1]
    panels: dict[tuple[Any, ...], dict[tuple[str, str], Row]] = {}
    titles: dict[tuple[Any, ...], str] = {}
    for row in rows:
        first, second = (row["condition"], "") if "condition" in row else (row["first"], row["second"])
        of_pair = title.format(first=named[first], second=named.get(second, ""))
        lines = [of_pair, *(str(row[key]) for key in kept_apart)]
        titles[_panel_of(row)] = "\n".join(textwrap.fill(line, longest) for line in lines)
        panels.setdefault(_panel_of(row), {})[row["scope"], row["of"]] = row
    return [(titles[key], found) for key, found in panels.items()]


def _heights(scopes: Sequence[str]) -> list[float]:
    """Return the ordinates of the rows, 1 apart, and 1.5 where another scope begins."""
    changes = np.cumsum([0.0, *(0.5 * (a != b) for a, b in pairwise(scopes))])
    return [float(n + change) for n, change in enumerate(changes)]


def _limits(scale: Scale, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the abscissa; a confused reference has grades up to +4."""
    drawn = [row[key] for row in rows for key in (scale.column, "ci_low", "ci_high") if not math.isnan(row[key])]
    least, greatest = min([scale.limits[0], *drawn]), max([scale.limits[1], *drawn])
    margin = 0.03 * (greatest - least)
    return least - margin, greatest + margin


def _draw_rows(
    axes: Axes, rows: Sequence[Row | None], heights: Sequence[float], scale: Scale, size: float
) -> None:
    axes.axvline(scale.null, color="0.5", linewidth=0.8)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    for y, row in zip(heights, rows, strict=True):
        if row is None:
            continue
        marker, colour, relative = _MARKS[row["scope"]]
        if not math.isnan(row["ci_low"]):
            axes.plot([row["ci_low"], row["ci_high"]], [y, y], color=colour, linewidth=0.12 * size, zorder=3)
        axes.plot(row[scale.column], y, marker, color=colour, markersize=relative * size, zorder=4)


def write_comparison_figure(
    method: str,
    rows: Sequence[Row],
    simulated: bool,
    folder: Path,
    look: Look = DEFAULT_LOOK,
    names: Mapping[str, str] | None = None,
    force: bool = False,
) -> int:
    """Write ``comparison.pdf``, ``.png``, ``.svg`` and the caption; return how many rows had no place in it."""
    pairs = list(dict.fromkeys(_panel_of(row) for row in rows))[:_MAX_PANELS]
    scopes = list(dict.fromkeys((row["scope"], row["of"]) for row in rows))[:_MAX_ROWS]
    drawn = [row for row in rows if _panel_of(row) in pairs and (row["scope"], row["of"]) in scopes]
    title = f"{'SIMULATED: ' if simulated else ''}results of a {method.upper()} test"
    with figure_style(9, look):
        figure = comparison_figure(method, drawn, simulated, look, names)
        write_captioned_figure(figure, folder / "comparison", ("pdf", "png", "svg"), title, force)
    return len(rows) - len(drawn)


def _panel_of(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in ("attribute", "transducer", "condition", "first", "second"))
