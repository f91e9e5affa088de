"""Differences between conditions, and their ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.ratings.conditions import shorten
from analysis.reporting.drawing import Drawing
from analysis.reporting.layout import Grid, figure_with_panels, font_sizes, inches, panel_width, tick_labels
from analysis.reporting.score_figures import condition_axis
from analysis.statistics.intervals import means_over_items
from analysis.statistics.paired_tests import midranks

MAX_NAME_LENGTH = 26


def differences(test: Drawing) -> Figure:
    """Draw the differences within listener and item with their confidence intervals, as `Drawing.differences`."""
    results = test.results
    pairs = test.differences()[::-1]
    caption = (f"Differences within listener and item. Thick: 95 % CI of each pair by itself; thin: of all "
               f"{len(results.pairs)} together (Bonferroni); filled: the thin interval leaves 0 out.")  # fmt: skip
    if test.choices.show_listeners:
        caption += " Grey: differences of each listener."
    caption += f" Claim: {results.holds}."
    if len(pairs) < len(results.pairs):
        caption += " Further pairs are in pairs.csv."
    size, small = font_sizes()
    names, lines, left = _pair_names(test, pairs, small)
    width = panel_width(4.2, test.look, left + 0.2)
    grid = Grid(width, (0.08 + 0.14 * lines) * small / 8 * max(len(pairs), 2), left, right=0.2, below=0.05 * size)
    figure, ((axes,),) = figure_with_panels(grid, test.caption(caption), test.look)
    y = np.arange(len(pairs))
    significant = ((pairs["ci_low_adjusted"] > 0) | (pairs["ci_high_adjusted"] < 0)).to_numpy()
    adjusted, single = (
        np.array([pairs["difference"] - pairs[f"ci_low{kind}"], pairs[f"ci_high{kind}"] - pairs["difference"]])
        for kind in ("_adjusted", "")
    )
    axes.axvline(0, color="0.5", linewidth=0.8)
    if test.choices.show_listeners:
        _listener_dots(axes, test, pairs)
    for chosen, face in ((significant, "black"), (~significant, "white")):
        axes.errorbar(pairs["difference"][chosen], y[chosen], xerr=single[:, chosen], fmt="none", color="black",
                      linewidth=2.4, zorder=3)  # fmt: skip
        axes.errorbar(pairs["difference"][chosen], y[chosen], xerr=adjusted[:, chosen], fmt="o", color="black",
                      markerfacecolor=face, markersize=4.5, capsize=3, linewidth=0.9, zorder=4)  # fmt: skip
    axes.set_yticks(y, names, fontsize=small)
    axes.set_ylim(-0.7, max(len(pairs), 1) - 0.3)
    axes.set_xlabel("difference of MUSHRA scores (points)", fontsize=0.9 * size)
    axes.tick_params(axis="x", labelsize=small)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    return figure


def _pair_names(test: Drawing, pairs: pd.DataFrame, size: float) -> tuple[list[str], int, float]:
    """Return the names of pairs, the number of their lines, and the inches to the left that they need.

    They have two lines if they would otherwise take more than 2/5 of a figure whose width is given.
    """
    named = {c: shorten(name, MAX_NAME_LENGTH) for c, name in test.names.items()}
    pairs_of_names = [(named[a], named[b]) for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    one_line = [f"{a} − {b}" for a, b in pairs_of_names]
    left = _width_of(one_line, size)
    if test.look.width_in is None or left <= 0.4 * test.look.width_in:
        return one_line, 1, left
    return [f"{a}\n− {b}" for a, b in pairs_of_names], 2, _width_of([f"− {n}" for n in named.values()], size)


def _width_of(names: Sequence[str], size: float) -> float:
    return inches(max(map(len, names), default=0), size) + 0.25


def _listener_dots(axes: Axes, test: Drawing, pairs: pd.DataFrame) -> None:
    """Draw each listener's mean difference over the items that he or she rated under both conditions."""
    cube = test.results.cube
    for y, (a, b) in enumerate(zip(pairs["a"], pairs["b"], strict=True)):
        of_listeners = means_over_items((cube.of(a) - cube.of(b))[:, :, None])[:, 0]
        axes.plot(of_listeners, np.full(len(of_listeners), y - 0.22), ".", color="0.6", markersize=3, zorder=2)


def ranks(test: Drawing) -> Figure:
    """Draw the rank of every condition by its mean, for each item and over the items (1 is best)."""
    cube = test.results.cube
    scores = cube.scores[:, :, [cube.conditions.index(c) for c in test.conditions]]
    rated = ~np.isnan(scores)
    total = np.where(rated, scores, 0.0).sum(axis=0)
    item_means = np.divide(total, rated.sum(axis=0), out=np.full(total.shape, -1.0), where=rated.any(axis=0))
    table = np.array([midranks(-row) for row in item_means])
    table = np.vstack([table, table.mean(axis=0)])
    size, small = font_sizes()
    longest = 30 if test.look.width_in is None else int(0.35 * test.look.width_in / inches(1, small))
    rows = [*(shorten(item, longest) for item in cube.items), "mean rank"]
    count = len(test.conditions)
    left = inches(max(map(len, rows)), small) + 0.2
    width = panel_width(0.75 * count, test.look, left + 0.2)
    ticks = tick_labels(test.tick_names, width / count, small)
    left = max(left, ticks.left)
    width = panel_width(0.75 * count, test.look, left + 0.2)
    grid = Grid(width, 0.025 * size * len(rows), left, right=0.2, below=ticks.below + 0.01 * size)
    caption = "Rank of the means over listeners, 1 is best; equal means share their ranks' mean."
    figure, ((axes,),) = figure_with_panels(grid, test.caption(caption), test.look)
    axes.imshow(table, cmap="Greys_r", vmin=1 - 1.5 * count, vmax=count, aspect="auto")
    for i, j in np.ndindex(table.shape):
        last = i == len(rows) - 1
        text = f"{table[i, j]:.1f}" if last or table[i, j] % 1 else f"{table[i, j]:.0f}"
        axes.text(j, i, text, ha="center", va="center", fontsize=small, weight="bold" if last else "normal")
    axes.axhline(len(rows) - 1.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), rows, fontsize=small)
    axes.tick_params(length=0)
    condition_axis(axes, ticks, small)
    return figure
