"""Comparisons of conditions rated by the same listeners: parametric, by ranks, and by permutation."""

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

_BLOCK = 2_000_000
"""Numbers held at a time while permuting."""

EXACT_UP_TO = 15
"""Number of differences up to which Wilcoxon's distribution is counted out rather than approximated."""


def midranks(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Ranks from 1; equal values share the mean of their ranks."""
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
    """Test equal ranks of the conditions within listeners; rows must be complete."""
    n, k = scores.shape
    ranks = np.array([midranks(row) for row in scores])
    expected = (k + 1) / 2
    spread = np.sum((ranks - expected) ** 2)  # n k (k^2 - 1) / 12 less the correction for ties
    if spread == 0:
        return Friedman(0.0, k - 1, 1.0, 0.0)
    chi2 = float(n * n * (k - 1) * np.sum((ranks.mean(axis=0) - expected) ** 2) / spread)
    return Friedman(chi2, k - 1, float(special.chdtrc(k - 1, chi2)), chi2 / (n * (k - 1)))


def t_test(difference: Float64[np.ndarray, " listener"]) -> tuple[float, float]:
    """Student's t and two-sided p of paired differences; p is NaN for fewer than 2, and for equal ones."""
    n = difference.size
    deviation = difference.std(ddof=1) if n > 1 else 0.0
    if deviation <= 1e-12:
        return float("nan"), float("nan")
    t = difference.mean() / (deviation / np.sqrt(n))
    return float(t), float(2 * special.stdtr(n - 1, -abs(t)))


def non_inferior(difference: Float64[np.ndarray, " listener"], margin: float) -> float:
    """One-sided p of the claim that the mean of paired differences is above ``-margin``."""
    return _one_sided(difference + margin)


def equivalent(difference: Float64[np.ndarray, " listener"], margin: float) -> float:
    """Return p of the claim that the mean of paired differences lies within ``-margin`` to ``margin``.

    Two one-sided t tests (Schuirmann 1987): the larger of their p. A transparency claim needs this test; a
    difference that is not significant proves nothing.
    """
    return max(_one_sided(difference + margin), _one_sided(margin - difference))


def _one_sided(difference: Float64[np.ndarray, " listener"]) -> float:
    n = difference.size
    deviation = difference.std(ddof=1) if n > 1 else 0.0
    if deviation <= 1e-12:
        return float("nan")
    return float(special.stdtr(n - 1, -difference.mean() / (deviation / np.sqrt(n))))


def wilcoxon(difference: Float64[np.ndarray, " listener"], exact_up_to: int = EXACT_UP_TO) -> tuple[float, float]:
    """Signed-rank statistic (sum of positive ranks) and two-sided p; zero differences are left out.

    Up to `exact_up_to` differences the distribution over all signs is counted, ties included; above, the
    normal approximation with correction for ties and without one for continuity, as R's
    ``wilcox.test(exact = FALSE, correct = FALSE)``.
    """
    d = difference[difference != 0]
    n = d.size
    if n == 0:
        return 0.0, 1.0
    ranks = midranks(np.abs(d))
    statistic = float(ranks[d > 0].sum())
    if n <= exact_up_to:
        whole = np.rint(2 * ranks).astype(int)  # midranks are multiples of one half
        ways = np.zeros(whole.sum() + 1)
        ways[0] = 1.0
        for rank in whole:
            ways[rank:] = ways[rank:] + ways[: ways.size - rank]
        cumulative = np.cumsum(ways) / 2.0**n
        lower = min(2 * statistic, whole.sum() - 2 * statistic)
        return statistic, float(min(1.0, 2 * cumulative[round(lower)]))
    variance = np.sum(ranks**2) / 4  # n (n+1) (2n+1) / 24 less the correction for ties
    z = (statistic - ranks.sum() / 2) / np.sqrt(variance)
    return statistic, float(2 * special.ndtr(-abs(z)))


def holm(p: ArrayLike) -> Float64[np.ndarray, " test"]:
    """Holm's step-down adjustment: ``max over smaller p of (m - rank + 1) p``; NaN is passed over."""
    return _stepwise(p, np.maximum.accumulate)


def hochberg(p: ArrayLike) -> Float64[np.ndarray, " test"]:
    """Hochberg's step-up adjustment, which BS.1534-3 names: ``min over larger p of (m - rank + 1) p``."""
    return _stepwise(p, lambda scaled: np.minimum.accumulate(scaled[::-1])[::-1])


def _stepwise(p: ArrayLike, accumulate: Callable[[np.ndarray], np.ndarray]) -> Float64[np.ndarray, " test"]:
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.size, np.nan)
    valid = np.flatnonzero(~np.isnan(values))
    order = valid[np.argsort(values[valid], kind="stable")]
    adjusted[order] = np.minimum(1.0, accumulate(np.arange(order.size, 0, -1) * values[order]))
    return adjusted


