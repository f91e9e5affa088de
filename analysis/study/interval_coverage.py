"""How often does a 95 % interval hold what it is an interval of? Simulated listening tests count it out.

Each trial draws listeners, items and noise with the variance components of a published test and asks whether
the interval of one condition's mean holds the true value: the mean over the population of listeners for these
items (items fixed), and for all items of their kind (items random). A convention is honest for a target where
its coverage is near 95 %. Percentile bootstraps are known to be too narrow for few listeners, and it shows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from analysis.statistics.bootstrap import bca, draw_both, draw_listeners
from analysis.statistics.interval import t_interval
from analysis.statistics.intervals import crossed_interval

TARGETS = {
    "paper (t, all ratings)": "neither",
    "listener (t, listener means)": "items fixed",
    "crossed (Satterthwaite)": "items random",
    "bootstrap of ratings": "neither",
    "bootstrap of listeners": "items fixed, many listeners",
    "bootstrap of listeners, BCa": "items fixed, many listeners",
    "bootstrap two-way": "items random, many of both",
}
"""Interval -> the target that it claims to hold; ``neither``: kept for comparison only."""


def coverage(
    listeners: int, items: int, trials: int, draws: int, seed: int, variances: Mapping[str, float]
) -> dict[str, tuple[float, float, float]]:
    """Coverage for items fixed, for items random, and the mean half-width, of every interval of `TARGETS`.

    Bootstraps are left out where `draws` is 0.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    held = {name: np.zeros(3) for name in TARGETS if draws or not name.startswith("bootstrap")}
    for _ in range(trials):
        scores, of_these_items = _trial(rng, listeners, items, variances)
        means = scores.mean(axis=1)
        found = [t_interval(scores.ravel()), t_interval(means), crossed_interval(scores)]
        limits = [(i.low, i.high) for i in found]
        if draws:
            ratings = scores.ravel()[rng.integers(scores.size, size=(draws, scores.size))].mean(axis=1)
            drawn = draw_listeners(means[:, None], draws, rng)[:, 0]
            corrected = bca(drawn, means)
            both = draw_both(scores[:, :, None], draws, rng)[:, 0]
            limits += [tuple(np.quantile(ratings, [0.025, 0.975])), tuple(np.quantile(drawn, [0.025, 0.975]))]
            limits += [(corrected.low, corrected.high), tuple(np.quantile(both, [0.025, 0.975]))]
        for name, (low, high) in zip(held, limits, strict=True):
            held[name] += (low <= of_these_items <= high, low <= 0 <= high, (high - low) / 2)
    return {name: tuple((sums / trials).tolist()) for name, sums in held.items()}


def _trial(
    rng: np.random.Generator, listeners: int, items: int, variances: Mapping[str, float]
) -> tuple[Float64[np.ndarray, "listener item"], float]:
    """Scores of one condition whose mean over everything is 0, and its true mean for the items drawn."""
    of_listeners = variances["listener"] + variances["listener_condition"]
    of_items = variances["item"] + variances["item_condition"]
    item = rng.normal(0, of_items**0.5, items)
    noise = rng.normal(0, variances["residual"] ** 0.5, (listeners, items))
    return rng.normal(0, of_listeners**0.5, (listeners, 1)) + item + noise, float(item.mean())
