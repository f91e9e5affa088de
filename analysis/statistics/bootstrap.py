"""Bootstrap intervals of the conditions' means, by the unit that is drawn and so counts as independent.

``rating``    single ratings, as plotting libraries do by default; too narrow wherever a listener rates twice
``listener``  listeners with all their ratings, percentile limits
``bca``       the same draws, corrected for bias and skewness (Efron 1987)
``two-way``   listeners and items, each drawn independently (Owen 2007)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import special

from analysis.ratings.cells import Cells
from analysis.statistics.interval import Interval
from analysis.statistics.intervals import means_over_items

SCHEMES = ("rating", "listener", "bca", "two-way")

_MAX_NUMBERS = 4_000_000
"""Largest number of values that are held in memory at a time while drawing."""


def bootstrap(
    table: pd.DataFrame, cube: Cells, draws: int, seed: int = 1, level: float = 0.95
) -> dict[str, dict[str, Interval]]:
    """Return the intervals of every scheme and condition, ``result[scheme][condition]``.

    Parameters
    ----------
    table
        Tidy table of ratings.
    cube
        The same ratings as an array.
    draws
        Number of bootstrap draws.
    seed
        The same seed gives the same intervals.
    level
        Probability that an interval is to hold the true mean.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    means = means_over_items(cube.scores)
    by_condition = table.groupby("condition")["score"]
    ratings = [by_condition.get_group(c).to_numpy(float) for c in cube.conditions]
    rating_draws = np.stack([draw_ratings(values, draws, rng) for values in ratings], axis=1)
    listener_draws = draw_listeners(means, draws, rng)
    two_way_draws = draw_listeners_and_items(cube.scores, draws, rng)
    grand_means = np.nanmean(cube.scores, axis=(0, 1))
    return {
        "rating": _percentile(rating_draws, [v.mean() for v in ratings], cube.conditions, level),
        "listener": _percentile(listener_draws, np.nanmean(means, axis=0), cube.conditions, level),
        "bca": {c: bca(listener_draws[:, i], means[:, i], level) for i, c in enumerate(cube.conditions)},
        "two-way": _percentile(two_way_draws, grand_means, cube.conditions, level),
    }


def _percentile(
    drawn: Float64[np.ndarray, "draw condition"],
    means: Sequence[float],
    conditions: Sequence[str],
    level: float,
) -> dict[str, Interval]:
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {c: Interval(float(means[i]), float(low[i]), float(high[i])) for i, c in enumerate(conditions)}


def draw_ratings(
    values: Float64[np.ndarray, " n"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, " draw"]:
    """Return means over single ratings drawn with replacement."""
    block = max(1, _MAX_NUMBERS // values.size)
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    return np.concatenate([values[rng.integers(values.size, size=(n, values.size))].mean(axis=1) for n in sizes])


def _weights(count: int, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "draw unit"]:
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def draw_listeners(
    means: Float64[np.ndarray, "listener condition"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, "draw condition"]:
    """Return means over listeners drawn with replacement, the same listeners for all conditions."""
    weights = _weights(means.shape[0], draws, rng)
    return _ratio(weights @ np.nan_to_num(means), weights @ ~np.isnan(means))


def draw_listeners_and_items(
    scores: Float64[np.ndarray, "listener item condition"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, "draw condition"]:
    """Return means over listeners and items, each drawn independently with replacement."""
    listeners, items, conditions = scores.shape
    filled = np.nan_to_num(scores).reshape(listeners, -1)
    rated = (~np.isnan(scores)).astype(float).reshape(listeners, -1)
    block = max(1, _MAX_NUMBERS // (items * conditions))
    found = []
    for start in range(0, draws, block):
        number = min(block, draws - start)
        listener_weights, item_weights = _weights(listeners, number, rng), _weights(items, number, rng)
        total, count = (
            np.einsum("dic,di->dc", (listener_weights @ table).reshape(number, items, conditions), item_weights)
            for table in (filled, rated)
        )
        found.append(_ratio(total, count))
    return np.concatenate(found)


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def bca(
    drawn: Float64[np.ndarray, " draw"], values: Float64[np.ndarray, " listener"], level: float = 0.95
) -> Interval:
    """Return the bias-corrected and accelerated interval of a mean of independent values.

    Parameters
    ----------
    drawn
        Bootstrap draws of the mean.
    values
        The values themselves, whose jackknife gives the acceleration (Efron 1987); NaN values are left out.
    """
    values = values[~np.isnan(values)]
    mean = values.mean()
    if values.size < 2 or np.ptp(values) == 0:
        return Interval(float(mean), *([float(mean)] * 2 if values.size > 1 else [np.nan] * 2))
    # Draws equal to the mean count as half below; with few listeners they are frequent.
    below = np.mean(drawn < mean) + 0.5 * np.mean(drawn == mean)
    bias = special.ndtri(np.clip(below, 1 / (2 * drawn.size), 1 - 1 / (2 * drawn.size)))
    jackknife = (values.sum() - values) / (values.size - 1)
    skew = jackknife.mean() - jackknife
    acceleration = np.sum(skew**3) / (6 * np.sum(skew**2) ** 1.5)
    z = bias + special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.nanquantile(drawn, special.ndtr(bias + z / (1 - acceleration * z)))
    return Interval(float(mean), float(low), float(high))
