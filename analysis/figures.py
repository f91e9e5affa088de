"""Figures of a listening test, in the style of the paper's Figure 2; the same input gives the same bytes.

All are drawn in black and greys, and conditions are told apart by place: nothing depends on colour.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.paired import midranks
from analysis.power import t_power
from analysis.ratings import labels
from analysis.results import Results
from analysis.statistics import CONVENTIONS, means_over_items
from render.artefact import whole_file

BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""The five intervals of the continuous quality scale, 20 points each (BS.1534-3)."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "hoa-rvqgan",
}
# No date and no program version: a figure's bytes depend on the ratings only.
_METADATA = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
MOST_PANELS = 60
"""Items or listeners up to which a figure with a panel for each is drawn."""


def quality_scale(axes: Axes, named: bool = True) -> None:
    """Give the ordinate the scale 0 to 100 with its five intervals."""
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    for i, band in enumerate(BANDS):
        axes.axhspan(20 * i, 20 * i + 20, color="0.95" if i % 2 else "white", zorder=0, linewidth=0)
        if named:
            axes.text(1.01, (20 * i + 10) / 100, band, transform=axes.transAxes, va="center", color="0.35")


def condition_axis(axes: Axes, conditions: Sequence[str], size: float = 10) -> None:
    """Give the abscissa one place for each condition, its label slanted where it would not fit."""
    names = list(labels(conditions).values())
    inches = axes.bbox.width / axes.figure.dpi
    slanted = max(map(len, names)) * size / 110 > inches / len(names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks(range(len(names)), names, fontsize=size)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")


def overall(results: Results) -> Figure:
    """Mean and confidence interval of every condition over all items and listeners: the paper's Figure 2."""
    summary = results.summary
    figure = Figure(figsize=(max(4.6, 1.6 + 0.75 * len(summary)), 4.2))
    axes = figure.subplots()
    quality_scale(axes)
    axes.set_ylabel("MUSHRA score")
    at = range(len(summary))
    error = [summary["mean"] - summary["ci_low"], summary["ci_high"] - summary["mean"]]
    axes.errorbar(at, summary["mean"], yerr=error, fmt="o", color="black", markersize=6, capsize=6,
                  linewidth=1.6, clip_on=False, zorder=3)  # fmt: skip
    for x, mean in zip(at, summary["mean"], strict=True):
        place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(f"{mean:.1f}", (x, mean), **place)
    condition_axis(axes, results.cube.conditions)
    return _finished(figure, results, f"Mean and {CONVENTIONS[results.ci]}.")


def per_item(results: Results) -> Figure:
    """Mean and t interval over the listeners, a panel for each item."""
    items = results.cube.items
    figure, panels = _panels(len(items), results.cube.conditions)
    table = results.per_item.groupby("item")
    for axes, item in zip(panels, items, strict=True):
        rows = table.get_group(item)
        quality_scale(axes, named=False)
        error = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
        axes.errorbar(range(len(rows)), rows["mean"], yerr=error, fmt="o", color="black", markersize=4,
                      capsize=3, linewidth=1.1, clip_on=False, zorder=3)  # fmt: skip
        axes.set_title(item, fontsize=9)
    return _finished(figure, results, "Mean and 95 % CI (t over listeners) of each item.")


def boxes(results: Results) -> Figure:
    """Median, quartiles and all ratings of every condition; the standard asks for medians and quartiles."""
    conditions = results.cube.conditions
    figure = Figure(figsize=(max(4.6, 1.6 + 0.8 * len(conditions)), 4.2))
    axes = figure.subplots()
    quality_scale(axes)
    axes.set_ylabel("MUSHRA score")
    by_condition = results.ratings.groupby("condition")["score"]
    rng = np.random.Generator(np.random.Philox(1))
    for x, condition in enumerate(conditions):
        scores = by_condition.get_group(condition).to_numpy(float)
        place = x + rng.uniform(-0.3, 0.3, scores.size)
        axes.plot(place, scores, ".", color="0.6", markersize=3, zorder=2, clip_on=False, rasterized=True)
        drawn = axes.boxplot(
            scores, positions=[x], widths=0.5, showfliers=False, zorder=3, manage_ticks=False, showmeans=True,
            medianprops={"color": "black", "linewidth": 2.2},
            meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "w", "markeredgecolor": "k"},
        )  # fmt: skip
        for artist in chain.from_iterable(drawn.values()):
            artist.set_clip_on(False)
    condition_axis(axes, conditions)
    return _finished(figure, results, "Median, quartiles, whiskers to 1.5 IQR; diamond: mean; dots: ratings.")


