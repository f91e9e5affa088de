"""The power of a planned test against its number of listeners, drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.reporting.layout import Grid, figure_with_panels, font_sizes, inches, panel_width, watermark
from analysis.study.planning import PlannedTest
from render.common.figure_style import DEFAULT_LOOK, Look, figure_style, write_captioned_figure

LISTENERS = range(3, 41)
DASHES = ("-", "--", ":")


def power_curves(
    tests: Sequence[PlannedTest], difference: float, power: float, alpha: float, look: Look = DEFAULT_LOOK
) -> Figure:
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
    look
        Look of the figure.
    """
    size, small = font_sizes()
    caption = (f"Power of the two-sided test of a comparison, alpha {alpha:.3g}; black: a true difference of "
               f"{difference:g} points, grey: {difference / 2:g} points. Listeners that post-screening "
               "leaves.")  # fmt: skip
    left, right = 0.06 * size, 0.15
    width = panel_width(0.52 * size, look, left + right)
    named = [textwrap.wrap(f"{test.described} ({test.origin})", int((width - 0.4) / inches(1, small)))
             for test in tests[: len(DASHES)]]  # fmt: skip
    legend = sum(map(len, named)) * 1.45 * small / 72
    grid = Grid(width, min(2.8, 0.7 * width), left, right, 0.055 * size + legend + 0.1)
    figure, ((axes,),) = figure_with_panels(grid, caption, look)
    samplings = [[test.sampling(n) for n in LISTENERS] for test in tests]
    for dash, words, of_test in zip(DASHES, named, samplings, strict=False):
        for factor, grey in ((1.0, "0.0"), (0.5, "0.6")):
            curve = [sampling.difference_power(factor * difference, alpha) for sampling in of_test]
            label = "\n".join(words) if factor == 1 else None
            axes.plot(LISTENERS, curve, dash, color=grey, label=label)
    axes.axhline(power, color="0.5", linewidth=0.8)
    axes.set(xlim=(3, 40), ylim=(0, 1), xlabel="listeners", ylabel="power")
    axes.grid(color="0.92")
    axes.legend(fontsize=small, frameon=False, loc="upper left",
                bbox_to_anchor=(0.0, -0.055 * size / grid.height), borderpad=0)  # fmt: skip
    if _simulated(tests):
        watermark(axes, "SIMULATED PILOT", 20)
    return figure


def write_power_curves(
    tests: Sequence[PlannedTest],
    difference: float,
    power: float,
    alpha: float,
    folder: Path,
    look: Look = DEFAULT_LOOK,
    force: bool = False,
) -> None:
    """Write the figure of `power_curves` as ``power.pdf``, ``.png`` and ``.svg``, and its caption."""
    title = f"{'SIMULATED PILOT: ' if _simulated(tests) else ''}power of a listening test"
    with figure_style(10, look):
        figure = power_curves(tests, difference, power, alpha, look)
        write_captioned_figure(figure, folder / "power", ("pdf", "png", "svg"), title, force)


def _simulated(tests: Sequence[PlannedTest]) -> bool:
    return any("SIMULATED" in test.origin for test in tests)
