"""Scores of the conditions over all items, one panel each: means, boxes, violins."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.reporting.drawing import LEVEL, Drawing
from analysis.reporting.layout import (
    SLANT_DEG,
    Grid,
    TickLabels,
    figure_with_panels,
    font_sizes,
    inches,
    panel_width,
    tick_labels,
)
from analysis.reporting.significance import letters, levels, p_text
from analysis.statistics.distribution import hinges
from analysis.statistics.intervals import CONVENTIONS, means_over_items
from render.common.errors import InputError

BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""The five intervals of the continuous quality scale, 20 points each (BS.1534-3)."""

MAX_MARKED = 20
"""Largest number of conditions that are marked with letters."""

MAX_BRACKETS = 10

NOT_COMPARED = "--mark: no pairs were compared, so it is not known which conditions differ"


def quality_scale(axes: Axes, named: float = 0.0, low: float = 0.0, high: float = 100.0) -> None:
    """Give the ordinate the scale 0 to 100 with its five intervals, their names beside it at a font size.

    The names are left out for size 0. The ordinate reaches from `low` to `high` if an interval leaves the scale,
    whose ends are then drawn as lines.
    """
    axes.set_ylim(low, high)
    axes.set_yticks(range(0, 101, 20))
    for end in [end for end, outside in ((0, low < 0), (100, high > 100)) if outside]:
        axes.axhline(end, color="0.5", linewidth=0.8, zorder=1)
    for i, band in enumerate(BANDS):
        if i % 2:
            axes.axhspan(20 * i, 20 * i + 20, color="0.94", zorder=0, linewidth=0)
        if named:
            axes.text(1.015, 20 * i + 10, band, transform=axes.get_yaxis_transform(), va="center", color="0.35",
                      fontsize=named)  # fmt: skip


def condition_axis(axes: Axes, ticks: TickLabels, size: float, named: bool = True) -> None:
    """Give the abscissa one tick for each condition."""
    axes.set_xlim(-0.5, len(ticks.names) - 0.5)
    names = ticks.names if named else [""] * len(ticks.names)
    axes.set_xticks(range(len(names)), names, fontsize=size)
    if ticks.slanted and named:
        for label in axes.get_xticklabels():
            label.set(rotation=SLANT_DEG, ha="right", rotation_mode="anchor")


