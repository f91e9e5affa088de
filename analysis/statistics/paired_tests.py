"""Comparisons of conditions that the same listeners rated: parametric, by ranks, and by permutation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import special

from analysis.statistics.interval import t_interval

_MAX_NUMBERS = 2_000_000
"""Largest number of values that are held in memory at a time while permuting."""

MAX_EXACT = 15
"""Largest number of differences for which Wilcoxon's distribution is enumerated rather than approximated."""


MAX_PAIRS = 5_000
"""Largest number of pairs that are compared unless those that matter are named; 100 conditions have 4950."""


def every_pair(conditions: Sequence[str]) -> tuple[list[tuple[str, str]], str]:
    """Return every pair of the conditions and an empty text; if they are too many, none and a text that says so.

    Among thousands of pairs an adjusted p finds hardly anything, and their number grows with the square of that of
    the conditions: a file of a few kB would fill hours and disks.
    """
    count = len(conditions) * (len(conditions) - 1) // 2
    if count <= MAX_PAIRS:
        return list(combinations(conditions, 2)), ""
    return [], (
        f"{len(conditions)} conditions make {count} pairs, more than {MAX_PAIRS}, so none is compared: "
        "name those that matter in a plan (analysis.plan --compare A B)"
    )


def midranks(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2.0)[inverse]


@dataclass(frozen=True)
class Friedman:
    """Friedman's test: chi squared (corrected for ties), its degrees of freedom, p, and Kendall's W."""

    chi2: float
    df: int
    p: float
    kendall_w: float


def friedman(scores: Float64[np.ndarray, "listener condition"]) -> Friedman:
    """Test whether the conditions have equal ranks within listeners; there must be no missing values."""
    n, k = scores.shape
    ranks = np.array([midranks(row) for row in scores])
    expected = (k + 1) / 2
    spread = np.sum((ranks - expected) ** 2)  # n k (k^2 - 1) / 12 minus the correction for ties
    if spread == 0:
        return Friedman(0.0, k - 1, 1.0, 0.0)
    chi2 = float(n * n * (k - 1) * np.sum((ranks.mean(axis=0) - expected) ** 2) / spread)
    return Friedman(chi2, k - 1, float(special.chdtrc(k - 1, chi2)), chi2 / (n * (k - 1)))


def t_test(difference: Float64[np.ndarray, " listener"]) -> tuple[float, float]:
    """Return Student's t and two-sided p of paired differences; NaN for fewer than 2 or for equal ones."""
    n = difference.size
    deviation = difference.std(ddof=1) if n > 1 else 0.0
    if deviation <= 1e-12:
        return float("nan"), float("nan")
    t = difference.mean() / (deviation / np.sqrt(n))
    return float(t), float(2 * special.stdtr(n - 1, -abs(t)))


def non_inferior(difference: Float64[np.ndarray, " listener"], margin: float) -> float:
    """Return the one-sided p for the claim that the mean of paired differences is above ``-margin``."""
    return _one_sided(difference + margin)


def equivalent(difference: Float64[np.ndarray, " listener"], margin: float) -> float:
    """Return p for the claim that the mean of paired differences lies between ``-margin`` and ``margin``.

    This is the larger p of two one-sided t tests (Schuirmann 1987). A claim of transparency needs this test: a
    difference that is not significant proves nothing.
    """
    return max(_one_sided(difference + margin), _one_sided(margin - difference))


def _one_sided(difference: Float64[np.ndarray, " listener"]) -> float:
    n = difference.size
    deviation = difference.std(ddof=1) if n > 1 else 0.0
    if deviation <= 1e-12:
        return float("nan")
    return float(special.stdtr(n - 1, -difference.mean() / (deviation / np.sqrt(n))))