def per_listener(results: Results) -> Figure:
    """Each listener's ratings, a panel for each listener."""
    cube = results.cube
    figure, panels = _panels(len(cube.listeners), cube.conditions)
    means = means_over_items(cube.scores)
    for i, axes in enumerate(panels):
        quality_scale(axes, named=False)
        x = np.arange(len(cube.conditions))
        axes.plot(np.tile(x, (len(cube.items), 1)), cube.scores[i], ".", color="0.55", markersize=3, clip_on=False)
        axes.plot(x, means[i], "o", color="black", markersize=4.5, clip_on=False, zorder=3)
        name = cube.listeners[i]
        axes.set_title(name if len(name) <= 18 else name[:8] + "…", fontsize=9)
    return _finished(figure, results, "Ratings (dots) and mean over items (discs) of each listener.")


def differences(results: Results) -> Figure:
    """Paired differences between conditions with their confidence intervals."""
    pairs = results.pairs[::-1]
    names = labels(results.cube.conditions)
    figure = Figure(figsize=(6.4, 1.6 + 0.27 * len(pairs)))
    axes = figure.subplots()
    y = np.arange(len(pairs))
    clear = ((pairs["ci_low"] > 0) | (pairs["ci_high"] < 0)).to_numpy()
    error = np.array([pairs["difference"] - pairs["ci_low"], pairs["ci_high"] - pairs["difference"]])
    axes.axvline(0, color="0.5", linewidth=0.8)
    for chosen, face in ((clear, "black"), (~clear, "white")):
        axes.errorbar(pairs["difference"][chosen], y[chosen], xerr=error[:, chosen], fmt="o", color="black",
                      markerfacecolor=face, markersize=5, capsize=3, linewidth=1.2)  # fmt: skip
    axes.set_yticks(
        y, [f"{names[a]} − {names[b]}" for a, b in zip(pairs["a"], pairs["b"], strict=True)], fontsize=8
    )
    axes.set_ylim(-0.7, len(pairs) - 0.3)
    axes.set_xlabel("difference of MUSHRA scores (points)")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    caption = "Difference of listener means, 95 % CI (t, each pair by itself); open: the interval holds 0."
    return _finished(figure, results, caption)


def ranks(results: Results) -> Figure:
    """Rank of every condition by its mean, for each item and over the items (1 is best)."""
    cube = results.cube
    with np.errstate(invalid="ignore"):
        of_items = np.nanmean(cube.scores, axis=0)
    table = np.array([midranks(-np.nan_to_num(row, nan=-1.0)) for row in of_items])
    table = np.vstack([table, table.mean(axis=0)])
    rows = [*cube.items, "mean rank"]
    figure = Figure(figsize=(2.4 + 0.85 * len(cube.conditions), 1.6 + 0.27 * len(rows)))
    axes = figure.subplots()
    count = len(cube.conditions)
    axes.imshow(table, cmap="Greys_r", vmin=1 - 1.5 * count, vmax=count, aspect="auto")
    for i, j in np.ndindex(table.shape):
        text = f"{table[i, j]:.1f}" if i == len(rows) - 1 or table[i, j] % 1 else f"{table[i, j]:.0f}"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=8,
            weight="bold" if i == len(rows) - 1 else "normal",
        )
    axes.axhline(len(rows) - 1.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    condition_axis(axes, cube.conditions, size=8)
    return _finished(figure, results, "Rank of the means over listeners, 1 is best.")


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "mushra": overall,
    "items": per_item,
    "boxes": boxes,
    "listeners": per_listener,
    "differences": differences,
    "ranks": ranks,
}
"""File name -> the function that draws it."""


