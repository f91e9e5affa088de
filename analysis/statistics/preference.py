"""Strengths of systems from paired preferences, by the model of Bradley and Terry (Biometrika 39, 1952).

System i is preferred to j with probability ``1 / (1 + exp(b_j - b_i))``. The log strengths b are estimated by
maximum likelihood, with their sum 0; a tie counts as half a preference for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import sparse, special

from render.common.errors import InputError


@dataclass(frozen=True)
class Strengths:
    """Log strengths, whose sum is 0, their covariance, and the fit of the model.

    Attributes
    ----------
    values, covariance
        By the likelihood, which takes all trials as independent.
    clustered
        The covariance over listeners: trials of one listener may depend on each other (sandwich estimate, times
        n / (n - 1) for n listeners); None for one listener.
    deviance, df, p
        Likelihood ratio against free shares of every pair, and the p that preferences are as consistent as the
        model (transitive, on one dimension); df is 0 and p NaN if the pairs leave nothing to test.
    """

    values: Float64[np.ndarray, " system"]
    covariance: Float64[np.ndarray, "system system"]
    clustered: Float64[np.ndarray, "system system"] | None
    deviance: float
    df: int
    p: float


def bradley_terry(wins: Float64[np.ndarray, "listener system system"]) -> Strengths:
    """Estimate strengths.

    Parameters
    ----------
    wins
        How often each listener preferred the system of the row to that of the column, ties counted half.

    Raises
    ------
    InputError
        If some systems were never preferred to the others, or never compared with them: the estimate is then not
        finite (Ford 1957).
    """
    total = wins.sum(axis=0)
    k = len(total)
    if sparse.csgraph.connected_components(sparse.csr_array(total > 0), connection="strong")[0] > 1:
        raise InputError(
            "strengths need preferences both ways between any two groups of systems; some are always or never "
            "preferred"
        )
    trials = total + total.T
    b = np.zeros(k)
    flat = np.full((k, k), 1 / k)  # fixes the sum of b, which the preferences leave open
    for _ in range(100):
        share = special.expit(b[:, None] - b)
        score = (total - trials * share).sum(axis=1)
        weight = trials * share * (1 - share)
        information = np.diag(weight.sum(axis=1)) - weight
        step = np.linalg.solve(information + flat, score)
        b = b + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-12:
            break
    b -= b.mean()
    inverse = np.linalg.inv(information + flat) - flat
    clustered = None
    if len(wins) > 1:
        scores = (wins - (wins + wins.transpose(0, 2, 1)) * special.expit(b[:, None] - b)).sum(axis=2)
        clustered = inverse @ (scores.T @ scores) @ inverse * len(wins) / (len(wins) - 1)
    compared = np.triu(trials > 0, 1)
    of_pair, both = total[compared], trials[compared]
    expected = (trials * special.expit(b[:, None] - b))[compared]
    deviance = 2 * float(
        np.sum(special.rel_entr(of_pair, expected) + special.rel_entr(both - of_pair, both - expected))
    )
    df = int(compared.sum()) - (k - 1)
    p = float(special.chdtrc(df, deviance)) if df else float("nan")
    return Strengths(b, inverse, clustered, deviance, df, p)
