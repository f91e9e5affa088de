"""The power of a planned test against its number of listeners, drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.reporting.layout import Grid, figure_with_panels, watermark
from analysis.study.planning import PlannedTest
from render.common.figure_style import figure_style, write_figure

LISTENERS = range(3, 41)


def power_curves(tests: Sequence[PlannedTest], difference: float, power: float, alpha: float) -> Figure:
    """Draw the power of the two-sided test of one comparison.

    Parameters
    ----------
    tests
        What the power is computed from; at most three are drawn.
    difference
        True difference, in points; the curve for half of it is drawn too, in grey.
    power
        Power that is aimed at, drawn as a line.
    alpha
        Level of the comparison.
    """
    caption = (f"Power of the two-sided test of a comparison, alpha {alpha:.3g}; black: a true difference of "
               f"{difference:g} points, grey: {difference / 2:g} points. Listeners that post-screening "
               "leaves.")  # fmt: skip
    grid = Grid(width=4.4, height=2.8, left=0.6, right=2.9, below=0.5)
    figure, ((axes,),) = figure_with_panels(grid, caption)
    samplings = [[test.sampling(n) for n in LISTENERS] for test in tests]
    for dash, test, of_test in zip(("-", "--", ":"), tests, samplings, strict=False):
        for factor, grey in ((1.0, "0.0"), (0.5, "0.6")):
            curve = [sampling.difference_power(factor * difference, alpha) for sampling in of_test]
            label = textwrap.fill(f"{test.described} ({test.origin})", 34) if factor == 1 else None
            axes.plot(LISTENERS, curve, dash, color=grey, label=label)
    axes.axhline(power, color="0.5", linewidth=0.8)
    axes.set(xlim=(3, 40), ylim=(0, 1), xlabel="listeners", ylabel="power")
    axes.grid(color="0.92")
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    if _simulated(tests):
        watermark(axes, "SIMULATED PILOT", 20)
    return figure


def write_power_curves(
    tests: Sequence[PlannedTest], difference: float, power: float, alpha: float, folder: Path, force: bool = False
) -> None:
    """Write the figure of `power_curves` as ``power.pdf``, ``.png`` and ``.svg``."""
    title = f"{'SIMULATED PILOT: ' if _simulated(tests) else ''}power of a listening test"
    with figure_style(10):
        figure = power_curves(tests, difference, power, alpha)
        for suffix in ("pdf", "png", "svg"):
            write_figure(figure, folder / f"power.{suffix}", title, force)


def _simulated(tests: Sequence[PlannedTest]) -> bool:
    return any("SIMULATED" in test.origin for test in tests)
