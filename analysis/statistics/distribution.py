"""The distribution of ratings: hinges and outliers, skewness, kurtosis and bimodality."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells

BIMODAL = 5 / 9
"""Coefficient of bimodality of the uniform distribution; a larger one suggests several modes."""


MAX_SPREAD_RATIO = 3.0
"""Largest ratio of two conditions' residual deviations at which tests that pool them are quoted."""


def residual_deviations(cube: Cells) -> list[float]:
    """Return the standard deviation of each condition's residuals in its additive table listener x item.

    Gaps count as they are.
    """
    deviations = []
    for condition in cube.conditions:
        scores = cube.of(condition)
        rated = ~np.isnan(scores)
        scores = scores[rated.any(axis=1)][:, rated.any(axis=0)]
        rest = scores - np.nanmean(scores, axis=1, keepdims=True)
        deviations.append(float(np.nanstd(rest - np.nanmean(rest, axis=0))))
    return deviations


def spreads_differ(cube: Cells) -> bool:
    """Return whether the conditions' residual deviations differ by more than `MAX_SPREAD_RATIO`."""
    if min(cube.scores.shape) < 3:
        return False
    deviations = residual_deviations(cube)
    return max(deviations) > MAX_SPREAD_RATIO * min(deviations)


def skewness_and_kurtosis(values: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """Return skewness and excess kurtosis, corrected for sample size.

    These are G1 and G2 of SAS (Joanes and Gill 1998). Both are NaN for fewer than 4 values or for equal ones.
    """
    n = values.size
    deviation = values - values.mean() if n else values
    m2 = np.mean(deviation**2) if n else 0.0
    if n < 4 or m2 <= 1e-12:
        return float("nan"), float("nan")
    g1 = np.mean(deviation**3) / m2**1.5
    g2 = np.mean(deviation**4) / m2**2 - 3
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    return float(g1 * np.sqrt(n * (n - 1)) / (n - 2)), float(excess)


def bimodality(values: Float64[np.ndarray, " n"]) -> float:
    """Return the coefficient of bimodality, ``(g^2 + 1) / (k + 3 (n-1)^2 / ((n-2)(n-3)))``.

    g and k are skewness and excess kurtosis corrected for sample size, as in SAS, where the coefficient comes
    from. NaN for fewer than 4 values or for equal ones.
    """
    n = values.size
    g, k = skewness_and_kurtosis(values)
    return (g**2 + 1) / (k + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))) if n > 3 else g


def looks_bimodal(values: Float64[np.ndarray, " n"]) -> bool:
    """Return whether values may have several modes: coefficient above 5/9 and tails lighter than the normal's.

    Skewness alone raises the coefficient, as at the ends of a scale (Pfister et al., Front. Psychol. 4:700,
    2013), but comes with heavy tails; two separate groups have a negative excess kurtosis.
    """
    _, kurtosis = skewness_and_kurtosis(values)
    return bool(bimodality(values) > BIMODAL and kurtosis < 0)


def hinges(values: Float64[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Return lower hinge, median and upper hinge.

    The hinges are the medians of the two halves; for odd n both halves contain the middle value.
    """
    ordered = np.sort(values)
    half = (ordered.size + 1) // 2
    return float(np.median(ordered[:half])), float(np.median(ordered)), float(np.median(ordered[-half:]))


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """List the ratings that lie more than 1.5 interquartile ranges beyond the hinges of their item and condition.

    BS.1534-3 allows such a rating to be removed only if it is shown to be an error, so it is only listed.

    Returns
    -------
    DataFrame
        Columns ``session, listener, item, condition, score, lower_hinge, upper_hinge``.
    """
    scores = table["score"].to_numpy(float)
    group = table.groupby(["item", "condition"], sort=True).ngroup().to_numpy()
    order = np.argsort(group, kind="stable")
    found: list[tuple[int, float, float]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        low, _, high = hinges(scores[rows])
        reach = 1.5 * (high - low)
        outside = rows[(scores[rows] < low - reach) | (scores[rows] > high + reach)]
        found += [(int(row), low, high) for row in outside]
    ratings = table.iloc[[row for row, _, _ in found]][["session", "listener", "item", "condition", "score"]]
    return ratings.reset_index(drop=True).assign(
        lower_hinge=[low for _, low, _ in found], upper_hinge=[high for _, _, high in found]
    )
