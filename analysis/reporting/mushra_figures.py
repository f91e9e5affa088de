"""Figures of a listening test, in the style of the paper's Figure 2.

All are drawn in black and greys, and conditions are told apart by their position, so nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.ratings.conditions import ANCHORS, labels, shorten
from analysis.reporting.layout import (
    SLANT_DEG,
    Grid,
    TickLabels,
    figure_with_panels,
    inches,
    shorten_all,
    tick_labels,
    watermark,
)
from analysis.statistics.distribution import hinges
from analysis.statistics.intervals import CONVENTIONS, means_over_items
from analysis.statistics.paired_tests import midranks
from analysis.study.results import Results
from render.common.figure_style import figure_style, write_figure

FONT_SIZE = 10

BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""The five intervals of the continuous quality scale, 20 points each (BS.1534-3)."""

MAX_PANELS = 60
"""Largest number of items or listeners for which a figure with a panel or row for each is drawn."""

MAX_PAIRS = 30
"""Largest number of pairs of which those with an anchor are drawn too."""


def quality_scale(axes: Axes, named: bool = True, low: float = 0.0, high: float = 100.0) -> None:
    """Give the ordinate the scale 0 to 100 with its five intervals; with `named`, write their names beside it.

    The ordinate reaches from `low` to `high` if an interval leaves the scale, whose ends are then drawn as lines.
    """
    axes.set_ylim(low, high)
    axes.set_yticks(range(0, 101, 20))
    for end in [end for end, outside in ((0, low < 0), (100, high > 100)) if outside]:
        axes.axhline(end, color="0.5", linewidth=0.8, zorder=1)
    for i, band in enumerate(BANDS):
        if i % 2:
            axes.axhspan(20 * i, 20 * i + 20, color="0.94", zorder=0, linewidth=0)
        if named:
            axes.text(1.01, 20 * i + 10, band, transform=axes.get_yaxis_transform(), va="center", color="0.35")


def _condition_axis(axes: Axes, ticks: TickLabels, size: float, named: bool = True) -> None:
    """Give the abscissa one tick for each condition."""
    axes.set_xlim(-0.5, len(ticks.names) - 0.5)
    names = ticks.names if named else [""] * len(ticks.names)
    axes.set_xticks(range(len(names)), names, fontsize=size)
    if ticks.slanted and named:
        for label in axes.get_xticklabels():
            label.set(rotation=SLANT_DEG, ha="right", rotation_mode="anchor")


def _score_panel(results: Results, caption: str, low: float = 0.0, high: float = 100.0) -> tuple[Figure, Axes]:
    """Create a figure with one panel, score against condition; its ordinate reaches from `low` to `high`."""
    conditions = results.cube.conditions
    ticks = tick_labels(conditions, 0.8, 10)
    grid = Grid(
        width=0.8 * max(len(conditions), 3), height=3.3, left=max(0.65, ticks.left), right=0.95, below=ticks.below
    )
    figure, ((axes,),) = figure_with_panels(grid, _caption(results, caption))
    quality_scale(axes, low=low, high=high)
    axes.set_ylabel("MUSHRA score")
    _condition_axis(axes, ticks, 10)
    return figure, axes


def overall(results: Results) -> Figure:
    """Draw mean and confidence interval of every condition over all items and listeners: the paper's Figure 2."""
    summary = results.summary
    caption = f"Mean and {CONVENTIONS[results.ci]}."
    low, high = _reach(summary)
    if low < 0 or high > 100:
        caption += " Intervals leave the scale of 0 to 100; summary.csv has bounded ones."
    if not results.cube.complete and summary["marginal_mean"].notna().any():
        caption += " Diamonds: marginal means by the mixed model, as the design is incomplete."
    figure, axes = _score_panel(results, caption, low, high)
    at = range(len(summary))
    error = [summary["mean"] - summary["ci_low"], summary["ci_high"] - summary["mean"]]
    axes.errorbar(at, summary["mean"], yerr=error, fmt="o", color="black", markersize=4.5, capsize=7,
                  linewidth=1.4, clip_on=False, zorder=3)  # fmt: skip
    if not results.cube.complete:
        axes.plot(np.array(at) - 0.18, summary["marginal_mean"], "D", color="black", markerfacecolor="white",
                  markersize=4, zorder=3, clip_on=False)  # fmt: skip
    for x, mean in zip(at, summary["mean"], strict=True):
        axes.annotate(f"{mean:.1f}", (x, mean), xytext=(9, 0), textcoords="offset points", va="center", fontsize=8)
    return _mark_simulated(figure, results)


