"""Comparisons of conditions that the same listeners rated: parametric, by ranks, and by permutation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import special

from analysis.ratings.cells import Cells
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.interval import Estimate, mean_estimate
from analysis.statistics.intervals import means_over_items

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


def non_inferior(difference: Estimate, margin: float) -> float:
    """Return the one-sided p for the claim that a mean difference is above ``-margin``."""
    return difference.p_above(-margin)


def equivalent(difference: Estimate, margin: float) -> float:
    """Return p for the claim that a mean difference lies between ``-margin`` and ``margin``.

    This is the larger p of two one-sided t tests (Schuirmann 1987). A claim of transparency needs this test: a
    difference that is not significant proves nothing.
    """
    return max(difference.p_above(-margin), replace(difference, value=-difference.value).p_above(-margin))


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


def sign_flip(
    differences: Float64[np.ndarray, "listener pair"], draws: int, seed: int
) -> Float64[np.ndarray, " pair"]:
    """Return the two-sided p of each mean difference over random signs of the listeners' differences.

    Under the hypothesis that a listener's ratings of two conditions can be exchanged, his or her difference is
    as likely as its negative. p is the share of sign patterns whose mean is at least as far from 0 as the
    observed one: over all patterns for up to `MAX_EXACT` listeners, else over `draws` random ones and the
    observed one.

    Parameters
    ----------
    differences
        Each listener's mean difference; NaN where there is none. A pair without any has p NaN.
    draws
        Number of random patterns.
    seed
        The same seed gives the same patterns, which all pairs share.
    """
    listeners, pairs = differences.shape
    filled = np.nan_to_num(differences)
    observed = np.abs(filled.sum(axis=0)) - 1e-9
    rng = np.random.Generator(np.random.Philox(seed))
    exact = listeners <= MAX_EXACT
    count = 2 ** max(listeners - 1, 0) if exact else draws  # a pattern and its negative have one absolute mean
    extreme = np.zeros(pairs)
    block = max(1, _MAX_NUMBERS // max(pairs, listeners, 1))
    for start in range(0, count, block):
        size = min(block, count - start)
        if exact:
            bits = (np.arange(start, start + size)[:, None] >> np.arange(listeners)) & 1
        else:
            bits = rng.integers(0, 2, (size, listeners), dtype=np.int8)
        extreme += np.sum(np.abs((1.0 - 2.0 * bits) @ filled) >= observed, axis=0)
    p = extreme / count if exact else (extreme + 1) / (count + 1)
    return np.where(np.isnan(differences).all(axis=0), np.nan, p)


def smallest_p(listeners: int) -> float:
    """Return the smallest p that exact signed ranks or sign flips of this many listeners can attain."""
    return 2.0 ** (1 - listeners) if listeners else 1.0


def listeners_for(comparisons: int, alpha: float = 0.05) -> int:
    """Return how many listeners exact signed ranks or sign flips need to reject after Holm over `comparisons`."""
    return next(n for n in range(1, 100) if comparisons * smallest_p(n) < alpha)


PAIR_COLUMNS = (
    "a", "b", "n", "difference", "ci_low", "ci_high", "dz", "cliffs_delta", "p_t", "p_w", "p_w_exact", "cells",
    "p_sign_flip", "p_crossed", "df_crossed", "p", "ci_low_adjusted", "ci_high_adjusted",
)  # fmt: skip

SIGN_FLIPS = 20_000
"""Sign patterns that are drawn where they are too many to be enumerated."""

MAX_FITTED_PAIRS = 500
"""Largest number of pairs that are fitted with random items in an incomplete design if this is not the claim."""


def compare_pairs(
    scores: Float64[np.ndarray, "listener item condition"],
    conditions: Sequence[str],
    margin: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    claim: str = "items",
    seed: int = 1,
) -> pd.DataFrame:
    """Compare pairs of conditions by their differences within listener and item.

    Only cells in which a listener rated an item under both conditions are used, so no pair compares ratings of
    different items.

    Parameters
    ----------
    scores
        The cells of the design; NaN where one was not rated.
    conditions
        Names of the conditions.
    margin
        Points within which two conditions count as equivalent; None leaves those tests out.
    pairs
        The pairs to compare; None for `every_pair`.
    claim
        ``items``: the result is to hold for other listeners and these items (t test of the listeners' mean
        differences). ``material``: for other items of their kind too (`crossed_mean` of the differences).
    seed
        Seed of the random signs.

    Returns
    -------
    DataFrame
        ``a, b``; ``n`` listeners who rated both, in ``cells`` cells; ``difference`` (a - b) with its 95 %
        interval by the claim; ``dz`` (mean over standard deviation of the listeners' mean differences);
        ``cliffs_delta``; p by four tests of these items (``p_t, p_w, p_w_exact, p_sign_flip``) and one of such
        material (``p_crossed`` with ``df_crossed``), each with Holm's and Hochberg's adjustment over these
        pairs; ``agree``, whether t and Wilcoxon decide alike at 5 % after Holm; ``claim``; ``p`` and
        ``p_adjusted`` (Holm) of the claim's test; and ``ci_low_adjusted, ci_high_adjusted``, the claim's
        intervals that all together hold at 95 % (Bonferroni). With a `margin` also ``p_equivalent`` and
        ``p_non_inferior`` (a no worse than b by it) with Holm's adjustment.

    Notes
    -----
    ``p_t`` is Student's. ``p_w`` is Wilcoxon's by the normal approximation on the differences as computed, as R's
    ``wilcox.test(exact = FALSE, correct = FALSE)`` gives it. Means over items carry rounding errors that break
    ties in the scores; ``p_w_exact`` treats these ties as ties and enumerates the distribution for up to
    `MAX_EXACT` listeners. It is the one to be quoted.
    """
    chosen = every_pair(conditions)[0] if pairs is None else list(pairs)
    complete = not np.isnan(scores).any()
    rows, margin_tests, of_listeners = [], [], []
    for first, second in chosen:
        a, b = scores[:, :, conditions.index(first)], scores[:, :, conditions.index(second)]
        within = a - b
        both = ~np.isnan(within)
        of_a, of_b = (means_over_items(np.where(both, values, np.nan)) for values in (a, b))
        rated = both.any(axis=1)
        raw = (of_a - of_b)[rated]
        difference = np.round(raw, 9)  # removes rounding errors, so that ties are ties
        listeners = mean_estimate(difference)
        if complete or claim == "material" or len(chosen) <= MAX_FITTED_PAIRS:
            crossed = crossed_mean(within)
        else:
            crossed = Estimate(np.nan, np.nan, np.nan)
        estimate = crossed if claim == "material" else listeners
        interval, adjusted = estimate.interval(), estimate.interval(1 - 0.05 / len(chosen))
        sd = difference.std(ddof=1) if difference.size > 1 else 0.0
        rows.append((
            first, second, int(rated.sum()), interval.mean, interval.low, interval.high,
            listeners.value / sd if sd > 1e-12 else np.nan,
            cliffs_delta(np.round(of_a[rated], 9), np.round(of_b[rated], 9)) if rated.any() else np.nan,
            listeners.p, wilcoxon(raw, max_exact=0)[1], wilcoxon(difference)[1], int(both.sum()), np.nan,
            crossed.p, crossed.df, estimate.p, adjusted.low, adjusted.high,
        ))  # fmt: skip
        of_listeners.append(np.round(of_a - of_b, 9))
        margin_tests.append((equivalent(estimate, margin), non_inferior(estimate, margin)) if margin else ())
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    if chosen:
        table["p_sign_flip"] = sign_flip(np.array(of_listeners).T, SIGN_FLIPS, seed)
    for test in ("t", "w", "w_exact", "sign_flip", "crossed"):
        table[f"p_{test}_holm"] = holm(table[f"p_{test}"])
        table[f"p_{test}_hochberg"] = hochberg(table[f"p_{test}"])
    if margin is not None:
        table[["p_equivalent", "p_non_inferior"]] = np.array(margin_tests).reshape(-1, 2)
        for test in ("equivalent", "non_inferior"):
            table[f"p_{test}_holm"] = holm(table[f"p_{test}"])
    table["agree"] = (table["p_t_holm"] < 0.05) == (table["p_w_exact_holm"] < 0.05)
    return table.assign(claim=claim, p_adjusted=holm(table["p"]))


PERMUTATION_REMARK = (
    "the permutation test of BS.1534-3, attachment 3, takes all ratings as exchangeable, those of one listener "
    "too: with several items it rejects true hypotheses in 10 to 13 % of tests at 5 %, in a family in 17 to 19 %; "
    "the sign-flip test within listeners keeps its level"
)
"""What has to be said wherever p of `median_permutation` is used."""


def permute_pairs(
    table: pd.DataFrame, cube: Cells, pairs: pd.DataFrame, draws: int, seed: int
) -> Float64[np.ndarray, " pair"]:
    """Return p of `median_permutation` for every row ``a, b`` of a table of pairs.

    Parameters
    ----------
    table
        Tidy table of ratings.
    cube
        The same ratings as an array; of an incomplete design the ratings of listeners and items with both
        conditions are used.
    pairs
        As `compare_pairs` returns it.
    draws, seed
        Number of random divisions, and their seed.
    """
    listener, item = (
        pd.Index(names).get_indexer(pd.Index(table[column]))
        for names, column in ((cube.listeners, "listener"), (cube.items, "item"))
    )
    rated = ~np.isnan(cube.scores)
    score, condition = table["score"].to_numpy(float), table["condition"].to_numpy()
    pooled = []
    for a, b in zip(pairs["a"], pairs["b"], strict=True):
        both = rated[:, :, cube.conditions.index(a)] & rated[:, :, cube.conditions.index(b)]
        used = both[listener, item]
        pooled.append((score[used & (condition == a)], score[used & (condition == b)]))
    possible = np.array([first.size > 0 for first, _ in pooled], dtype=bool)
    p = np.full(len(pooled), np.nan)
    chosen = [pair for pair, can in zip(pooled, possible, strict=True) if can]
    p[possible] = median_permutation(chosen, draws, np.random.Generator(np.random.Philox(seed)))
    return p


TEST_COLUMNS = {"t": "p_t", "wilcoxon": "p_w_exact", "sign-flip": "p_sign_flip", "crossed": "p_crossed",
                "permutation": "p_permutation"}  # fmt: skip
"""Test of a plan -> its column in a table of pairs."""


def decide(pairs: pd.DataFrame, test: str, correction: str, alpha: float) -> pd.DataFrame:
    """Add the decisions by one test to a table of pairs.

    Parameters
    ----------
    pairs
        As `compare_pairs` returns it; for ``permutation`` with a column ``p_permutation``.
    test
        One of `TEST_COLUMNS`.
    correction
        ``holm``, ``hochberg`` or ``none``, over these pairs.
    alpha
        Level of significance.

    Returns
    -------
    DataFrame
        `pairs` with ``p`` of the test, ``p_adjusted`` and ``different`` (``p_adjusted < alpha``).
    """
    p = pairs[TEST_COLUMNS[test]].to_numpy(float)
    adjusted = {"holm": holm, "hochberg": hochberg, "none": lambda p: p}[correction](p)
    return pairs.assign(p=p, p_adjusted=adjusted, different=adjusted < alpha)
