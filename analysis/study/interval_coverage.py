"""Coverage of the 95 % intervals, counted over simulated listening tests.

Each trial draws listeners, items and noise with the variance components of a published test and asks whether the
interval of one condition's mean holds the true value: the mean over the population of listeners for these items
(items fixed), and for all items of their kind (items random). A convention is honest for a target if its coverage
is near 95 %. Percentile bootstraps are known to be too narrow for few listeners.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from analysis.statistics.bootstrap import bca, draw_listeners, draw_listeners_and_items, draw_ratings
from analysis.statistics.crossed import crossed_interval
from analysis.statistics.interval import t_interval

TARGETS = {
    "paper (t, all ratings)": "neither",
    "listener (t, listener means)": "items fixed",
    "crossed (Satterthwaite)": "items random",
    "bootstrap of ratings": "neither",
    "bootstrap of listeners": "items fixed, many listeners",
    "bootstrap of listeners, BCa": "items fixed, many listeners",
    "bootstrap two-way": "items random, many of both",
}
"""Interval -> the target that it claims to cover; ``neither`` is kept for comparison only."""


def coverage(
    listeners: int, items: int, trials: int, draws: int, seed: int, variances: Mapping[str, float]
) -> dict[str, tuple[float, float, float]]:
    """Count how often every interval of `TARGETS` holds the true value.

    Parameters
    ----------
    listeners, items
        Size of the simulated tests.
    trials
        Number of simulated tests.
    draws
        Bootstrap draws of each test; 0 leaves the bootstraps out.
    seed
        The same seed gives the same tests.
    variances
        Variance components, as `analysis.study.simulation.VARIANCES`.

    Returns
    -------
    dict
        Interval -> coverage with items fixed and with items random (0 to 1), and mean half-width in points.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    sums = {name: np.zeros(3) for name in TARGETS if draws or not name.startswith("bootstrap")}
    for _ in range(trials):
        scores, fixed_mean = _draw_test(rng, listeners, items, variances)
        means = scores.mean(axis=1)
        intervals = [t_interval(scores.ravel()), t_interval(means), crossed_interval(scores)]
        limits = [(interval.low, interval.high) for interval in intervals]
        if draws:
            rating_draws = draw_ratings(scores.ravel(), draws, rng)
            listener_draws = draw_listeners(means[:, None], draws, rng)[:, 0]
            corrected = bca(listener_draws, means)
            two_way_draws = draw_listeners_and_items(scores[:, :, None], draws, rng)[:, 0]
            limits += [_percentile(rating_draws), _percentile(listener_draws)]
            limits += [(corrected.low, corrected.high), _percentile(two_way_draws)]
        for name, (low, high) in zip(sums, limits, strict=True):
            sums[name] += (low <= fixed_mean <= high, low <= 0 <= high, (high - low) / 2)
    return {name: tuple((total / trials).tolist()) for name, total in sums.items()}


def _percentile(drawn: Float64[np.ndarray, " draw"]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return low, high


def _draw_test(
    rng: np.random.Generator, listeners: int, items: int, variances: Mapping[str, float]
) -> tuple[Float64[np.ndarray, "listener item"], float]:
    """Draw scores of one condition whose mean over everything is 0, and return its true mean for these items."""
    listener_variance = variances["listener"] + variances["listener_condition"]
    item_variance = variances["item"] + variances["item_condition"]
    item = rng.normal(0, item_variance**0.5, items)
    noise = rng.normal(0, variances["residual"] ** 0.5, (listeners, items))
    return rng.normal(0, listener_variance**0.5, (listeners, 1)) + item + noise, float(item.mean())
