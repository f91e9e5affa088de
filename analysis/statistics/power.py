"""Power of the tests of two conditions: that they differ, are equivalent, or that one is not inferior.

What the power depends on is the standard error of the difference, true and estimated, and the degrees of
freedom: `Sampling`. The tests of these items are of the listeners' mean differences, those of such material of
the table listener x item of differences (`analysis.statistics.crossed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special

MAX_LISTENERS = 1000

_QUANTILES = 4000
_DRAWS = 20_000
"""Numbers of quantiles, and of draws, of the estimated standard error over which powers are averaged."""

_NODES = 500
"""Number of degrees of freedom between which quantiles of t are interpolated."""


@dataclass(frozen=True)
class Sampling:
    """How the estimated difference of two conditions is distributed over repetitions of a test.

    Attributes
    ----------
    true_se
        Standard deviation of the estimate.
    se, df
        Values that its estimated standard error takes, each as likely as the others, and the degrees of freedom of
        the test then.
    """

    true_se: float
    se: Float64[np.ndarray, " outcome"]
    df: Float64[np.ndarray, " outcome"]

    def difference_power(self, difference: float, alpha: float = 0.05) -> float:
        """Return the probability that a two-sided t test detects a true difference."""
        limit = _t_quantile(1 - alpha / 2, self.df) * self.se / self.true_se
        shift = abs(difference) / self.true_se
        return float(np.mean(special.ndtr(shift - limit) + special.ndtr(-shift - limit)))

    def non_inferiority_power(self, margin: float, alpha: float = 0.05) -> float:
        """Return the probability of showing non-inferiority within `margin` if the true difference is 0."""
        limit = margin - _t_quantile(1 - alpha, self.df) * self.se
        return float(np.mean(special.ndtr(limit / self.true_se)))

    def equivalence_power(self, margin: float, alpha: float = 0.05) -> float:
        """Return the probability of showing equivalence within ``-margin..margin`` if the true difference is 0.

        Given the estimated standard error, the estimate must lie within ``margin - t se`` of 0.
        """
        limit = (margin - _t_quantile(1 - alpha, self.df) * self.se) / self.true_se
        return float(np.mean(np.where(limit > 0, 2 * special.ndtr(limit) - 1, 0)))


def _t_quantile(probability: float, df: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return quantiles of Student's t; of many degrees of freedom interpolated over their reciprocals."""
    if df.size <= _NODES:
        return np.asarray(special.stdtrit(df, probability))
    at = np.linspace((1 / df).min(), (1 / df).max(), _NODES)
    return np.interp(1 / df, at, special.stdtrit(1 / at, probability))


def of_listeners(listeners: int, sd: float, excess: float = 0.0) -> Sampling:
    """Return the sampling of the mean of the listeners' differences.

    Parameters
    ----------
    listeners
        Number of listeners, at least 2.
    sd
        Standard deviation of the listeners' differences, in points.
    excess
        Variance in points squared by which the differences scatter in addition, without effect on their mean: in a
        balanced incomplete design that of the items, of which each listener rates others (`excess_of_items`).
    """
    df = listeners - 1
    quantile = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    estimated = (sd**2 + excess) * special.chdtri(df, quantile) / df
    return Sampling(sd / listeners**0.5, np.sqrt(estimated / listeners), np.array([float(df)]))