def wilcoxon(difference: Float64[np.ndarray, " listener"], max_exact: int = MAX_EXACT) -> tuple[float, float]:
    """Return the signed-rank statistic (sum of positive ranks) and its two-sided p.

    Zero differences are left out. For up to `max_exact` differences the distribution over all signs is
    enumerated, ties included. For more, p follows from the normal approximation with correction for ties and
    without continuity correction, as in R's ``wilcox.test(exact = FALSE, correct = FALSE)``.
    """
    d = difference[difference != 0]
    n = d.size
    if n == 0:
        return 0.0, 1.0
    ranks = midranks(np.abs(d))
    statistic = float(ranks[d > 0].sum())
    if n <= max_exact:
        doubled = np.rint(2 * ranks).astype(int)  # midranks are multiples of one half
        ways = np.zeros(doubled.sum() + 1)
        ways[0] = 1.0
        for rank in doubled:
            ways[rank:] = ways[rank:] + ways[: ways.size - rank]
        cumulative = np.cumsum(ways) / 2.0**n
        lower = min(2 * statistic, doubled.sum() - 2 * statistic)
        return statistic, float(min(1.0, 2 * cumulative[round(lower)]))
    variance = np.sum(ranks**2) / 4  # n (n+1) (2n+1) / 24 minus the correction for ties
    z = (statistic - ranks.sum() / 2) / np.sqrt(variance)
    return statistic, float(2 * special.ndtr(-abs(z)))


def holm(p: ArrayLike) -> Float64[np.ndarray, " test"]:
    """Return Holm's step-down adjustment, ``max over smaller p of (m - rank + 1) p``; NaN stays NaN."""
    return _stepwise(p, np.maximum.accumulate)


def hochberg(p: ArrayLike) -> Float64[np.ndarray, " test"]:
    """Return Hochberg's step-up adjustment, ``min over larger p of (m - rank + 1) p``; BS.1534-3 names it."""
    return _stepwise(p, lambda scaled: np.minimum.accumulate(scaled[::-1])[::-1])


def _stepwise(p: ArrayLike, accumulate: Callable[[np.ndarray], np.ndarray]) -> Float64[np.ndarray, " test"]:
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.size, np.nan)
    valid = np.flatnonzero(~np.isnan(values))
    order = valid[np.argsort(values[valid], kind="stable")]
    adjusted[order] = np.minimum(1.0, accumulate(np.arange(order.size, 0, -1) * values[order]))
    return adjusted


def cliffs_delta(a: Float64[np.ndarray, " m"], b: Float64[np.ndarray, " n"]) -> float:
    """Return the share of pairs in which `a` is above `b` minus the share in which it is below: -1 to 1."""
    ordered = np.sort(b)
    above = np.searchsorted(ordered, a, side="left").sum()
    below = b.size * a.size - np.searchsorted(ordered, a, side="right").sum()
    return float((above - below) / (a.size * b.size))


