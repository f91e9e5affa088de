"""Power of the paired t test of two conditions, and of the tests of equivalence and non-inferiority.

All tests are of the listeners' means over the items. What the power depends on is the standard deviation, over
listeners, of the difference of these means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

MAX_LISTENERS = 1000


def t_power(listeners: int, difference: float, sd: float, alpha: float = 0.05) -> float:
    """Return the probability that a two-sided paired t test detects a true difference.

    Parameters
    ----------
    listeners
        Number of listeners, at least 2.
    difference
        True difference, in points.
    sd
        Standard deviation of the listeners' differences, in points.
    alpha
        Level of significance.
    """
    df, shift = listeners - 1, abs(difference) / sd * listeners**0.5
    limit = special.stdtrit(df, 1 - alpha / 2)
    return float(1 - special.nctdtr(df, shift, limit) + special.nctdtr(df, shift, -limit))


def non_inferiority_power(listeners: int, margin: float, sd: float, alpha: float = 0.05) -> float:
    """Return the probability of showing non-inferiority within `margin` if the true difference is 0."""
    df = listeners - 1
    return float(1 - special.nctdtr(df, margin / sd * listeners**0.5, special.stdtrit(df, 1 - alpha)))


def equivalence_power(listeners: int, margin: float, sd: float, alpha: float = 0.05) -> float:
    """Return the probability of showing equivalence within ``-margin..margin`` if the true difference is 0.

    Given the sample's standard deviation s, the mean must lie within ``margin - t s / sqrt(n)`` of 0. This has a
    normal probability, which is averaged over the distribution of s.
    """
    df = listeners - 1
    quantile = (np.arange(4000) + 0.5) / 4000
    s = np.sqrt(special.chdtri(df, quantile) / df)
    limit = margin / sd * np.sqrt(listeners) - special.stdtrit(df, 1 - alpha) * s
    return float(np.mean(np.where(limit > 0, 2 * special.ndtr(limit) - 1, 0)))


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


def detectable(listeners: int, sd: float, power: float, alpha: float = 0.05) -> float:
    """Return the smallest true difference that is detected with this power, in points."""
    low, high = 0.0, sd
    while t_power(listeners, high, sd, alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if t_power(listeners, middle, sd, alpha) >= power else (middle, high)
    return high


def sd_of_items(components: Mapping[str, float], items: int) -> float:
    """Return the standard deviation of the difference of a listener's means of two conditions over `items` items.

    It is ``sqrt(2 (s2_listener:condition + s2_residual / items))``. The effects of listener and item cancel in the
    difference, and the effect of an item on a condition is the same for all listeners.
    """
    return (2 * (components["listener:condition"] + components["residual"] / items)) ** 0.5
