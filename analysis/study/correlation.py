"""Correlation of objective measures with the listeners' mean scores.

Each measure is compared with the mean score of every item and condition, except those of the hidden reference,
which any measure finds equal to itself: over all conditions; over the systems, without the anchors, which any
measure tells from the rest; and over the items of each condition. The logarithm of the bit rate is the baseline
that a measure has to surpass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.conditions import ANCHORS
from analysis.ratings.csv_text import read_table, read_text
from analysis.ratings.record import canonical
from render.common.errors import InputError

TEXT_COLUMNS = ("item", "condition", "material")

OTHER_COLUMNS = (*TEXT_COLUMNS, "lag_samples", "align_corr", "silent_channels")
"""Columns of a table of measures that are not measures."""

BASELINE = "log2_kbps"

COEFFICIENTS = ("pearson", "spearman", "kendall")


def read_measures(path: Path) -> pd.DataFrame:
    """Read a table of measures: ``item, condition`` and one numeric column for each measure; empty is missing.

    Raises
    ------
    InputError
        With file and line: a column is missing or occurs twice, a cell is not a finite number, or an item and
        condition occur twice.
    """
    content = read_table(path, read_text(path))
    header = [name for name in content.header if name]
    if not {"item", "condition"} < set(header) or len(set(header)) < len(header):
        raise InputError(
            f"{path}:{content.line}: needs the columns item, condition and at least one measure, each once"
        )
    found = []
    for line, row in content.named().rows():
        values: dict[str, str | float] = {}
        for name, cell in zip(header, row, strict=True):
            values[name] = canonical(cell) if name in TEXT_COLUMNS else number(path, line, name, cell)
        found.append(values)
    table = pd.DataFrame(found, columns=header)
    if table.duplicated(["item", "condition"]).any():
        raise InputError(f"{path}: one item and condition occurs twice")
    return table


def number(path: Path, line: int, name: str, cell: str) -> float:
    """Return the number in a cell, NaN for an empty one; InputError with file and line for anything else."""
    try:
        # float() would also take 1_0 and the digits of other scripts
        value = float(cell.replace("_", "?").encode("ascii") or "nan")
    except ValueError:
        raise InputError(f"{path}:{line}: {name[:40]} '{cell[:40]}' is not a number") from None
    if value in (float("inf"), float("-inf")):
        raise InputError(f"{path}:{line}: {name[:40]} is infinite")
    return value


def coefficients(
    x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, "draw 3"]:
    """Return Pearson's r, Spearman's rho and Kendall's tau-b of pairs that count `weights` times.

    With s_ij = sign(x_i - x_j) the midranks of a weighted sample are Σ_j w_j s_ij / 2 plus a constant, and
    tau-b is Σ w_i w_j s_ij t_ij divided by the square root of the same sums of s² and t². A coefficient is NaN
    for fewer than 3 different pairs and for constant values.
    """
    signs = [np.sign(v[:, None] - v) for v in (x, y)]
    total = weights.sum(axis=1, keepdims=True)

    def correlated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = (v - (weights * v).sum(axis=1, keepdims=True) / np.maximum(total, 1) for v in (a, b))
        return _normalised(
            (weights * a * b).sum(axis=1), (weights * a * a).sum(axis=1), (weights * b * b).sum(axis=1)
        )

    products = [((weights @ (p * q)) * weights).sum(axis=1) for p, q in
                ((signs[0], signs[1]), (signs[0], signs[0]), (signs[1], signs[1]))]  # fmt: skip
    found = np.stack(
        [correlated(x, y), correlated(weights @ signs[0].T, weights @ signs[1].T), _normalised(*products)], axis=1
    )
    found[np.count_nonzero(weights, axis=1) < 3] = np.nan
    return found


def _normalised(product: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide a product by the square root of a·b; NaN if either of them is 0 apart from rounding errors."""
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
        Bootstrap draws of the items, for 95 % intervals.
    seed
        Seed of the draws.

    Returns
    -------
    DataFrame
        ``measure, conditions, n``; each coefficient with its limits, ``_low`` and ``_high``; ``within_items``,
        the mean of Spearman's coefficients within items; ``rmse``, the error of scores that a straight line
        predicts, in points; ``over_rate``, |Spearman| minus that of the bit rate over the same pairs, with its
        limits. ``conditions`` is ``all``, ``systems`` or a condition.

    Raises
    ------
    InputError
        If fewer than 3 items and conditions have both scores and measures.
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
    names = [c for c in measures.columns if c not in OTHER_COLUMNS and joined[c].notna().sum() >= 3]
    anchors = joined["condition"].isin(ANCHORS)
    parts = {"all": joined, **({"systems": joined[~anchors]} if anchors.any() else {})}
    parts |= dict(iter(joined.groupby("condition", sort=False)))
    found = []
    for name in names:
        for kind, part in parts.items():
            pairs = part.dropna(subset=[name])
            if len(pairs) >= 3:
                found.append({"measure": name, "conditions": kind, **_correlation(pairs, name, draws, seed)})
    return pd.DataFrame(found)


def _correlation(pairs: pd.DataFrame, name: str, draws: int, seed: int) -> dict[str, float]:
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
            measure, baseline = (coefficients(v, y[rated], weights[:, rated])[:, 1] for v in (x[rated], rate))
            advantage = np.abs(measure) - np.abs(baseline)
            low, high = _interval(advantage[1:])
            row |= {"over_rate": advantage[0], "over_rate_low": low, "over_rate_high": high}
    return row


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    kept = drawn[~np.isnan(drawn)]
    low, high = np.quantile(kept, [0.025, 0.975]) if kept.size else (np.nan, np.nan)
    return float(low), float(high)
