"""Scores against objective measures: the table of coefficients, and a figure with a panel for each measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.ratings.conditions import condition_order
from analysis.reporting.layout import watermark
from analysis.study.correlation import COEFFICIENTS, OTHER_COLUMNS
from render.common.figure_style import figure_style, write_figure

# Okabe and Ito's colours, which the colour-blind can distinguish; the markers alone tell the conditions apart too
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = "osD^vPX*<>ph"
COLUMNS = 5


def table_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield lines of text: the comparisons over all conditions and over the systems, the best measure first.

    `table` is that of `analysis.study.correlation.correlate`.
    """
    pooled = table[table["conditions"].isin(("all", "systems"))]
    pooled = pooled.assign(size=pooled["spearman"].abs())
    pooled = pooled.sort_values(["conditions", "size"], ascending=[True, False])
    yield (f"{'measure':<17}{'conditions':<11}{'n':>4}" + "".join(f"{name:>22}" for name in COEFFICIENTS)
           + f"{'within':>8}{'rmse':>7}{'over bit rate':>21}")  # fmt: skip
    for row in pooled.itertuples():
        *coefficients, over_rate = (_with_interval(row, name) for name in (*COEFFICIENTS, "over_rate"))
        yield (f"{row.measure:<17}{row.conditions:<11}{row.n:>4}" + "".join(f"{c:>22}" for c in coefficients)
               + f"{_number(row.within_items):>8}{_number(row.rmse, 1):>7}{over_rate:>21}")  # fmt: skip


def _number(value: Any, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"


def _with_interval(row: Any, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return _number(value) + (f" [{low:.2f}, {high:.2f}]" if low == low else "")


def scatter(scores: pd.DataFrame, measures: pd.DataFrame, table: pd.DataFrame, simulated: bool) -> Figure:
    """Draw the scores against every measure, in the order of |Spearman|, the largest first.

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
    """
    joined = scores[["item", "condition", "mean"]].merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"]
    names = [column for column in measures if column not in OTHER_COLUMNS]
    pooled = table[(table["conditions"] == "all") & table["measure"].isin(names)].dropna(subset=["spearman"])
    pooled = pooled.reindex(pooled["spearman"].abs().sort_values(ascending=False, kind="stable").index)
    conditions = condition_order(joined["condition"].unique())
    rows = max(-(-len(pooled) // COLUMNS), 1)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.2 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for axes in panels.flat[len(pooled) :]:
        axes.remove()
    for axes, row in zip(panels.flat, pooled.itertuples(), strict=False):
        for number, condition in enumerate(conditions):
            points = joined[joined["condition"] == condition]
            axes.plot(points[row.measure], points["mean"], MARKERS[number % len(MARKERS)], markersize=4,
                      label=condition, color=COLOURS[number % len(COLOURS)], markerfacecolor="none",
                      linestyle="none")  # fmt: skip
        axes.set_ylim(0, 100)
        axes.set_xlabel(row.measure)
        axes.set_title(f"ρ = {row.spearman:.2f}, r = {row.pearson:.2f}, τ = {row.kendall:.2f}", fontsize=8)
        if simulated:
            watermark(axes, "SIMULATED\nRATINGS", 13)
    for axes in panels[:, 0]:
        axes.set_ylabel("mean score")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 8), frameon=False)
    return figure


def write_scatter(
    scores: pd.DataFrame, measures: pd.DataFrame, table: pd.DataFrame, simulated: bool, folder: Path, force: bool
) -> None:
    """Write the figure of `scatter` as ``scatter.png`` and ``scatter.pdf``."""
    with figure_style(8):
        figure = scatter(scores, measures, table, simulated)
        for suffix in ("pdf", "png"):
            write_figure(figure, folder / f"scatter.{suffix}", force=force)
