"""Shares of choices: exact interval and tests, and the sensitivity d' of an ABX test."""

from __future__ import annotations

import math

from scipy import optimize, special, stats


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper & Pearson 1934); NaN for no trials.

    Its limits are the shares at which `successes` or fewer, or as many or more, have probability (1 - level) / 2.
    """
    if not trials:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low = special.betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = special.betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def binomial_p(successes: int, trials: int, alternative: str = "two-sided") -> float:
    """Return the exact p of `successes` or something more extreme, for a share of one half; NaN for no trials.

    Parameters
    ----------
    successes, trials
    alternative
        ``two-sided``, or ``greater``: the true share is above one half.
    """
    if not trials:
        return math.nan
    if alternative == "greater":
        return float(stats.binom.sf(successes - 1, trials, 0.5))
    least = min(successes, trials - successes)
    return min(1.0, 2 * float(stats.binom.cdf(least, trials, 0.5)))  # the distribution is symmetric


def abx_d_prime(correct: int, trials: int, strategy: str) -> float:
    """Return d' of an ABX test from its share of correct answers.

    ``independent``: the listener judges X by where it lies between A and B,
    p = Φ(d'/√2) Φ(d'/2) + Φ(-d'/√2) Φ(-d'/2). ``differencing``: he compares the distances of X from A and from B,
    p = Φ(d'/√2) Φ(d'/√6) + Φ(-d'/√2) Φ(-d'/√6) (Macmillan & Creelman, Detection Theory, 2nd ed. 2005, chapter 9).
    Both hold for a listener without preference for A or B. A share of 1, whose d' is infinite, is counted as
    1 - 1/(2 trials) (Macmillan & Kaplan 1985); a share of one half or less has d' 0. NaN for no trials.
    """
    if not trials:
        return math.nan
    return d_prime_of_share(min(correct / trials, 1 - 1 / (2 * trials)), strategy)


def d_prime_of_share(share: float, strategy: str) -> float:
    """Return the d' with this share of correct answers, see `abx_d_prime`: 0 up to one half, infinite for 1."""
    scale = {"independent": 2.0, "differencing": math.sqrt(6.0)}[strategy]
    if share <= 0.5:
        return 0.0
    if share >= 1:
        return math.inf

    def excess(d: float) -> float:
        first, second = special.ndtr(d / math.sqrt(2)), special.ndtr(d / scale)
        return first * second + (1 - first) * (1 - second) - share

    return float(optimize.brentq(excess, 0.0, 50.0))
