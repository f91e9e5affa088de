"""Means of a listening test with confidence intervals that say what they are intervals of.

The same ratings give intervals that differ several-fold in width, by what is taken for an independent draw:

``paper``     t over all ratings of a condition. It takes every rating for independent of every other, which
              the ratings of one listener are not; it is kept to regenerate published figures.
``listener``  t over the listeners' means: listeners are drawn from a population, the items are these items.
``crossed``   listeners and items are both drawn: the claim reaches to other material like this.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.table import Cells, cells
from analysis.statistics.interval import Interval, interval_from, t_interval
from analysis.statistics.mixed_models import crossed_interval_incomplete

CONVENTIONS = {
    "paper": "95 % CI: t over all ratings, taken as independent",
    "listener": "95 % CI: t over listener means, for these items",
    "crossed": "95 % CI: listeners and items both random (Satterthwaite)",
}


def shape(values: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """Skewness and excess kurtosis, corrected for sample size (G1 and G2 of SAS; Joanes and Gill 1998).

    NaN for fewer than 4 values or for equal ones.
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


def crossed_interval(scores: Float64[np.ndarray, "listener item"], level: float = 0.95) -> Interval:
    """Interval of a mean over random listeners and random items.

    Where cells are missing the model is fitted by REML itself (`analysis.statistics.mixed_models`). For a
    complete table and
    the mean squares of listeners, items and residual, ``var = (MS_L + MS_I - MS_E) / (L I)`` with
    Satterthwaite's degrees of freedom equals REML of ``score ~ 1 + (1|listener) + (1|item)``. Where
    the estimated component of items (listeners) is not positive, REML takes it for zero: the factor is then
    pooled with the residual, and what is left is the t interval over listener (item) means.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946); Searle, Casella, McCulloch, Variance Components.
    """
    if np.isnan(scores).any():
        return crossed_interval_incomplete(scores, level)
    number_listeners, number_items = scores.shape
    if number_listeners < 2:
        return Interval(float(scores.mean()), np.nan, np.nan)
    if number_items < 2:
        return t_interval(scores[:, 0], level)
    mean = scores.mean()
    deviation = scores - mean
    by_listener, by_item = deviation.mean(axis=1), deviation.mean(axis=0)
    residual = deviation - by_listener[:, None] - by_item
    squares = {
        "listener": number_items * np.sum(by_listener**2),
        "item": number_listeners * np.sum(by_item**2),
    }
    freedom = {"listener": number_listeners - 1, "item": number_items - 1}
    square_error, freedom_error = np.sum(residual**2), (number_listeners - 1) * (number_items - 1)
    for factor in sorted(squares, key=lambda f: squares[f] / freedom[f]):
        if squares[factor] / freedom[factor] <= square_error / freedom_error:
            square_error += squares.pop(factor)
            freedom_error += freedom.pop(factor)
    squares_mean = [squares[f] / freedom[f] for f in squares]
    if len(squares) == 1:
        variance, df = squares_mean[0], freedom[next(iter(squares))]
    elif not squares:
        variance, df = square_error / freedom_error, freedom_error
    else:
        error = square_error / freedom_error
        variance = sum(squares_mean) - error
        parts = [*zip(squares_mean, freedom.values(), strict=True), (error, freedom_error)]
        df = variance**2 / sum(square**2 / count for square, count in parts)
    return interval_from(mean, variance / scores.size, df, level)


def intervals(ratings: pd.DataFrame, cube: Cells, ci: str, level: float = 0.95) -> dict[str, Interval]:
    """Interval of every condition's mean by a convention of `CONVENTIONS`."""
    if ci == "paper":
        by_condition = ratings.groupby("condition")["score"]
        return {c: t_interval(by_condition.get_group(c).to_numpy(), level) for c in cube.conditions}
    if ci == "listener":
        means = means_over_items(cube.scores)
        return {c: t_interval(means[:, i], level) for i, c in enumerate(cube.conditions)}
    if ci == "crossed":
        return {c: crossed_interval(cube.scores[:, :, i], level) for i, c in enumerate(cube.conditions)}
    raise ValueError(f"no convention {ci!r}; there are {', '.join(CONVENTIONS)}")


def means_over_items(
    scores: Float64[np.ndarray, "listener item ..."],
) -> Float64[np.ndarray, "listener ..."]:
    """Each listener's mean over the items that he or she rated; NaN where none was."""
    rated = ~np.isnan(scores)
    count = rated.sum(axis=1)
    total = np.where(rated, scores, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def summarise(ratings: pd.DataFrame, ci: str = "listener", cube: Cells | None = None) -> pd.DataFrame:
    """Per condition: ``condition``, ``n`` ratings, ``mean, ci_low, ci_high`` by `ci`, ``median``."""
    cube = cube or cells(ratings)
    score = ratings.groupby("condition")["score"]
    count, median = score.count(), score.median()
    found = intervals(ratings, cube, ci)
    return pd.DataFrame(
        [
            (c, int(count[c]), found[c].mean, found[c].low, found[c].high, float(median[c]))
            for c in cube.conditions
        ],
        columns=["condition", "n", "mean", "ci_low", "ci_high", "median"],
    )
