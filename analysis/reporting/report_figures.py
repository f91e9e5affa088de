"""The figures of a report: drawn for the width of its page, and placed in it."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from analysis.reporting.drawing import drawing
from analysis.reporting.figure_options import Choices
from analysis.reporting.mushra_figures import drawable, save
from analysis.study.results import Results
from render.common.figure_style import Look

PAGE_MM, HALF_MM = 176.0, 86.0
"""Widths of the text of an A4 page, and of two figures beside each other."""

WIDTHS_MM = {"mushra": 120.0, "boxes": HALF_MM, "violins": HALF_MM, "items": PAGE_MM, "listeners": PAGE_MM,
             "differences": 140.0, "ranks": 120.0}  # fmt: skip
MAX_HALF_CONDITIONS = 8
"""Largest number of conditions whose boxes and violins stand beside each other."""

FONT_SIZE = 8.0

ALTERNATIVES = {
    "mushra": "Mean scores of all conditions",
    "items": "Mean scores of each item",
    "boxes": "Distribution of the ratings",
    "violins": "Distribution of the ratings, beside the mean scores",
    "listeners": "Ratings of each listener",
    "differences": "Differences between conditions",
    "ranks": "Ranks of the conditions",
}
"""Name of a figure -> its text for readers who cannot see it."""

STYLE = """
img{max-width:100%}figure{margin:1.2em 0;text-align:center}figcaption{font-size:11px;line-height:1.35;color:#333}
figure.half{display:inline-block;width:49%;vertical-align:top}
@media print{figure{break-inside:avoid}img{max-height:120mm}}
"""
"""Style sheet of the figures: printed, none is taller than half a page, so none leaves more than half empty."""


@dataclass(frozen=True)
class ReportFigure:
    """A figure as SVG, its caption, and whether two of its width stand beside each other."""

    svg: bytes
    caption: str
    half: bool = False


def report_figures(results: Results) -> dict[str, ReportFigure]:
    """Draw all figures that can be drawn; texts are outlines, as a reader may not have the font."""
    found = {}
    narrow = len(results.cube.conditions) <= MAX_HALF_CONDITIONS
    with tempfile.TemporaryDirectory() as folder:
        for name in drawable(drawing(results)):
            half = WIDTHS_MM[name] == HALF_MM and narrow
            width_mm = WIDTHS_MM[name] if narrow or WIDTHS_MM[name] != HALF_MM else PAGE_MM
            look = Look(width_mm / 25.4, size=FONT_SIZE, caption=False)
            save(drawing(results, Choices(look)), name, Path(folder), ("svg",), **{"svg.fonttype": "path"})
            svg = (Path(folder) / f"{name}.svg").read_bytes()
            found[name] = ReportFigure(svg, (Path(folder) / f"{name}.txt").read_text(encoding="utf-8"), half)
    return found


def placed(figures: Mapping[str, ReportFigure], *names: str) -> list[str]:
    """Return the HTML of those of the named figures that there are."""
    parts = []
    for name, figure in figures.items():
        if name in names:
            data = base64.b64encode(figure.svg).decode()
            kind = " class=half" if figure.half else ""
            parts.append(f'<figure{kind}><img alt="{escape(ALTERNATIVES[name])}" src="data:image/svg+xml;base64,'
                         f'{data}"><figcaption>{escape(figure.caption)}</figcaption></figure>')  # fmt: skip
    return parts
