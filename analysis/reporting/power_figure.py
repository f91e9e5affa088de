"""The power of a planned test against its number of listeners, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from analysis.reporting.layout import Sheet, sheet
from analysis.reporting.mushra_figures import STYLE, write
from analysis.statistics.power import t_power

LISTENERS = range(3, 41)


def power_curves(
    sds: Mapping[str, float], difference: float, power: float, alpha: float, folder: Path, force: bool = False
) -> None:
    """Draw and write the power of the paired t test, as ``power.pdf``, ``.png`` and ``.svg``.

    Parameters
    ----------
    sds
        Standard deviation of the listeners' differences, in points, by where it comes from.
    difference
        True difference, in points; the curve of half of it is drawn too, in grey.
    """
    simulated = any("SIMULATED" in origin for origin in sds)
    caption = (f"Power of the two-sided paired t test on the listeners' means, alpha {alpha:g}; black: a true "
               f"difference of {difference:g} points, grey: {difference / 2:g} points.")  # fmt: skip
    with mpl.rc_context(STYLE):
        figure, ((axes,),) = sheet(Sheet(4.4, 2.8, 0.6, 2.9, 0.5), caption)
        for dash, (origin, sd) in zip(("-", "--", ":"), sds.items(), strict=False):
            for factor, shade in ((1.0, "0.0"), (0.5, "0.6")):
                curve = [t_power(n, factor * difference, sd, alpha) for n in LISTENERS]
                label = f"sd {sd:.1f}: {origin}" if factor == 1 else None
                axes.plot(LISTENERS, curve, dash, color=shade, label=label)
        axes.axhline(power, color="0.5", linewidth=0.8)
        axes.set(xlim=(3, 40), ylim=(0, 1), xlabel="listeners", ylabel="power")
        axes.grid(color="0.92")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        if simulated:
            axes.text(0.5, 0.5, "SIMULATED PILOT", transform=axes.transAxes, ha="center", va="center", rotation=25,
                      fontsize=20, color="0.78", weight="bold", zorder=1)  # fmt: skip
        title = f"{'SIMULATED PILOT: ' if simulated else ''}power of a listening test"
        write(figure, "power", title, folder, ("pdf", "png", "svg"), force)
