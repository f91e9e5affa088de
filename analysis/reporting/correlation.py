"""Scores against objective measures: the table of coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.study.correlation import COEFFICIENTS


def table_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield lines of text: the comparisons over all conditions and over the systems, the best measure first.

    `table` is that of `analysis.study.correlation.correlate`.
    """
    pooled = table[table["conditions"].isin(("all", "systems"))]
    pooled = pooled.assign(size=pooled["spearman"].abs())
    pooled = pooled.sort_values(["conditions", "size"], ascending=[True, False])
    yield (f"{'measure':<17}{'conditions':<11}{'n':>4}" + "".join(f"{name:>22}" for name in COEFFICIENTS)
           + f"{'within':>8}{'rmse':>7}{'over bit rate':>21}")  # fmt: skip
    for row in pooled.itertuples():
        *coefficients, over_rate = (_with_interval(row, name) for name in (*COEFFICIENTS, "over_rate"))
        yield (f"{row.measure:<17}{row.conditions:<11}{row.n:>4}" + "".join(f"{c:>22}" for c in coefficients)
               + f"{_number(row.within_items):>8}{_number(row.rmse, 1):>7}{over_rate:>21}")  # fmt: skip


def prediction_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield lines of text: errors and outliers of every measure after a monotone mapping, the best one first.

    `table` is that of `analysis.study.prediction.predictions`.
    """
    if not len(table):
        return
    yield "after a monotone mapping to scores (P.1401); p: the same r as the best measure (Williams, Holm)"
    yield (f"{'measure':<17}{'conditions':<11}{'n':>4}{'r':>7}{'ceiling':>9}{'rmse':>7}{'noise':>7}{'rmse*':>7}"
           f"{'outliers':>22}{'p':>9}")  # fmt: skip
    for row in table.sort_values(["conditions", "r"], ascending=[True, False]).itertuples():
        outliers = f"{row.outliers:.2f} [{row.outliers_low:.2f}, {row.outliers_high:.2f}]"
        yield (f"{row.measure:<17}{row.conditions:<11}{row.n:>4}{_number(row.r):>7}{_number(row.ceiling):>9}"
               f"{_number(row.rmse, 1):>7}{_number(row.noise, 1):>7}{_number(row.rmse_epsilon, 1):>7}"
               f"{outliers:>22}{_number(row.p_best_holm, 3):>9}")  # fmt: skip


def _number(value: Any, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"


def _with_interval(row: Any, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return _number(value) + (f" [{low:.2f}, {high:.2f}]" if low == low else "")
