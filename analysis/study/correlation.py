"""How well do objective measures follow the listeners? Compare a table of measures with the mean scores.

RATINGS are the files of one listening test, OBJECTIVE.csv is the table of analysis.objective (columns item,
condition and one for each measure). Each measure is compared with the mean score of every item and condition,
the hidden reference left out (any measure finds it equal to itself): pooled over all conditions; over the
systems, which leaves out the anchors too, as any measure tells them from the rest; and over the items of each
condition. Pearson's,
Spearman's and Kendall's coefficients come with 95 % bootstrap intervals over the items. The logarithm of the bit
rate is the baseline to beat: where the table has rates, the last columns say by how much |Spearman| is larger.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.csv_text import read_text, rows
from render.common.errors import InputError

TEXT = ("item", "condition", "material")


OTHER = (*TEXT, "lag_samples", "align_corr", "silent_channels")
"""Columns of a table of measures that are no measures."""


BASELINE = "log2_kbps"


COEFFICIENTS = ("pearson", "spearman", "kendall")


def read_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures: ``item, condition`` and one numeric column for each measure; empty is missing.

    Raises
    ------
    InputError
        With file and line: a column missing or twice, a cell that is no finite number, a pair that is there twice.
    """
    body = rows(path, read_text(path))
    line, header = next(body, (1, []))
    if not {"item", "condition"} < set(header) or len(set(header)) < len(header):
        raise InputError(f"{path}:{line}: needs the columns item, condition and at least one measure, each once")
    found = []
    for line, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}:{line}: has {len(row)} cells, the header has {len(header)}")
        values: dict[str, str | float] = {}
        for name, cell in zip(header, row, strict=True):
            values[name] = cell if name in TEXT else _number(path, line, name, cell)
        found.append(values)
    table = pd.DataFrame(found, columns=header)
    if table.duplicated(["item", "condition"]).any():
        raise InputError(f"{path}: an item and condition stands there twice")
    return table


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        raise InputError(f"{path}:{line}: {name[:40]} '{cell[:40]}' is not a number") from None
    if value in (float("inf"), float("-inf")):
        raise InputError(f"{path}:{line}: {name[:40]} is infinite")
    return value


def coefficients(
    x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, "draw 3"]:
    """Pearson's r, Spearman's rho and Kendall's tau-b of pairs that count `weights` times; NaN where undefined.

    With s_ij = sign(x_i - x_j) the midranks of a weighted sample are Σ_j w_j s_ij / 2 and a constant, and
    tau-b is Σ w_i w_j s_ij t_ij over the root of the same sums of s² and t².
    """
    signs = [np.sign(v[:, None] - v) for v in (x, y)]
    total = weights.sum(axis=1, keepdims=True)

    def correlated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = (v - (weights * v).sum(axis=1, keepdims=True) / np.maximum(total, 1) for v in (a, b))
        return _over((weights * a * b).sum(axis=1), (weights * a * a).sum(axis=1), (weights * b * b).sum(axis=1))

    products = [((weights @ (p * q)) * weights).sum(axis=1) for p, q in
                ((signs[0], signs[1]), (signs[0], signs[0]), (signs[1], signs[1]))]  # fmt: skip
    found = np.stack(
        [correlated(x, y), correlated(weights @ signs[0].T, weights @ signs[1].T), _over(*products)], axis=1
    )
    found[np.count_nonzero(weights, axis=1) < 3] = np.nan
    return found


