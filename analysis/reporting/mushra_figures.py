"""The figures of a listening test by name, in the style of the paper's Figure 2.

All are drawn in black and greys, and conditions are told apart by their position, so nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.reporting.drawing import Drawing
from analysis.reporting.layout import watermark
from analysis.reporting.pair_figures import differences, ranks
from analysis.reporting.panel_figures import per_item, per_listener
from analysis.reporting.score_figures import boxes, overall, violins
from render.common.errors import InputError, did_you_mean
from render.common.figure_style import figure_style, write_captioned_figure

FONT_SIZE = 10

MAX_PANELS = 60
"""Largest number of items, listeners or pairs for which a figure with a panel or row for each is drawn."""

FIGURES: dict[str, Callable[[Drawing], Figure]] = {
    "mushra": overall,
    "items": per_item,
    "boxes": boxes,
    "violins": violins,
    "listeners": per_listener,
    "differences": differences,
    "ranks": ranks,
}
"""File name -> the function that draws the figure."""


def drawable(test: Drawing) -> list[str]:
    """Return the names of the figures that can be drawn: not too many panels, and at least one pair."""
    cube, pairs = test.results.cube, len(test.differences())
    panels = {"items": len(cube.items), "listeners": len(cube.listeners), "ranks": len(cube.items),
              "differences": pairs}  # fmt: skip
    few = {name for name in FIGURES if panels.get(name, 0) <= MAX_PANELS}
    return [name for name in FIGURES if name in few and (name != "differences" or pairs)]


def chosen_figures(test: Drawing, names: Sequence[str]) -> list[str]:
    """Return the figures that ``main``, ``all`` or names of `FIGURES` choose.

    Raises
    ------
    InputError
        If there is no such figure, or it cannot be drawn.
    """
    possible = drawable(test)
    chosen: list[str] = []
    for name in names:
        if name in ("main", "all"):
            chosen += ["mushra"] if name == "main" else possible
        elif name not in FIGURES:
            known = ("main", "all", *FIGURES)
            raise InputError(f"--figures {name}: there is no such figure{did_you_mean(name, known)}; there are "
                             f"{', '.join(known)}")  # fmt: skip
        elif name not in possible:
            raise InputError(f"--figures {name}: needs at least one pair of conditions, and at most {MAX_PANELS} "
                             "panels or rows")  # fmt: skip
        else:
            chosen.append(name)
    return list(dict.fromkeys(chosen))


def draw(test: Drawing, name: str) -> Figure:
    """Draw a figure of `FIGURES`; simulated ratings are marked in every panel."""
    figure = FIGURES[name](test)
    for axes in figure.axes if test.results.simulated else ():
        box = axes.get_position()
        size = min(box.width * figure.get_figwidth(), 1.6 * box.height * figure.get_figheight())
        watermark(axes, "SIMULATED RATINGS", min(26, 5.2 * size))
    return figure


def save(
    test: Drawing, name: str, folder: Path, formats: Sequence[str], force: bool = False, **settings: object
) -> None:
    """Draw a figure of `FIGURES` and write it in every format (``pdf``, ``png``, ``svg``), and its caption.

    The files are ``folder/name.format`` and ``folder/name.txt``; `settings` are further matplotlib settings.

    Raises
    ------
    InputError
        If a file with other content exists and `force` is not set, or a choice cannot be drawn.
    """
    title = f"{'SIMULATED RATINGS: ' if test.results.simulated else ''}{name}, {test.results.design}"
    with figure_style(FONT_SIZE, test.look, **settings):
        write_captioned_figure(draw(test, name), Path(folder) / name, formats, title, force)
