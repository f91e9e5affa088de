"""Scores against objective measures: a panel for each of the best measures, and a table of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.metrics.registry import MEASURES
from analysis.ratings.conditions import condition_order, labels
from analysis.reporting.layout import Grid, figure_with_panels, font_sizes, inches, panel_width, watermark
from analysis.study.correlation import OTHER_COLUMNS
from render.common.figure_style import COLOURS, DEFAULT_LOOK, Look, figure_style, write_captioned_figure

MARKERS = "osD^vPX*<>ph"
"""Markers of the conditions, which tell them apart without the colours."""
MAX_PANELS = 6
COLUMNS = 3
OTHERS_WIDTH = 36
"""Characters of a line of the list of other measures."""


def scatter(
    scores: pd.DataFrame,
    measures: pd.DataFrame,
    table: pd.DataFrame,
    simulated: bool,
    look: Look = DEFAULT_LOOK,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the scores against the `MAX_PANELS` measures with the largest |Spearman|, and list the others below.

    Parameters
    ----------
    scores
        Columns ``item, condition, mean``.
    measures
        As `analysis.study.correlation.read_measures` returns it.
    table
        As `analysis.study.correlation.correlate` returns it.
    simulated
        Whether the scores are simulated.
    look
        Look of the figure; without a caption the others are not listed.
    names
        Condition -> its name, for those that are not to have the usual one.
    """
    joined = scores[["item", "condition", "mean"]].merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"]
    ranked = _ranked(table, [str(column) for column in measures if column not in OTHER_COLUMNS])
    best, others = ranked[:MAX_PANELS], ranked[MAX_PANELS:] if look.caption else []
    conditions = condition_order(joined["condition"].unique())
    named = labels(conditions) | dict(names or {})
    size, small = font_sizes()
    left, right, gap = 0.07 * size, 0.12, 0.035 * size
    columns = max(1, min(COLUMNS, len(best)))
    if look.width_in is not None:
        columns = max(1, min(columns, int((look.width_in - left - right + gap) / (1.2 + gap))))
    rows = max(-(-len(best) // columns), 1)
    width = panel_width(0.28 * size, look, left + right, columns, gap)
    total = left + columns * width + (columns - 1) * gap + right
    in_legend_line = max(1, int((total - 0.2) / (inches(max(map(len, named.values())), small) + 0.3)))
    legend_lines = -(-len(conditions) // in_legend_line)
    listed = -(-len(others) // max(1, int((total - 0.2) / inches(OTHERS_WIDTH, small))))
    line = 1.45 * small / 72
    below = 0.055 * size + (legend_lines + 1) * line + (listed + 1) * line * bool(listed)
    grid = Grid(width, 0.2 * size, left, right, below, rows, columns, gap, 0.085 * size)
    caption = (f"{'SIMULATED RATINGS. ' if simulated else ''}Mean score of each item and condition against the "
               f"{len(best)} measures with the largest |ρ| of {len(ranked)}. Spearman's ρ, Pearson's r and "
               "Kendall's τ over all conditions, the hidden reference left out.")  # fmt: skip
    figure, panels = figure_with_panels(grid, caption, look)
    for axes in panels.flat[len(best) :]:
        axes.remove()
    for number, (axes, row) in enumerate(zip(panels.flat, best, strict=False)):
        _draw_points(axes, joined, str(row["measure"]), named)
        axes.set_title(_coefficients(row, int((width + gap) / inches(1, small))), fontsize=small, pad=3)
        axes.tick_params(labelleft=number % columns == 0)
        if number % columns == 0:
            axes.set_ylabel("mean score", fontsize=0.9 * size)
        if simulated:
            watermark(axes, "SIMULATED\nRATINGS", 1.3 * size)
    height = figure.get_figheight()
    top = panels[-1, 0].get_position().y0 - 0.06 * size / height
    handles, texts = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="upper center", bbox_to_anchor=(0.5, top), ncols=in_legend_line,
                  frameon=False, fontsize=small, borderpad=0, handletextpad=0.2, columnspacing=1.0)  # fmt: skip
    if others:
        _list_others(figure, others, listed, top - (legend_lines + 0.8) * line / height)
    return figure


def _draw_points(axes: Axes, joined: pd.DataFrame, measure: str, named: Mapping[str, str]) -> None:
    """Draw the scores against a measure, with a colour and a marker for each condition."""
    size, small = font_sizes()
    for index, (condition, name) in enumerate(named.items()):
        points = joined[joined["condition"] == condition]
        axes.plot(points[measure], points["mean"], MARKERS[index % len(MARKERS)], markersize=0.45 * size,
                  label=name, color=COLOURS[index % len(COLOURS)], markerfacecolor="none",
                  linestyle="none")  # fmt: skip
    unit = next((known.unit for known in MEASURES if known.name == measure), "")
    axes.set_xlabel(f"{measure} ({unit})" if unit else measure, fontsize=0.9 * size, labelpad=1)
    axes.set_ylim(0, 100)
    axes.tick_params(labelsize=small)
    axes.locator_params(axis="x", nbins=4)


def _list_others(figure: Figure, others: Sequence[Mapping[Any, Any]], lines: int, top: float) -> None:
    """Write measures and coefficients in columns of `lines` lines, from `top` (a part of the height) down."""
    _, small = font_sizes()
    columns = -(-len(others) // lines)
    for number, row in enumerate(others):
        x = (number // lines + 0.03) / columns
        y = top - (number % lines) * 1.45 * small / 72 / figure.get_figheight()
        figure.text(x, y, row["measure"], fontsize=small, va="top")
        figure.text(x + 0.5 / columns, y, _coefficients(row, 0), fontsize=small, va="top")


def _ranked(table: pd.DataFrame, measures: Sequence[str]) -> list[dict[Any, Any]]:
    """Return the rows over all conditions that have a Spearman coefficient, the largest |Spearman| first."""
    pooled = table[(table["conditions"] == "all") & table["measure"].isin(list(measures))].dropna(
        subset=["spearman"]
    )
    order = pooled["spearman"].abs().sort_values(ascending=False, kind="stable").index
    return pooled.reindex(order).to_dict("records")


def _coefficients(row: Mapping[Any, Any], longest: int) -> str:
    """Write the coefficients of a measure, Kendall's only if `longest` characters hold it."""
    two = f"ρ = {row['spearman']:.2f}, r = {row['pearson']:.2f}"
    three = f"{two}, τ = {row['kendall']:.2f}"
    return (three if len(three) <= longest else two).replace("-", "−")


def write_scatter(
    scores: pd.DataFrame,
    measures: pd.DataFrame,
    table: pd.DataFrame,
    simulated: bool,
    folder: Path,
    look: Look = DEFAULT_LOOK,
    names: Mapping[str, str] | None = None,
    force: bool = False,
) -> None:
    """Write the figure of `scatter` as ``scatter.pdf``, ``.png`` and ``.svg``, and its caption."""
    with figure_style(10, look):
        figure = scatter(scores, measures, table, simulated, look, names)
        write_captioned_figure(figure, folder / "scatter", ("pdf", "png", "svg"), force=force)
