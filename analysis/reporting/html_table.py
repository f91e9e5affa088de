"""Tables of a report as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import pandas as pd

MAX_UNBROKEN_ROWS = 12
"""Largest number of rows of a table that is kept on one page."""

SMALLEST_P = 1e-4
"""p below this are written as smaller than this."""


def p_text(p: float) -> str:
    """Write a p with its sign, as ``p = 0.012``."""
    return f"p < {SMALLEST_P:g}" if p < SMALLEST_P else f"p = {p:.2g}"


def html_table(content: pd.DataFrame, kind: str = "") -> str:
    """Write a table as HTML; underscores in its headings become spaces, and columns named p hold p.

    `kind` is a list of classes, separated by spaces.
    """
    of_p = [str(name).split("_")[0].split(" ")[0] == "p" for name in content.columns]

    def cell(value: Any, is_p: bool) -> str:
        if isinstance(value, float):
            if is_p and value < SMALLEST_P:
                return f"&lt; {SMALLEST_P:g}"
            return "–" if value != value else f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return escape(str(value))

    def row(cells: Iterable[str]) -> str:
        return f"<tr>{''.join(cells)}</tr>"

    head = row(f"<th>{escape(str(c).replace('_', ' '))}</th>" for c in content.columns)
    body = "".join(
        row(f"<td>{cell(v, is_p)}</td>" for v, is_p in zip(line, of_p, strict=True))
        for line in content.itertuples(index=False, name=None)
    )
    kind += " short" if len(content) <= MAX_UNBROKEN_ROWS else ""
    return f"<table class='{kind.strip()}'><thead>{head}</thead><tbody>{body}</tbody></table>"
