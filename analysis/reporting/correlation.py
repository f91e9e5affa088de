"""Scores against measures: one panel for each measure, one mark for each condition."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.ratings.table import condition_order
from analysis.study.correlation import OTHER
from render.common.files import whole_file

# Okabe and Ito's colours; marks tell conditions apart without them
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKS = "osD^vPX*<>ph"
COLUMNS = 5
_STYLE = {"font.family": "DejaVu Sans", "font.size": 8, "pdf.fonttype": 42, "axes.spines.top": False,
          "axes.spines.right": False}  # fmt: skip
_METADATA = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}, "png": {"Software": None}}


def figure(scores: pd.DataFrame, measures: pd.DataFrame, table: pd.DataFrame, simulated: bool) -> Figure:
    """Panels in the order of |Spearman|, the best first; `table` is that of `correlate`."""
    joined = scores[["item", "condition", "mean"]].merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"]
    pooled = table[(table["conditions"] == "all") & table["measure"].isin([c for c in measures if c not in OTHER])]
    pooled = pooled.dropna(subset=["spearman"])
    pooled = pooled.reindex(pooled["spearman"].abs().sort_values(ascending=False, kind="stable").index)
    conditions = condition_order(joined["condition"].unique())
    rows = max(-(-len(pooled) // COLUMNS), 1)
    made = Figure(figsize=(2.6 * COLUMNS, 2.2 * rows + 0.9), layout="constrained")
    grid = made.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for axes in grid.flat[len(pooled) :]:
        axes.remove()
    for axes, row in zip(grid.flat, pooled.itertuples(), strict=False):
        for number, condition in enumerate(conditions):
            own = joined[joined["condition"] == condition]
            axes.plot(own[row.measure], own["mean"], MARKS[number % len(MARKS)], markersize=4, label=condition,
                      color=COLOURS[number % len(COLOURS)], markerfacecolor="none", linestyle="none")  # fmt: skip
        axes.set_ylim(0, 100)
        axes.set_xlabel(row.measure)
        axes.set_title(f"ρ = {row.spearman:.2f}, r = {row.pearson:.2f}, τ = {row.kendall:.2f}", fontsize=8)
        if simulated:
            axes.text(0.5, 0.5, "SIMULATED\nRATINGS", transform=axes.transAxes, ha="center", va="center",
                      color="0.8", weight="bold", fontsize=13, rotation=25, zorder=0)  # fmt: skip
    for axes in grid[:, 0]:
        axes.set_ylabel("mean score")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 8), frameon=False)
    return made


def draw(
    scores: pd.DataFrame, measures: pd.DataFrame, table: pd.DataFrame, simulated: bool, folder: Path, force: bool
) -> None:
    """Write ``scatter.png`` and ``scatter.pdf``."""
    with mpl.rc_context(_STYLE):
        made = figure(scores, measures, table, simulated)
        for form, metadata in _METADATA.items():
            with whole_file(folder / f"scatter.{form}", force=force) as temporary:
                made.savefig(temporary, metadata=metadata, dpi=130)
