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
from analysis.statistics.crossed import crossed_interval
from analysis.statistics.interval import t_interval

CONVENTIONS = {
    "paper": "95 % CI: t over all ratings, taken as independent",
    "listener": "95 % CI: t over listener means, for these items",
    "crossed": "95 % CI: listeners and items both random (Satterthwaite)",
}


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