def reach(table: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an ordinate on which every interval of a table is seen: 0 and 100 if they hold them."""
    low, high = table["ci_low"].min(skipna=True), table["ci_high"].max(skipna=True)
    return (low - 2 if low < 0 else 0.0), (high + 2 if high > 100 else 100.0)


def _score_panel(
    test: Drawing, caption: str, low: float = 0.0, high: float = 100.0, above: float = 0.0
) -> tuple[Figure, Axes, float]:
    """Create a figure with one panel, score against condition; also return the inches between two conditions.

    The ordinate reaches from `low` to `high`, and `above` inches are left above the panel.
    """
    size, _ = font_sizes()
    count = len(test.conditions)
    left, right = 0.065 * size, inches(len(max(BANDS, key=len)), 0.95 * size) + 0.1
    natural = 0.08 * size * max(count, 3)
    width = panel_width(natural, test.look, left + right)
    ticks = tick_labels(test.tick_names, width / count, size)
    left = max(left, ticks.left)
    width = panel_width(natural, test.look, left + right)
    height = 0.33 * size if test.look.width_in is None else float(np.clip(0.75 * width, 0.2 * size, 0.33 * size))
    grid = Grid(width, height, left, right, ticks.below + 0.01 * size, above=above)
    figure, ((axes,),) = figure_with_panels(grid, test.caption(caption), test.look)
    quality_scale(axes, 0.95 * size, low, high)
    axes.set_ylabel("MUSHRA score")
    condition_axis(axes, ticks, size)
    return figure, axes, width / count


def overall(test: Drawing) -> Figure:
    """Draw mean and confidence interval of every condition over all items and listeners: the paper's Figure 2."""
    results, choices = test.results, test.choices
    summary = test.rows(results.summary)
    caption = f"Mean and {CONVENTIONS[results.ci]}."
    if choices.show_listeners:
        caption += " Grey: means of each listener."
    low, high = reach(summary)
    if low < 0 or high > 100:
        caption += " Intervals leave the scale of 0 to 100; summary.csv has bounded ones."
    marginal = not results.cube.complete and bool(summary["marginal_mean"].notna().any())
    if marginal:
        caption += " Diamonds: marginal means by the mixed model, as the design is incomplete."
    size, small = font_sizes()
    brackets, above = _brackets(test) if choices.mark == "brackets" else ([], 0.0)
    if choices.mark == "letters":
        above = 0.1
        caption += f" Conditions that share a letter are not shown to differ at 5 % ({test.test_name})."
    if choices.mark == "brackets":
        caption += f" {_bracket_caption(test, bool(brackets))}"
    figure, axes, spacing = _score_panel(test, caption, low, high, above)
    if choices.show_listeners:
        _listener_lines(axes, test)
    at = np.arange(len(summary))
    error = [summary["mean"] - summary["ci_low"], summary["ci_high"] - summary["mean"]]
    axes.errorbar(at, summary["mean"], yerr=error, fmt="o", color="black", markersize=0.45 * size,
                  capsize=min(0.7 * size, 12 * spacing), linewidth=0.14 * size, clip_on=False,
                  zorder=3)  # fmt: skip
    if marginal:
        axes.plot(at - 0.18, summary["marginal_mean"], "D", color="black", markerfacecolor="white",
                  markersize=0.4 * size, zorder=3, clip_on=False)  # fmt: skip
    if spacing >= inches(8, small):
        white = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
        behind = white if choices.show_listeners else None
        for x, mean in zip(at, summary["mean"], strict=True):
            axes.annotate(f"{mean:.1f}", (x, mean), xytext=(0.9 * size, 0), textcoords="offset points",
                          va="center", fontsize=small, zorder=4, bbox=behind)  # fmt: skip
    if choices.mark == "letters":
        for x, letter in zip(at, _letters(test), strict=True):
            axes.annotate(letter, (x, 1), xycoords=axes.get_xaxis_transform(), xytext=(0, 0.5 * size),
                          textcoords="offset points", ha="center", va="bottom")  # fmt: skip
    _draw_brackets(axes, brackets)
    return figure


def _listener_lines(axes: Axes, test: Drawing) -> None:
    """Draw each listener's means over the items as a thin line with dots, behind everything else."""
    cube = test.results.cube
    of_conditions = [cube.conditions.index(c) for c in test.conditions]
    means = means_over_items(cube.scores)[:, of_conditions]
    for listener in means:
        axes.plot(range(len(listener)), listener, "-", marker=".", color="0.72", linewidth=0.5, markersize=3,
                  zorder=2, clip_on=False, label="listener")  # fmt: skip


def _different(test: Drawing) -> list[tuple[str, str]]:
    pairs = test.results.pairs
    if not len(pairs):
        raise InputError(NOT_COMPARED)
    chosen = pairs[(pairs["p_adjusted"] < LEVEL) & pairs[["a", "b"]].isin(list(test.conditions)).all(axis=1)]
    return list(chosen[["a", "b"]].itertuples(index=False, name=None))


def _letters(test: Drawing) -> list[str]:
    """Return the letters of the conditions; the one with the highest mean has the first."""
    if len(test.conditions) > MAX_MARKED:
        raise InputError(f"--mark letters: {len(test.conditions)} conditions are more than {MAX_MARKED}; name "
                         "fewer by --order")  # fmt: skip
    by_mean = test.rows(test.results.summary).sort_values("mean", ascending=False, kind="stable")["condition"]
    found = letters(list(by_mean), _different(test))
    return [found[condition] for condition in test.conditions]


def _brackets(test: Drawing) -> tuple[list[tuple[int, int, int, str]], float]:
    """Return ends, level and text of each bracket, and the inches that they need above the panel."""
    _, small = font_sizes()
    pairs = test.results.pairs if test.results.planned is None else test.results.planned
    if not len(pairs):
        raise InputError(NOT_COMPARED)
    shown = [c for c in test.conditions if c not in REFERENCE_AND_ANCHORS]
    chosen = pairs[(pairs["p_adjusted"] < LEVEL) & pairs[["a", "b"]].isin(shown).all(axis=1)]
    if len(chosen) > MAX_BRACKETS:
        raise InputError(f"--mark brackets: {len(chosen)} pairs differ, more than {MAX_BRACKETS}; name fewer "
                         "conditions by --order, or give --mark letters")  # fmt: skip
    at = test.conditions.index
    spans = [(min(at(a), at(b)), max(at(a), at(b))) for a, b in zip(chosen["a"], chosen["b"], strict=True)]
    texts = [p_text(p) for p in chosen["p_adjusted"]]
    heights = levels(spans)
    found = [(low, high, level, text) for (low, high), level, text in zip(spans, heights, texts, strict=True)]
    return found, (max(heights) + 1) * 2 * small / 72 if found else 0.0


def _bracket_caption(test: Drawing, any_differ: bool) -> str:
    planned = test.results.planned
    by = test.test_name if planned is None else f"the {len(planned)} planned comparisons"
    return f"Brackets: systems that differ at 5 % ({by})." if any_differ else f"No systems differ at 5 % ({by})."


def _draw_brackets(axes: Axes, brackets: list[tuple[int, int, int, str]]) -> None:
    """Draw brackets above a panel, 2 lines of small text for each level."""
    _, small = font_sizes()
    panel_points = axes.get_window_extent().height * 72 / axes.figure.dpi
    for low, high, level, text in brackets:
        top = 1 + (1 + 2 * level) * small / panel_points
        foot = top - 0.4 * small / panel_points
        axes.plot([low, low, high, high], [foot, top, top, foot], color="black", linewidth=0.8, clip_on=False,
                  transform=axes.get_xaxis_transform())  # fmt: skip
        axes.text((low + high) / 2, top, text, transform=axes.get_xaxis_transform(), fontsize=small, ha="center",
                  va="bottom")  # fmt: skip


def boxes(test: Drawing) -> Figure:
    """Draw median, hinges and all ratings of every condition; BS.1534-3 asks for medians and quartiles."""
    caption = "Median, hinges of BS.1534-3, whiskers to 1.5 times their distance; diamond: mean; dots: ratings."
    figure, axes, _ = _score_panel(test, caption)
    rng = np.random.Generator(np.random.Philox(1))
    for x, scores in enumerate(_ratings(test)):
        jittered = x + rng.uniform(-0.3, 0.3, scores.size)
        axes.plot(jittered, scores, ".", color="0.6", markersize=3, zorder=2, clip_on=False, rasterized=True)
        _box(axes, x, scores, 0.5, mean=True)
    return figure


def violins(test: Drawing) -> Figure:
    """Draw the distribution of the ratings of every condition, its box, and beside it mean and interval."""
    results = test.results
    summary = test.rows(results.summary)
    caption = ("Grey: distribution of the ratings (kernel density, reflected at 0 and 100); box: median, hinges "
               "of BS.1534-3, whiskers to 1.5 times their distance; disc: mean and "
               f"{CONVENTIONS[results.ci]}.")  # fmt: skip
    figure, axes, _ = _score_panel(test, caption, *reach(summary))
    size, _ = font_sizes()
    for x, scores in enumerate(_ratings(test)):
        grid, density = score_density(scores)
        half = 0.3 * density / density.max()
        axes.fill_betweenx(grid, x - 0.1 - half, x - 0.1 + half, color="0.82", linewidth=0, zorder=2)
        _box(axes, x - 0.1, scores, 0.12)
    error = [summary["mean"] - summary["ci_low"], summary["ci_high"] - summary["mean"]]
    axes.errorbar(np.arange(len(summary)) + 0.33, summary["mean"], yerr=error, fmt="o", color="black",
                  markersize=0.35 * size, capsize=0.25 * size, linewidth=0.12 * size, clip_on=False,
                  zorder=4)  # fmt: skip
    return figure


def score_density(
    scores: Float64[np.ndarray, " n"],
) -> tuple[Float64[np.ndarray, " score"], Float64[np.ndarray, " score"]]:
    """Estimate the density of ratings on a grid from 0 to 100.

    Gaussian kernels of Silverman's (1986) width ``0.9 min(sd, IQR / 1.34) n^(-1/5)``, at least 1 point; what falls
    outside the scale is reflected at its ends, so the density has an area of 1.
    """
    grid = np.linspace(0, 100, 201)
    low, _, high = hinges(scores)
    spreads = [
        spread for spread in (float(scores.std(ddof=min(1, scores.size - 1))), (high - low) / 1.34) if spread
    ]
    width = max(0.9 * min(spreads, default=0.0) * scores.size**-0.2, 1.0)
    reflected = np.concatenate([scores, -scores, 200 - scores])
    kernels = np.exp(-0.5 * ((grid[:, None] - reflected) / width) ** 2)
    return grid, kernels.sum(axis=1) / (scores.size * width * np.sqrt(2 * np.pi))


def _ratings(test: Drawing) -> list[Float64[np.ndarray, " n"]]:
    by_condition = test.results.table.groupby("condition")["score"]
    return [by_condition.get_group(condition).to_numpy(float) for condition in test.conditions]


def _box(axes: Axes, x: float, scores: Float64[np.ndarray, " n"], width: float, mean: bool = False) -> None:
    """Draw median, hinges of BS.1534-3 and whiskers to the last rating within 1.5 times their distance."""
    low, median, high = hinges(scores)
    beyond = 1.5 * (high - low)
    inside = scores[(scores >= low - beyond) & (scores <= high + beyond)]
    box = {"med": median, "q1": low, "q3": high, "mean": scores.mean(), "whislo": inside.min(),
           "whishi": inside.max()}  # fmt: skip
    size, _ = font_sizes()
    drawn = axes.bxp(
        [box], positions=[x], widths=width, showfliers=False, zorder=3, manage_ticks=False, showmeans=mean,
        patch_artist=not mean, boxprops={} if mean else {"facecolor": "white"},
        medianprops={"color": "black", "linewidth": 0.22 * size},
        meanprops={"marker": "D", "markersize": 0.4 * size, "markerfacecolor": "w", "markeredgecolor": "k"},
    )  # fmt: skip
    for artist in chain.from_iterable(drawn.values()):
        artist.set_clip_on(False)