def _over(product: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product over the root of a·b; NaN where either is 0 but for rounding."""
    scale = np.sqrt(np.maximum(a, 0)) * np.sqrt(np.maximum(b, 0))
    defined = scale > 1e-12 * max(scale.max(initial=0.0), 1e-300)
    return np.where(defined, product / np.where(defined, scale, 1.0), np.nan)


def correlate(scores: pd.DataFrame, measures: pd.DataFrame, draws: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Compare every measure with the scores.

    Parameters
    ----------
    scores
        Columns ``item, condition, mean``.
    measures
        Columns ``item, condition`` and measures; ``kbps`` gives the baseline `BASELINE`.
    draws
        Bootstrap draws of the items.

    Returns
    -------
    DataFrame
        ``measure, conditions, n``; of each coefficient its value, ``_low`` and ``_high``; ``within_items``, the
        mean of Spearman's within items; ``rmse``, the error of scores predicted by a straight line;
        ``over_rate``, |Spearman| less that of the bit rate over the same pairs. `conditions` is ``all``,
        ``systems`` or a condition.
    """
    if "kbps" in measures.columns:
        rates = measures["kbps"].where(measures["kbps"] > 0)
        measures = measures.assign(**{BASELINE: np.log2(rates)})
    joined = scores[["item", "condition", "mean"]].merge(measures, on=["item", "condition"])
    joined = joined[joined["condition"] != "href"].dropna(subset=["mean"])
    if len(joined) < 3:
        raise InputError(
            f"only {len(joined)} items and conditions have both scores and measures; do the names agree?"
        )
    names = [c for c in measures.columns if c not in OTHER and joined[c].notna().sum() >= 3]
    anchors = joined["condition"].isin(("la", "ma"))
    parts = {"all": joined, **({"systems": joined[~anchors]} if anchors.any() else {})}
    parts |= dict(iter(joined.groupby("condition", sort=False)))
    found = []
    for name in names:
        for kind, part in parts.items():
            pairs = part.dropna(subset=[name])
            if len(pairs) >= 3:
                found.append({"measure": name, "conditions": kind, **_compared(pairs, name, draws, seed)})
    return pd.DataFrame(found)


def _compared(pairs: pd.DataFrame, name: str, draws: int, seed: int) -> dict[str, float]:

    x, y = (np.array(pairs[column].tolist(), np.float64) for column in (name, "mean"))
    items, of_item = np.unique(pairs["item"].tolist(), return_inverse=True)
    weights = np.ones((1, len(x)))
    if len(items) > 2:
        rng = np.random.Generator(np.random.Philox(seed))
        drawn = rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=draws)
        weights = np.concatenate([weights, drawn[:, of_item]])
    values = coefficients(x, y, weights)
    row: dict[str, float] = {"n": len(x)}
    for index, coefficient in enumerate(COEFFICIENTS):
        low, high = _interval(values[1:, index])
        row |= {coefficient: values[0, index], f"{coefficient}_low": low, f"{coefficient}_high": high}
    within = [coefficients(x[own], y[own], np.ones((1, int(own.sum()))))[0, 1]
              for own in (of_item == item for item in range(len(items)))]  # fmt: skip
    defined = [value for value in within if not np.isnan(value)]
    row["within_items"] = float(np.mean(defined)) if defined else np.nan
    row["rmse"] = float(np.sqrt(max(1 - values[0, 0] ** 2, 0) * np.var(y)))
    row |= {"over_rate": np.nan, "over_rate_low": np.nan, "over_rate_high": np.nan}
    if BASELINE in pairs and name not in (BASELINE, "kbps"):
        rated = np.array(pairs[BASELINE].notna().tolist())
        if rated.sum() >= 3:
            rate = np.array(pairs[BASELINE].tolist(), np.float64)[rated]
            both = [coefficients(of, y[rated], weights[:, rated])[:, 1] for of in (x[rated], rate)]
            lead = np.abs(both[0]) - np.abs(both[1])
            low, high = _interval(lead[1:])
            row |= {"over_rate": lead[0], "over_rate_low": low, "over_rate_high": high}
    return row


def _interval(drawn: np.ndarray) -> tuple[float, float]:

    kept = drawn[~np.isnan(drawn)]
    low, high = np.quantile(kept, [0.025, 0.975]) if kept.size else (np.nan, np.nan)
    return float(low), float(high)
