"""Sheets for figures, laid out in inches: room for names of any length, and a caption under everything."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from analysis.ratings.table import labels

SLANT_DEG = 40
CHARACTER = 0.62
"""Mean width of a character of DejaVu Sans over its size."""

MAX_NAME_LENGTH = 28
"""Characters of a condition's name that are drawn where names stand slanted."""


def inches(characters: int, size: float) -> float:
    """Width of a text of this many characters at a size in points."""
    return characters * CHARACTER * size / 72


def cut(name: str, length: int) -> str:
    """Shorten a name to `length` characters, the last of them an ellipsis."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def unique_cut(names: Sequence[str], length: int) -> list[str]:
    """Shorten names at their ends, or at their beginnings where that makes more of them distinct."""
    from_left = [cut(name, length) for name in names]
    from_right = [cut(name[::-1], length)[::-1] for name in names]
    return from_right if len(set(from_right)) > len(set(from_left)) else from_left


def tick_names(conditions: Sequence[str], each: float, size: float) -> tuple[list[str], bool, float, float]:
    """Names of conditions as tick labels.

    Parameters
    ----------
    each
        Inches between two ticks.
    size
        Font size in points.

    Returns
    -------
    tuple
        The names (in lines where they then fit side by side, else cut), whether they stand slanted, and how
        many inches they take below the axis and to the left of it.
    """
    names = list(labels(conditions).values())
    fit = int((each - 0.04) / inches(1, size))
    lines = [textwrap.wrap(name, max(fit, 1), break_long_words=False) or [""] for name in names]
    if max(map(len, lines)) <= 3 and max(len(line) for of_name in lines for line in of_name) <= fit:
        return ["\n".join(of_name) for of_name in lines], False, max(map(len, lines)) * size / 52 + 0.12, 0.0
    names = [cut(name, MAX_NAME_LENGTH) for name in names]
    slant = math.radians(SLANT_DEG)
    beside = max(inches(len(name), size) * math.cos(slant) - (i + 0.5) * each for i, name in enumerate(names))
    return names, True, inches(max(map(len, names)), size) * math.sin(slant) + 0.25, beside + 0.1


@dataclass(frozen=True)
class Sheet:
    """Sizes in inches: of a panel, and of the room around the grid of panels and between them."""

    width: float
    height: float
    left: float
    right: float
    below: float
    rows: int = 1
    columns: int = 1
    between_columns: float = 0.0
    between_rows: float = 0.0


ABOVE = 0.32


def sheet(sizes: Sheet, caption: str) -> tuple[Figure, np.ndarray]:
    """Figure with a grid of panels and a caption; returned with the array (row, column) of its axes."""
    grid_width = sizes.columns * sizes.width + (sizes.columns - 1) * sizes.between_columns
    grid_height = sizes.rows * sizes.height + (sizes.rows - 1) * sizes.between_rows
    width = max(sizes.left + grid_width + sizes.right, 4.6)
    lines = textwrap.wrap(caption, int((width - 0.3) / inches(1, 8)))
    under = sizes.below + 0.155 * len(lines) + 0.12
    height = ABOVE + grid_height + under
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(
        sizes.rows,
        sizes.columns,
        squeeze=False,
        gridspec_kw={
            "left": sizes.left / width,
            "right": (sizes.left + grid_width) / width,
            "bottom": under / height,
            "top": 1 - ABOVE / height,
            "wspace": sizes.between_columns / sizes.width,
            "hspace": sizes.between_rows / sizes.height,
        },
    )
    figure.text(0.5, 0.07 / height, "\n".join(lines), ha="center", va="bottom", fontsize=8, color="0.25")
    return figure, grid
