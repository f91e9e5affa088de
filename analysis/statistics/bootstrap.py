"""Bootstrap intervals of the conditions' means: what is drawn is what counts as the independent unit.

``rating``    single ratings, as plotting libraries do by default; too narrow wherever a listener rates twice
``listener``  listeners with all their ratings: percentile limits
``bca``       the same draws, corrected for bias and skewness (Efron 1987)
``two-way``   listeners and items, each independently (Owen 2007)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import special

from analysis.ratings.table import Cells
from analysis.statistics.interval import Interval
from analysis.statistics.intervals import means_over_items

SCHEMES = ("rating", "listener", "bca", "two-way")

_BLOCK = 4_000_000
"""Numbers held at a time while drawing."""


def bootstrap(
    ratings: pd.DataFrame, cube: Cells, draws: int, seed: int = 1, level: float = 0.95
) -> dict[str, dict[str, Interval]]:
    """Intervals of every scheme and condition, deterministic by `seed`: ``result[scheme][condition]``."""
    rng = np.random.Generator(np.random.Philox(seed))
    means = means_over_items(cube.scores)
    by_condition = ratings.groupby("condition")["score"]
    by_rating = [by_condition.get_group(c).to_numpy(float) for c in cube.conditions]
    of_ratings = np.stack([_mean_of_draws(values, draws, rng) for values in by_rating], axis=1)
    of_listeners = draw_listeners(means, draws, rng)
    of_both = draw_both(cube.scores, draws, rng)
    centre = np.nanmean(means, axis=0)
    return {
        "rating": _percentile(of_ratings, [v.mean() for v in by_rating], cube.conditions, level),
        "listener": _percentile(of_listeners, centre, cube.conditions, level),
        "bca": {
            c: bca(of_listeners[:, i], means[:, i], level) for i, c in enumerate(cube.conditions)
        },
        "two-way": _percentile(of_both, np.nanmean(cube.scores, axis=(0, 1)), cube.conditions, level),
    }  # fmt: skip


def _percentile(
    drawn: Float64[np.ndarray, "draw condition"],
    centre: Sequence[float],
    conditions: Sequence[str],
    level: float,
) -> dict[str, Interval]:
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {c: Interval(float(centre[i]), float(low[i]), float(high[i])) for i, c in enumerate(conditions)}


def _mean_of_draws(
    values: Float64[np.ndarray, " n"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, " draw"]:
    block = max(1, _BLOCK // values.size)
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    return np.concatenate([values[rng.integers(values.size, size=(n, values.size))].mean(axis=1) for n in sizes])


def _weights(count: int, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "draw unit"]:
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def draw_listeners(
    means: Float64[np.ndarray, "listener condition"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, "draw condition"]:
    """Means over listeners drawn with replacement, the same listeners for all conditions."""
    weights = _weights(means.shape[0], draws, rng)
    return _ratio(weights @ np.nan_to_num(means), weights @ ~np.isnan(means))


def draw_both(
    scores: Float64[np.ndarray, "listener item condition"], draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, "draw condition"]:
    """Means over listeners and items drawn independently with replacement."""
    listeners, items, conditions = scores.shape
    filled = np.nan_to_num(scores).reshape(listeners, -1)
    rated = (~np.isnan(scores)).astype(float).reshape(listeners, -1)
    block = max(1, _BLOCK // (items * conditions))
    found = []
    for start in range(0, draws, block):
        number = min(block, draws - start)
        of_listeners, of_items = _weights(listeners, number, rng), _weights(items, number, rng)
        total, count = (
            np.einsum("dic,di->dc", (of_listeners @ table).reshape(number, items, conditions), of_items)
            for table in (filled, rated)
        )
        found.append(_ratio(total, count))
    return np.concatenate(found)


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def bca(
    drawn: Float64[np.ndarray, " draw"], values: Float64[np.ndarray, " listener"], level: float = 0.95
) -> Interval:
    """Bias-corrected and accelerated interval of a mean of independent values, from its bootstrap draws."""
    values = values[~np.isnan(values)]
    mean = values.mean()
    if values.size < 2 or np.ptp(values) == 0:
        return Interval(float(mean), *([float(mean)] * 2 if values.size > 1 else [np.nan] * 2))
    # Draws equal to the mean count half: with few listeners they are many.
    below = np.mean(drawn < mean) + 0.5 * np.mean(drawn == mean)
    bias = special.ndtri(np.clip(below, 1 / (2 * drawn.size), 1 - 1 / (2 * drawn.size)))
    jackknife = (values.sum() - values) / (values.size - 1)
    skew = jackknife.mean() - jackknife
    acceleration = np.sum(skew**3) / (6 * np.sum(skew**2) ** 1.5)
    z = bias + special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.nanquantile(drawn, special.ndtr(bias + z / (1 - acceleration * z)))
    return Interval(float(mean), float(low), float(high))
