"""Tukey's studentized range, by which all pairs of several means are compared at one level."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy import optimize, special

_NODES = 96
"""Nodes of the quadratures; twice as many change a probability by less than 1e-9."""


@lru_cache(maxsize=1)
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _range_tail(q: Float64[np.ndarray, " n"], means: int) -> Float64[np.ndarray, " n"]:
    """Return the probability that the range of independent standard normal values exceeds q.

    It is ``1 - k times the integral over z of phi(z) (Phi(z + q) - Phi(z))^(k-1)``, z the smallest value.
    """
    nodes, weights = _legendre()
    z = 8.5 * nodes
    density = 8.5 * weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    inside = special.ndtr(z + q[:, None]) - special.ndtr(z)
    return 1 - means * (inside ** (means - 1)) @ density


def tukey_p(t: float, means: int, df: float) -> float:
    """Return the probability that the largest |t| among all pairs of equal means is at least |t|.

    The range of `means` independent values over their estimated standard deviation, ``q = sqrt(2) |t|``,
    averaged over the distribution of the latter (df degrees of freedom).
    """
    if not np.isfinite(t) or not df > 0:
        return float("nan")
    nodes, weights = _legendre()
    probability = (nodes + 1) / 2
    # the deviation's quantiles, with nodes drawn towards both ends of the distribution
    probability = probability**2 * (3 - 2 * probability)
    jacobian = 6 * ((nodes + 1) / 2) * (1 - (nodes + 1) / 2) / 2
    s = np.sqrt(special.chdtri(df, 1 - probability) / df)
    return float(np.clip(np.sum(weights * jacobian * _range_tail(np.sqrt(2) * abs(t) * s, means)), 0, 1))


def tukey_limit(means: int, df: float, level: float = 0.95) -> float:
    """Return the largest |t| among all pairs of equal means that is exceeded with probability ``1 - level``."""
    if not df > 0 or not np.isfinite(df):
        return float("nan")
    alone = special.stdtrit(df, 0.5 + level / 2)
    upper = float(special.stdtrit(df, 1 - (1 - level) / (means * (means - 1))))  # Bonferroni's is not smaller
    if means == 2:
        return float(alone)
    return float(optimize.brentq(lambda t: tukey_p(t, means, df) - (1 - level), 0.9 * alone, 1.01 * upper))