def cliffs_delta(a: Float64[np.ndarray, " m"], b: Float64[np.ndarray, " n"]) -> float:
    """Share of pairs in which `a` is above `b` less the share in which it is below: -1 to 1."""
    ordered = np.sort(b)
    above = np.searchsorted(ordered, a, side="left").sum()
    below = b.size * a.size - np.searchsorted(ordered, a, side="right").sum()
    return float((above - below) / (a.size * b.size))


def decide(pairs: pd.DataFrame, test: str, correction: str, alpha: float) -> pd.DataFrame:
    """Add what a plan decides by: ``p`` of its test, ``p_adjusted`` over these pairs, ``different`` at `alpha`."""
    p = pairs[{"t": "p_t", "wilcoxon": "p_w_exact", "permutation": "p_permutation"}[test]].to_numpy(float)
    adjusted = {"holm": holm, "hochberg": hochberg, "none": lambda p: p}[correction](p)
    return pairs.assign(p=p, p_adjusted=adjusted, different=adjusted < alpha)


def median_permutation(
    pairs: Sequence[tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " n"]]],
    draws: int,
    rng: np.random.Generator,
) -> Float64[np.ndarray, " pair"]:
    """Two-sided p of each pair's difference of medians over random divisions of its pooled ratings.

    BS.1534-3, attachment 3: the share of draws whose difference is as large as the observed one. The observed
    division counts as one of them, so that p is never zero and the test keeps its level (Phipson and Smyth
    2010). Pairs of equal size share their divisions.
    """
    pooled = [np.concatenate(pair) for pair in pairs]
    observed = [abs(np.median(a) - np.median(b)) for a, b in pairs]
    extreme = np.zeros(len(pairs))
    block = max(1, _BLOCK // max((values.size for values in pooled), default=1))
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
    """Compare pairs of conditions on the listeners' means: those given, or all.

    Columns: ``a, b, n`` listeners who rated both, ``difference`` (a - b) with its 95 % t interval, ``dz``
    (mean over standard deviation of the differences), ``cliffs_delta``, three p with Holm's and Hochberg's
    adjustment over these pairs, and ``agree``: t and Wilcoxon decide alike at 5 % after Holm. With a `margin`
    (points) also ``p_equivalent`` and ``p_non_inferior`` (a no worse than b by it), not adjusted.

    ``p_t`` is Student's. ``p_w`` is Wilcoxon's by the normal approximation, on the differences as they were
    computed: what R's ``wilcox.test(exact = FALSE, correct = FALSE)`` gives. Means over items carry rounding
    errors that break ties which the scores have; ``p_w_exact`` ranks these ties as ties and counts the
    distribution out up to `EXACT_UP_TO` listeners. It is the one that is quoted.
    """
    rows, of_margin = [], []
    for first, second in combinations(conditions, 2) if pairs is None else pairs:
        i, j = conditions.index(first), conditions.index(second)
        both = ~np.isnan(means[:, [i, j]]).any(axis=1)
        a, b = means[both, i], means[both, j]
        difference = np.round(a - b, 9)  # without the rounding errors, so that ties are ties
        interval = t_interval(difference)
        sd = difference.std(ddof=1) if difference.size > 1 else 0.0
        rows.append({
            "a": first, "b": second, "n": int(both.sum()),
            "difference": interval.mean, "ci_low": interval.low, "ci_high": interval.high,
            "dz": interval.mean / sd if sd > 1e-12 else np.nan,
            "cliffs_delta": cliffs_delta(np.round(a, 9), np.round(b, 9)) if a.size else np.nan,
            "p_t": t_test(difference)[1], "p_w": wilcoxon(a - b, exact_up_to=0)[1],
            "p_w_exact": wilcoxon(difference)[1],
        })  # fmt: skip
        if margin is not None:
            of_margin.append((equivalent(difference, margin), non_inferior(difference, margin)))
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    for track in ("t", "w", "w_exact"):
        table[f"p_{track}_holm"] = holm(table[f"p_{track}"])
        table[f"p_{track}_hochberg"] = hochberg(table[f"p_{track}"])
    if margin is not None:
        table[["p_equivalent", "p_non_inferior"]] = np.array(of_margin).reshape(-1, 2)
    table["agree"] = (table["p_t_holm"] < 0.05) == (table["p_w_exact_holm"] < 0.05)
    return table