def _reach(table: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an ordinate on which every interval of a table is seen: 0 and 100 if they hold them."""
    low, high = table["ci_low"].min(skipna=True), table["ci_high"].max(skipna=True)
    return (low - 2 if low < 0 else 0.0), (high + 2 if high > 100 else 100.0)


def boxes(results: Results) -> Figure:
    """Draw median, hinges and all ratings of every condition; BS.1534-3 asks for medians and quartiles."""
    caption = "Median, hinges of BS.1534-3, whiskers to 1.5 times their distance; diamond: mean; dots: ratings."
    figure, axes = _score_panel(results, caption)
    by_condition = results.table.groupby("condition")["score"]
    rng = np.random.Generator(np.random.Philox(1))
    for x, condition in enumerate(results.cube.conditions):
        scores = by_condition.get_group(condition).to_numpy(float)
        jittered = x + rng.uniform(-0.3, 0.3, scores.size)
        axes.plot(jittered, scores, ".", color="0.6", markersize=3, zorder=2, clip_on=False, rasterized=True)
        low, median, high = hinges(scores)
        reach = 1.5 * (high - low)
        inside = scores[(scores >= low - reach) & (scores <= high + reach)]
        box = {"med": median, "q1": low, "q3": high, "mean": scores.mean(), "whislo": inside.min(),
               "whishi": inside.max()}  # fmt: skip
        drawn = axes.bxp(
            [box], positions=[x], widths=0.5, showfliers=False, zorder=3, manage_ticks=False, showmeans=True,
            medianprops={"color": "black", "linewidth": 2.2},
            meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "w", "markeredgecolor": "k"},
        )  # fmt: skip
        for artist in chain.from_iterable(drawn.values()):
            artist.set_clip_on(False)
    return _mark_simulated(figure, results)


def per_item(results: Results) -> Figure:
    """Draw mean and t interval over the listeners, in a panel for each item."""
    items = results.cube.items
    caption = "Mean and 95 % CI (t over listeners) of each item."
    figure, panels = _panels(results, items, caption, *_reach(results.per_item))
    table = results.per_item.groupby("item")
    for axes, item in zip(panels, items, strict=True):
        rows = table.get_group(item)
        error = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
        axes.errorbar(range(len(rows)), rows["mean"], yerr=error, fmt="o", color="black", markersize=3,
                      capsize=3, linewidth=1.1, clip_on=False, zorder=3)  # fmt: skip
    return _mark_simulated(figure, results)


def per_listener(results: Results) -> Figure:
    """Draw each listener's ratings, in a panel for each listener."""
    cube = results.cube
    caption = "Ratings (dots) and mean over items (discs) of each listener."
    figure, panels = _panels(results, cube.listeners, caption)
    means = means_over_items(cube.scores)
    x = np.arange(len(cube.conditions))
    for i, axes in enumerate(panels):
        axes.plot(
            np.tile(x, len(cube.items)), cube.scores[i].ravel(), ".", color="0.55", markersize=3, clip_on=False
        )
        axes.plot(x, means[i], "o", color="black", markersize=4, clip_on=False, zorder=3)
    return _mark_simulated(figure, results)


def _panels(
    results: Results, titles: Sequence[str], caption: str, low: float = 0.0, high: float = 100.0
) -> tuple[Figure, list[Axes]]:
    """Create a figure with a panel (score against condition) per title; the conditions are named at the bottom.

    The ordinates reach from `low` to `high`.
    """
    conditions = results.cube.conditions
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    width = max(2.1, 0.2 * len(conditions)) if columns > 1 else max(3.0, 0.5 * len(conditions))
    ticks = tick_labels(conditions, width / len(conditions), 7)
    grid = Grid(width, 1.25, max(0.55, ticks.left), 0.75, ticks.below, rows, columns, column_gap=0.3, row_gap=0.38)
    figure, panels = figure_with_panels(grid, _caption(results, caption))
    shortened = shorten_all(titles, int(width / inches(1, 9)))
    for number, axes in enumerate(panels.flat):
        _condition_axis(axes, ticks, 7, named=number >= columns * (rows - 1))
        if number >= len(titles):  # below a column that ends earlier there are only the conditions' names
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False, bottom=False, labelleft=False)
            axes.patch.set_visible(False)
            continue
        quality_scale(axes, named=False, low=low, high=high)
        first, last = number % columns == 0, number % columns == columns - 1 or number == len(titles) - 1
        axes.tick_params(axis="y", labelsize=7, labelleft=first)
        if first:
            axes.set_ylabel("score", fontsize=8)
        if last:
            for i, band in enumerate(BANDS):
                axes.text(
                    1.02,
                    20 * i + 10,
                    band,
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    color="0.35",
                    fontsize=7,
                )
        axes.set_title(shortened[number], fontsize=8, pad=4)
    return figure, list(panels.flat[: len(titles)])