def of_listeners_and_items(listeners: int, items: int, components: Mapping[str, float], rated: int) -> Sampling:
    """Return the sampling of a difference by `analysis.statistics.crossed.crossed_mean`.

    The mean squares of a table of differences are independent multiples of chi squared. In a balanced incomplete
    design the residual counts for as many cells as are rated.

    Parameters
    ----------
    listeners, items
        Size of the test, at least 2 each.
    components
        Variance components ``listener:condition, item:condition, residual``, in points squared.
    rated
        Number of items that each listener rates.
    """
    rng = np.random.Generator(np.random.Philox(1))
    residual = 2 * components["residual"] * items / rated
    expected = {
        "listener": residual + items * 2 * components["listener:condition"],
        "item": residual + listeners * 2 * components["item:condition"],
    }
    freedom = {"listener": listeners - 1, "item": items - 1}
    free = max(listeners * rated - listeners - items + 1, 1)
    squares = {name: value * rng.chisquare(freedom[name], _DRAWS) for name, value in expected.items()}
    error = residual * rng.chisquare(free, _DRAWS)
    count = np.full(_DRAWS, float(free))
    kept = {name: np.ones(_DRAWS, dtype=bool) for name in squares}
    means = {name: squares[name] / freedom[name] for name in squares}
    first = means["listener"] <= means["item"]
    for turn in (first, ~first):  # the smaller mean square is compared first, then the other with what is pooled
        for name in squares:
            smaller = turn if name == "listener" else ~turn
            pooled = smaller & (means[name] <= error / count)
            kept[name] &= ~pooled
            error = error + np.where(pooled, squares[name], 0.0)
            count = count + np.where(pooled, freedom[name], 0)
    rest = error / count
    left = kept["listener"].astype(int) + kept["item"]
    total = np.where(kept["listener"], means["listener"], 0) + np.where(kept["item"], means["item"], 0)
    variance = np.where(left == 2, total - rest, np.where(left == 1, total, rest))
    parts = sum(np.where(kept[name], means[name] ** 2 / freedom[name], 0) for name in squares)
    both = variance**2 / np.maximum(parts + rest**2 / count, 1e-300)
    one = np.where(kept["listener"], freedom["listener"], freedom["item"])
    df = np.where(left == 2, both, np.where(left == 1, one, count))
    true = (expected["listener"] + expected["item"] - residual) / (listeners * items)
    return Sampling(float(true**0.5), np.sqrt(variance / (listeners * items)), df)


def alpha_of_one(alpha: float, comparisons: int, correction: str) -> float:
    """Return the level at which one of several comparisons is certainly decided.

    Holm's and Hochberg's methods reject whatever Bonferroni's does, so the power at this level is what a
    comparison has if no other one finds anything; it is larger if others do.
    """
    return alpha if correction == "none" else alpha / comparisons


def after_loss(power_of: Callable[[int], float], recruited: int, lost: float) -> float:
    """Return the power if each recruited listener is lost (to post-screening) with a probability.

    `power_of` maps a number of listeners that are left to the power; with fewer than 2 there is none.
    """
    if lost == 0:
        return power_of(recruited)
    left = np.arange(2, recruited + 1)
    log = (special.gammaln(recruited + 1) - special.gammaln(left + 1) - special.gammaln(recruited - left + 1)
           + left * np.log1p(-lost) + (recruited - left) * np.log(lost))  # fmt: skip
    weights = np.exp(log)
    return float(sum(w * power_of(int(n)) for n, w in zip(left, weights, strict=True) if w > 1e-9))


def listeners_needed(power_of: Callable[[int], float], power: float) -> int | None:
    """Return the smallest number of listeners with at least this power; None if `MAX_LISTENERS` are too few.

    `power_of` maps a number of listeners to the power of a test.
    """
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if low > MAX_LISTENERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def detectable(sampling: Sampling, power: float, alpha: float = 0.05) -> float:
    """Return the smallest true difference that is detected with this power, in points."""
    low, high = 0.0, float(sampling.true_se)
    while sampling.difference_power(high, alpha) < power:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if sampling.difference_power(middle, alpha) >= power else (middle, high)
    return high


def sd_of_items(components: Mapping[str, float], items: int) -> float:
    """Return the standard deviation of the difference of a listener's means of two conditions over `items` items.

    It is ``sqrt(2 (s2_listener:condition + s2_residual / items))``. The effects of listener and item cancel in the
    difference, and the effect of an item on a condition is the same for all listeners.
    """
    return (2 * (components["listener:condition"] + components["residual"] / items)) ** 0.5


def excess_of_items(components: Mapping[str, float], items: int, rated: int) -> float:
    """Return the variance by which listeners' differences scatter because each rates others of the items.

    It is that of the mean of `rated` of `items` values drawn without replacement, ``2 s2 (1 / rated - 1 /
    items)``. In a balanced design it cancels in the mean over the listeners, but not in their standard
    deviation.
    """
    return 2 * components["item:condition"] * (1 / rated - 1 / items)
