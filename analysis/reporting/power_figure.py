"""The power of a planned test against its number of listeners, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from analysis.reporting.layout import Grid, figure_with_panels, watermark
from analysis.statistics.power import t_power
from render.common.figure_style import figure_style, write_figure

LISTENERS = range(3, 41)


def power_curves(sds: Mapping[str, float], difference: float, power: float, alpha: float) -> Figure:
    """Draw the power of the two-sided paired t test.

    Parameters
    ----------
    sds
        Where it comes from -> standard deviation of the listeners' differences, in points.
    difference
        True difference, in points; the curve for half of it is drawn too, in grey.
    power
        Power that is aimed at, drawn as a line.
    alpha
        Level of significance.
    """
    caption = (f"Power of the two-sided paired t test on the listeners' means, alpha {alpha:g}; black: a true "
               f"difference of {difference:g} points, grey: {difference / 2:g} points.")  # fmt: skip
    grid = Grid(width=4.4, height=2.8, left=0.6, right=2.9, below=0.5)
    figure, ((axes,),) = figure_with_panels(grid, caption)
    for dash, (origin, sd) in zip(("-", "--", ":"), sds.items(), strict=False):
        for factor, grey in ((1.0, "0.0"), (0.5, "0.6")):
            curve = [t_power(n, factor * difference, sd, alpha) for n in LISTENERS]
            label = f"sd {sd:.1f}: {origin}" if factor == 1 else None
            axes.plot(LISTENERS, curve, dash, color=grey, label=label)
    axes.axhline(power, color="0.5", linewidth=0.8)
    axes.set(xlim=(3, 40), ylim=(0, 1), xlabel="listeners", ylabel="power")
    axes.grid(color="0.92")
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    if _simulated(sds):
        watermark(axes, "SIMULATED PILOT", 20)
    return figure


def write_power_curves(
    sds: Mapping[str, float], difference: float, power: float, alpha: float, folder: Path, force: bool = False
) -> None:
    """Write the figure of `power_curves` as ``power.pdf``, ``.png`` and ``.svg``."""
    title = f"{'SIMULATED PILOT: ' if _simulated(sds) else ''}power of a listening test"
    with figure_style(10):
        figure = power_curves(sds, difference, power, alpha)
        for suffix in ("pdf", "png", "svg"):
            write_figure(figure, folder / f"power.{suffix}", title, force)


def _simulated(sds: Mapping[str, float]) -> bool:
    return any("SIMULATED" in origin for origin in sds)