def drawable(results: Results) -> list[str]:
    """Names of the figures that can be drawn: those with a panel for each item or listener have a limit."""
    panels = {"items": len(results.cube.items), "listeners": len(results.cube.listeners)}
    return [name for name in FIGURES if panels.get(name, 0) <= MOST_PANELS]


def _panels(count: int, conditions: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Figure with a grid of panels; the lowest of each column names the conditions."""
    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(4.6, 2.6 * columns), 1.75 * rows + 1.4))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for spare in grid.flat[count:]:
        spare.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("score", fontsize=8)
    for number, axes in enumerate(grid.flat[:count]):
        condition_axis(axes, conditions, size=7)
        axes.tick_params(axis="y", labelsize=8)
        if number + columns < count:
            axes.tick_params(axis="x", labelbottom=False)
    return figure, list(grid.flat[:count])


def _finished(figure: Figure, results: Results, caption: str) -> Figure:
    """Lay the figure out above its caption and mark simulated ratings in every panel."""
    text = f"{caption} {results.design}. {results.screened}."
    width = int(figure.get_figwidth() * 16)
    text = "\n".join(textwrap.wrap(text, width))
    height = (text.count("\n") + 1) * 0.155 + 0.1
    figure.tight_layout(rect=(0, height / figure.get_figheight(), 1, 1))
    figure.text(0.5, 0.06 / figure.get_figheight(), text, ha="center", va="bottom", fontsize=8, color="0.25")
    if results.simulated:
        for axes in figure.axes:
            box = axes.get_position()
            inches = min(box.width * figure.get_figwidth(), 1.6 * box.height * figure.get_figheight())
            look = {"rotation": 25, "fontsize": min(26, 5.2 * inches), "color": "0.78", "weight": "bold"}
            axes.text(0.5, 0.5, "SIMULATED RATINGS", transform=axes.transAxes, ha="center", va="center",
                      zorder=1, **look)  # fmt: skip
    return figure


def save(results: Results, name: str, folder: Path, forms: Sequence[str], force: bool = False) -> None:
    """Draw a figure of `FIGURES` and write ``folder/name.form`` in every form, whole and free of dates."""
    with mpl.rc_context(STYLE):
        _write(FIGURES[name](results), name, folder, forms, force)


def _write(figure: Figure, name: str, folder: Path, forms: Sequence[str], force: bool) -> None:
    for form in forms:
        with whole_file(Path(folder) / f"{name}.{form}", force=force) as temporary:
            figure.savefig(temporary, metadata=_METADATA[form])


def power_curves(
    sds: Mapping[str, float], difference: float, power: float, alpha: float, folder: Path, force: bool = False
) -> None:
    """Draw and write the power of the paired t test against the number of listeners, as ``power.*``."""
    listeners = range(3, 41)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 3.8))
        axes = figure.subplots()
        dashes = ("-", "--", ":")
        for dash, (origin, sd) in zip(dashes, sds.items(), strict=False):
            for factor, shade in ((0.5, "0.6"), (1.0, "0.0")):
                curve = [t_power(n, factor * difference, sd, alpha) for n in listeners]
                axes.plot(
                    listeners,
                    curve,
                    dash,
                    color=shade,
                    label=f"{factor * difference:g} points, sd {sd:.1f} ({origin})",
                )
        axes.axhline(power, color="0.5", linewidth=0.8)
        axes.set(xlim=(3, 40), ylim=(0, 1), xlabel="listeners", ylabel="power")
        axes.grid(color="0.92")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        figure.tight_layout()
        _write(figure, "power", folder, ("pdf", "png", "svg"), force)
