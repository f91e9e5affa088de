"""Scores of the conditions in a panel for each item or listener."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.reporting.drawing import Drawing
from analysis.reporting.layout import (
    MIN_PANEL_WIDTH,
    Grid,
    figure_with_panels,
    font_sizes,
    inches,
    panel_width,
    shorten_all,
    tick_labels,
)
from analysis.reporting.score_figures import BANDS, condition_axis, quality_scale, reach
from analysis.statistics.intervals import means_over_items

MAX_COLUMNS = 4


def per_item(test: Drawing) -> Figure:
    """Draw mean and t interval over the listeners, in a panel for each item."""
    items, of_items = test.results.cube.items, test.results.per_item
    caption = "Mean and 95 % CI (t over listeners) of each item."
    figure, panels = _panels(test, items, caption, *reach(of_items))
    table = of_items.groupby("item")
    for axes, item in zip(panels, items, strict=True):
        rows = test.rows(table.get_group(item))
        error = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
        axes.errorbar(range(len(rows)), rows["mean"], yerr=error, fmt="o", color="black", markersize=3,
                      capsize=3, linewidth=1.1, clip_on=False, zorder=3)  # fmt: skip
    return figure


def per_listener(test: Drawing) -> Figure:
    """Draw each listener's ratings, in a panel for each listener."""
    cube = test.results.cube
    caption = "Ratings (dots) and mean over items (discs) of each listener."
    figure, panels = _panels(test, cube.listeners, caption)
    scores = cube.scores[:, :, [cube.conditions.index(c) for c in test.conditions]]
    means = means_over_items(scores)
    x = np.arange(len(test.conditions))
    for i, axes in enumerate(panels):
        axes.plot(np.tile(x, len(cube.items)), scores[i].ravel(), ".", color="0.55", markersize=3, clip_on=False)
        axes.plot(x, means[i], "o", color="black", markersize=4, clip_on=False, zorder=3)
    return figure


def _panels(
    test: Drawing, titles: Sequence[str], caption: str, low: float = 0.0, high: float = 100.0
) -> tuple[Figure, list[Axes]]:
    """Create a figure with a panel (score against condition) per title; the conditions are named at the bottom.

    The ordinates reach from `low` to `high`.
    """
    size, small = font_sizes()
    tiny = 0.875 * small
    count = len(test.conditions)
    left, right, gap = 0.055 * size, inches(len(max(BANDS, key=len)), tiny) + 0.15, 0.03 * size
    columns = min(MAX_COLUMNS, len(titles))
    if test.look.width_in is not None:
        narrowest = max(MIN_PANEL_WIDTH, 1.5 * tiny / 72 * count)
        columns = max(1, min(columns, int((test.look.width_in - left - right + gap) / (narrowest + gap))))
    rows = -(-len(titles) // columns)
    natural = max(2.1, 0.2 * count) if columns > 1 else max(3.0, 0.5 * count)
    width = panel_width(natural, test.look, left + right, columns, gap)
    ticks = tick_labels(test.tick_names, width / count, tiny)
    left = max(left, ticks.left)
    width = panel_width(natural, test.look, left + right, columns, gap)
    grid = Grid(width, 0.125 * size, left, right, ticks.below, rows, columns, gap, row_gap=0.038 * size)
    figure, panels = figure_with_panels(grid, test.caption(caption), test.look)
    shortened = shorten_all(titles, int(width / inches(1, 1.05 * small)))
    for number, axes in enumerate(panels.flat):
        condition_axis(axes, ticks, tiny, named=number >= columns * (rows - 1))
        if number >= len(titles):  # below a column that ends earlier there are only the conditions' names
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False, bottom=False, labelleft=False)
            axes.patch.set_visible(False)
            continue
        first, last = number % columns == 0, number % columns == columns - 1 or number == len(titles) - 1
        quality_scale(axes, tiny if last else 0.0, low, high)
        axes.tick_params(axis="y", labelsize=tiny, labelleft=first)
        if first:
            axes.set_ylabel("score", fontsize=small)
        axes.set_title(shortened[number], fontsize=small, pad=4)
    return figure, list(panels.flat[: len(titles)])
