"""Figures laid out in inches: they leave space for names of any length, and for a caption at the bottom."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.ratings.conditions import shorten
from render.common.errors import InputError
from render.common.figure_style import DEFAULT_LOOK, Look

SLANT_DEG = 40
"""Slant of tick labels that do not fit side by side."""

CHARACTER_WIDTH = 0.62
"""Mean width of a character of DejaVu Sans in relation to the font size."""

MAX_NAME_LENGTH = 28
"""Largest number of characters of a slanted name."""

TOP_MARGIN = 0.32
"""Inches above the panels, for a font of 10 points."""

MIN_WIDTH = 4.6
"""Smallest width in inches of a figure that is as wide as its content needs."""

MIN_PANEL_WIDTH = 0.7
"""Smallest width in inches of a panel."""


def font_sizes() -> tuple[float, float]:
    """Return the font sizes in points of the style in use: for names and axes, and for what is secondary."""
    size = float(mpl.rcParams["font.size"])
    return size, 0.8 * size


def inches(characters: int, size: float) -> float:
    """Return the approximate width in inches of a text at a font size in points."""
    return characters * CHARACTER_WIDTH * size / 72


def shorten_all(names: Sequence[str], length: int) -> list[str]:
    """Shorten names at their ends, or at their beginnings if more of them then stay distinct."""
    from_left = [shorten(name, length) for name in names]
    from_right = [shorten(name[::-1], length)[::-1] for name in names]
    return from_right if len(set(from_right)) > len(set(from_left)) else from_left


@dataclass(frozen=True)
class TickLabels:
    """Names of conditions as tick labels.

    Attributes
    ----------
    names
        The names, broken into lines if they then fit side by side, else shortened.
    slanted
        Whether they have to be drawn slanted.
    below, left
        Inches that they need below the axis and to the left of it.
    """

    names: list[str]
    slanted: bool
    below: float
    left: float


def tick_labels(names: Sequence[str], spacing: float, size: float) -> TickLabels:
    """Fit names under an axis.

    Parameters
    ----------
    names
        Names of the ticks.
    spacing
        Inches between two ticks.
    size
        Font size in points.
    """
    fitting = int((spacing - 0.04) / inches(1, size))
    lines = [textwrap.wrap(name, max(fitting, 1), break_long_words=False) or [""] for name in names]
    count = max(map(len, lines))
    if count <= 3 and max(len(line) for name in lines for line in name) <= fitting:
        return TickLabels(["\n".join(name) for name in lines], False, count * size / 52 + 0.12, 0.0)
    names = [shorten(name, MAX_NAME_LENGTH) for name in names]
    slant = math.radians(SLANT_DEG)
    left = max(inches(len(name), size) * math.cos(slant) - (i + 0.5) * spacing for i, name in enumerate(names))
    return TickLabels(names, True, inches(max(map(len, names)), size) * math.sin(slant) + 0.25, left + 0.1)


@dataclass(frozen=True)
class Grid:
    """A grid of equal panels; all sizes in inches.

    Attributes
    ----------
    width, height
        Size of one panel.
    left, right, below, above
        Margins around the grid; `below` does not include the caption, and `above` not `TOP_MARGIN`.
    rows, columns
        Numbers of panels.
    column_gap, row_gap
        Distances between panels.
    """

    width: float
    height: float
    left: float
    right: float
    below: float
    rows: int = 1
    columns: int = 1
    column_gap: float = 0.0
    row_gap: float = 0.0
    above: float = 0.0


def panel_width(natural: float, look: Look, margins: float, columns: int = 1, gap: float = 0.0) -> float:
    """Return the width of a panel in inches: `natural`, or what the width of the figure leaves.

    Parameters
    ----------
    natural
        Width if the look gives none.
    look
        Look of the figure.
    margins
        Margins to the left and right together.
    columns, gap
        Number of panels beside each other, and the distance between them.

    Raises
    ------
    InputError
        If less than `MIN_PANEL_WIDTH` is left.
    """
    if look.width_in is None:
        return natural
    width = (look.width_in - margins - (columns - 1) * gap) / columns
    if width < MIN_PANEL_WIDTH:
        raise InputError(
            f"--width {25.4 * look.width_in:.0f}mm: beside the names, {25.4 * max(width, 0):.0f} mm are left for "
            "a panel; give a greater width, a smaller font (--font), or shorter names (--labels)"
        )
    return width


def figure_with_panels(grid: Grid, caption: str, look: Look = DEFAULT_LOOK) -> tuple[Figure, np.ndarray]:
    """Create a figure with a grid of panels and a caption; return it with the array (row, column) of its axes.

    The figure's label is the caption (`render.common.figure_style.write_captioned_figure`).
    """
    size, small = font_sizes()
    grid_width = grid.columns * grid.width + (grid.columns - 1) * grid.column_gap
    grid_height = grid.rows * grid.height + (grid.rows - 1) * grid.row_gap
    width = look.width_in or max(grid.left + grid_width + grid.right, MIN_WIDTH)
    lines = textwrap.wrap(caption, int((width - 0.2) / inches(1, small))) if look.caption else []
    bottom = grid.below + small * (1.4 * len(lines) + bool(lines)) / 72
    top = TOP_MARGIN * size / 10 + grid.above
    height = top + grid_height + bottom
    figure = Figure(figsize=(width, height), label=caption)
    panels = figure.subplots(
        grid.rows,
        grid.columns,
        squeeze=False,
        gridspec_kw={
            "left": grid.left / width,
            "right": (grid.left + grid_width) / width,
            "bottom": bottom / height,
            "top": 1 - top / height,
            "wspace": grid.column_gap / grid.width,
            "hspace": grid.row_gap / grid.height,
        },
    )
    figure.text(0.5, 0.07 / height, "\n".join(lines), ha="center", va="bottom", fontsize=small, color="0.25")
    return figure, panels


def watermark(axes: Axes, text: str, size: float) -> None:
    """Write a text across a panel, in grey, behind the data; `size` is the font size in points."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", rotation=25, fontsize=size,
              color="0.72", weight="bold", zorder=1)  # fmt: skip
