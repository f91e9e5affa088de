"""Means of the conditions with confidence intervals, by three conventions.

The same ratings give intervals whose widths differ several-fold, depending on what counts as independent:

``paper``     t over all ratings of a condition. This treats all ratings as independent, which those of one
              listener are not; the convention is kept in order to reproduce published figures.
``listener``  t over the listeners' means: the listeners are a sample of a population, the items are fixed.
``crossed``   Listeners and items are both samples: the result extends to other items of the same kind.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells
from analysis.statistics.interval import Interval, t_interval
from analysis.statistics.mixed_models import crossed_interval_incomplete

CONVENTIONS = {
    "paper": "95 % CI: t over all ratings, taken as independent",
    "listener": "95 % CI: t over listener means, for these items",
    "crossed": "95 % CI: listeners and items both random (Satterthwaite)",
}


def crossed_interval(scores: Float64[np.ndarray, "listener item"], level: float = 0.95) -> Interval:
    """Return the interval of a mean if listeners and items are both random.

    For a complete table with the mean squares of listeners, items and residual,
    ``var = (MS_L + MS_I - MS_E) / (L I)`` with Satterthwaite's degrees of freedom equals REML of
    ``score ~ 1 + (1|listener) + (1|item)``. If the estimated component of the items (listeners) is not positive,
    REML estimates it as zero: the factor is then pooled with the residual, and the t interval over the listener
    (item) means remains. If cells are missing (NaN), the model is fitted by REML itself
    (`analysis.statistics.mixed_models`).

    The limits are NaN for a single listener.

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
    return Interval.by_t(mean, variance / scores.size, df, level)


def means_over_items(
    scores: Float64[np.ndarray, "listener item ..."],
) -> Float64[np.ndarray, "listener ..."]:
    """Return each listener's mean over the items that he or she rated; NaN if there is none."""
    rated = ~np.isnan(scores)
    count = rated.sum(axis=1)
    total = np.where(rated, scores, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def summarise(table: pd.DataFrame, cube: Cells, ci: str = "listener", level: float = 0.95) -> pd.DataFrame:
    """Summarise every condition.

    Parameters
    ----------
    table
        Tidy table of ratings.
    cube
        The same ratings as an array.
    ci
        Convention of mean and interval, one of `CONVENTIONS`.
    level
        Probability that the interval holds the true mean.

    Returns
    -------
    DataFrame
        Columns ``condition, n`` (ratings), ``mean, ci_low, ci_high, median`` (of the ratings).
    """
    if ci not in CONVENTIONS:
        raise ValueError(f"no convention {ci!r}; there are {', '.join(CONVENTIONS)}")
    by_condition = table.groupby("condition")["score"]
    means = means_over_items(cube.scores)
    rows = []
    for i, condition in enumerate(cube.conditions):
        scores = by_condition.get_group(condition).to_numpy(float)
        if ci == "crossed":
            interval = crossed_interval(cube.of(condition), level)
        else:
            interval = t_interval(scores if ci == "paper" else means[:, i], level)
        rows.append((condition, scores.size, interval.mean, interval.low, interval.high, float(np.median(scores))))
    return pd.DataFrame(rows, columns=["condition", "n", "mean", "ci_low", "ci_high", "median"])