def differences(results: Results) -> Figure:
    """Draw the paired differences between conditions with their confidence intervals."""
    pairs = results.pairs[::-1]
    caption = (f"Differences within listener and item. Thick: 95 % CI of each pair by itself; thin: of all "
               f"{len(pairs)} together (Bonferroni); filled: the thin interval leaves 0 out. Claim: "
               f"{results.holds}.")  # fmt: skip
    if len(pairs) > MAX_PAIRS:
        pairs = pairs[~pairs[["a", "b"]].isin(ANCHORS).any(axis=1)]
        caption += " Pairs with an anchor are in pairs.csv."
    named = {c: shorten(name, 26) for c, name in labels(results.cube.conditions).items()}
    names = [f"{named[a]} − {named[b]}" for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    left = inches(max(map(len, names), default=0), 8) + 0.25
    grid = Grid(width=4.2, height=0.25 * max(len(pairs), 2), left=left, right=0.3, below=0.5)
    figure, ((axes,),) = figure_with_panels(grid, _caption(results, caption))
    y = np.arange(len(pairs))
    significant = ((pairs["ci_low_adjusted"] > 0) | (pairs["ci_high_adjusted"] < 0)).to_numpy()
    adjusted, single = (
        np.array([pairs["difference"] - pairs[f"ci_low{kind}"], pairs[f"ci_high{kind}"] - pairs["difference"]])
        for kind in ("_adjusted", "")
    )
    axes.axvline(0, color="0.5", linewidth=0.8)
    for chosen, face in ((significant, "black"), (~significant, "white")):
        axes.errorbar(pairs["difference"][chosen], y[chosen], xerr=single[:, chosen], fmt="none", color="black",
                      linewidth=2.4)  # fmt: skip
        axes.errorbar(pairs["difference"][chosen], y[chosen], xerr=adjusted[:, chosen], fmt="o", color="black",
                      markerfacecolor=face, markersize=4.5, capsize=3, linewidth=0.9)  # fmt: skip
    axes.set_yticks(y, names, fontsize=8)
    axes.set_ylim(-0.7, max(len(pairs), 1) - 0.3)
    axes.set_xlabel("difference of MUSHRA scores (points)", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    return _mark_simulated(figure, results)


def ranks(results: Results) -> Figure:
    """Draw the rank of every condition by its mean, for each item and over the items (1 is best)."""
    cube = results.cube
    rated = ~np.isnan(cube.scores)
    total = np.where(rated, cube.scores, 0.0).sum(axis=0)
    item_means = np.divide(total, rated.sum(axis=0), out=np.full(total.shape, -1.0), where=rated.any(axis=0))
    table = np.array([midranks(-row) for row in item_means])
    table = np.vstack([table, table.mean(axis=0)])
    rows = [*(shorten(item, 30) for item in cube.items), "mean rank"]
    count = len(cube.conditions)
    ticks = tick_labels(cube.conditions, 0.75, 8)
    left = max(inches(max(map(len, rows)), 8) + 0.2, ticks.left)
    grid = Grid(width=0.75 * count, height=0.25 * len(rows), left=left, right=0.2, below=ticks.below)
    caption = "Rank of the means over listeners, 1 is best; equal means share their ranks' mean."
    figure, ((axes,),) = figure_with_panels(grid, _caption(results, caption))
    axes.imshow(table, cmap="Greys_r", vmin=1 - 1.5 * count, vmax=count, aspect="auto")
    for i, j in np.ndindex(table.shape):
        last = i == len(rows) - 1
        text = f"{table[i, j]:.1f}" if last or table[i, j] % 1 else f"{table[i, j]:.0f}"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, weight="bold" if last else "normal")
    axes.axhline(len(rows) - 1.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    _condition_axis(axes, ticks, 8)
    return _mark_simulated(figure, results)


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "mushra": overall,
    "items": per_item,
    "boxes": boxes,
    "listeners": per_listener,
    "differences": differences,
    "ranks": ranks,
}
"""File name -> the function that draws the figure."""


def drawable(results: Results) -> list[str]:
    """Return the names of the figures that can be drawn: not too many panels, and at least one pair."""
    panels = {"items": len(results.cube.items), "listeners": len(results.cube.listeners),
              "ranks": len(results.cube.items)}  # fmt: skip
    few = {name for name in FIGURES if panels.get(name, 0) <= MAX_PANELS}
    return [name for name in FIGURES if name in few and (name != "differences" or len(results.pairs))]


def _caption(results: Results, text: str) -> str:
    simulated = "SIMULATED RATINGS. " if results.simulated else ""
    return f"{simulated}{text} {results.design}. {results.screened}."


def _mark_simulated(figure: Figure, results: Results) -> Figure:
    """Mark simulated ratings in every panel."""
    for axes in figure.axes if results.simulated else ():
        box = axes.get_position()
        size = min(box.width * figure.get_figwidth(), 1.6 * box.height * figure.get_figheight())
        watermark(axes, "SIMULATED RATINGS", min(26, 5.2 * size))
    return figure


def save(results: Results, name: str, folder: Path, formats: Sequence[str], force: bool = False) -> None:
    """Draw a figure of `FIGURES` and write ``folder/name.format`` in every format (``pdf``, ``png``, ``svg``).

    Raises
    ------
    InputError
        If a file with other content exists and `force` is not set.
    """
    title = f"{'SIMULATED RATINGS: ' if results.simulated else ''}{name}, {results.design}"
    with figure_style(FONT_SIZE):
        figure = FIGURES[name](results)
        for suffix in formats:
            write_figure(figure, Path(folder) / f"{name}.{suffix}", title, force)