def median_permutation(
    pairs: Sequence[tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " n"]]],
    draws: int,
    rng: np.random.Generator,
) -> Float64[np.ndarray, " pair"]:
    """Return the two-sided p of each pair's difference of medians, over random divisions of its pooled ratings.

    By BS.1534-3, attachment 3, p is the share of divisions whose difference is at least the observed one. The
    observed division is counted too, so p is never zero and the test keeps its level (Phipson and Smyth 2010).
    Pairs of equal size share their random divisions.

    Parameters
    ----------
    pairs
        The single ratings of the two conditions of each pair.
    draws
        Number of random divisions.
    rng
        Source of the divisions.
    """
    pooled = [np.concatenate(pair) for pair in pairs]
    observed = [abs(np.median(a) - np.median(b)) for a, b in pairs]
    extreme = np.zeros(len(pairs))
    block = max(1, _MAX_NUMBERS // max((values.size for values in pooled), default=1))
    for start in range(0, draws, block):
        orders: dict[int, np.ndarray] = {}
        for k, values in enumerate(pooled):
            if values.size not in orders:
                numbers = np.arange(values.size, dtype=np.int32)
                orders[values.size] = rng.permuted(np.tile(numbers, (min(block, draws - start), 1)), axis=1)
            shuffled = values.astype(np.float32)[orders[values.size]]
            first = pairs[k][0].size
            gap = np.abs(np.median(shuffled[:, :first], axis=1) - np.median(shuffled[:, first:], axis=1))
            extreme[k] += np.sum(gap >= observed[k] - 1e-4)
    return (extreme + 1) / (draws + 1)


PAIR_COLUMNS = ("a", "b", "n", "difference", "ci_low", "ci_high", "dz", "cliffs_delta", "p_t", "p_w", "p_w_exact")


def compare_pairs(
    means: Float64[np.ndarray, "listener condition"],
    conditions: Sequence[str],
    margin: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Compare pairs of conditions on the listeners' means.

    Parameters
    ----------
    means
        Each listener's mean over the items; NaN if he or she did not rate the condition.
    conditions
        Names of the columns of `means`.
    margin
        Points within which two conditions count as equivalent; None leaves those tests out.
    pairs
        The pairs to compare; None for `every_pair`.

    Returns
    -------
    DataFrame
        ``a, b``; ``n`` listeners who rated both; ``difference`` (a - b) with its 95 % t interval; ``dz`` (mean
        over standard deviation of the differences); ``cliffs_delta``; three p with Holm's and Hochberg's
        adjustment over these pairs; and ``agree``, whether t and Wilcoxon decide alike at 5 % after Holm. With a
        `margin` also ``p_equivalent`` and ``p_non_inferior`` (a no worse than b by it), not adjusted.

    Notes
    -----
    ``p_t`` is Student's. ``p_w`` is Wilcoxon's by the normal approximation on the differences as computed, as R's
    ``wilcox.test(exact = FALSE, correct = FALSE)`` gives it. Means over items carry rounding errors that break
    ties in the scores; ``p_w_exact`` treats these ties as ties and enumerates the distribution for up to
    `MAX_EXACT` listeners. It is the one to be quoted.
    """
    rows, margin_tests = [], []
    for first, second in every_pair(conditions)[0] if pairs is None else pairs:
        i, j = conditions.index(first), conditions.index(second)
        both = ~np.isnan(means[:, [i, j]]).any(axis=1)
        a, b = means[both, i], means[both, j]
        difference = np.round(a - b, 9)  # removes rounding errors, so that ties are ties
        interval = t_interval(difference)
        sd = difference.std(ddof=1) if difference.size > 1 else 0.0
        rows.append({
            "a": first, "b": second, "n": int(both.sum()),
            "difference": interval.mean, "ci_low": interval.low, "ci_high": interval.high,
            "dz": interval.mean / sd if sd > 1e-12 else np.nan,
            "cliffs_delta": cliffs_delta(np.round(a, 9), np.round(b, 9)) if a.size else np.nan,
            "p_t": t_test(difference)[1], "p_w": wilcoxon(a - b, max_exact=0)[1],
            "p_w_exact": wilcoxon(difference)[1],
        })  # fmt: skip
        if margin is not None:
            margin_tests.append((equivalent(difference, margin), non_inferior(difference, margin)))
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    for test in ("t", "w", "w_exact"):
        table[f"p_{test}_holm"] = holm(table[f"p_{test}"])
        table[f"p_{test}_hochberg"] = hochberg(table[f"p_{test}"])
    if margin is not None:
        table[["p_equivalent", "p_non_inferior"]] = np.array(margin_tests).reshape(-1, 2)
    table["agree"] = (table["p_t_holm"] < 0.05) == (table["p_w_exact_holm"] < 0.05)
    return table


def permute_pairs(table: pd.DataFrame, pairs: pd.DataFrame, draws: int, seed: int) -> Float64[np.ndarray, " pair"]:
    """Return p of `median_permutation` for every row ``a, b`` of a table of pairs.

    Parameters
    ----------
    table
        Tidy table of ratings.
    pairs
        As `compare_pairs` returns it.
    """
    scores = {str(c): group.to_numpy(float) for c, group in table.groupby("condition")["score"]}
    pooled = [(scores[a], scores[b]) for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    return median_permutation(pooled, draws, np.random.Generator(np.random.Philox(seed)))


def decide(pairs: pd.DataFrame, test: str, correction: str, alpha: float) -> pd.DataFrame:
    """Add the decisions by one test to a table of pairs.

    Parameters
    ----------
    pairs
        As `compare_pairs` returns it; for ``permutation`` with a column ``p_permutation``.
    test
        ``t``, ``wilcoxon`` or ``permutation``.
    correction
        ``holm``, ``hochberg`` or ``none``, over these pairs.
    alpha
        Level of significance.

    Returns
    -------
    DataFrame
        `pairs` with ``p`` of the test, ``p_adjusted`` and ``different`` (``p_adjusted < alpha``).
    """
    p = pairs[{"t": "p_t", "wilcoxon": "p_w_exact", "permutation": "p_permutation"}[test]].to_numpy(float)
    adjusted = {"holm": holm, "hochberg": hochberg, "none": lambda p: p}[correction](p)
    return pairs.assign(p=p, p_adjusted=adjusted, different=adjusted < alpha)
