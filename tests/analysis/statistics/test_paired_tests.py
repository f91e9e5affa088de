"""Paired comparisons: equal to R and scipy, exact distributions by enumeration, levels by simulation."""

import csv
import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import paired_tests as paired
from analysis.statistics.intervals import means_over_items

R = {"rel": 1e-6}


@pytest.fixture(scope="module")
def r_pairs(reference_ratings):
    with open(reference_ratings / "expected" / "A_pairs.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_equal_r(r_pairs, cube):
    means = means_over_items(cube.scores)
    found = paired.compare_pairs(means, cube.conditions).set_index(["a", "b"])
    assert len(r_pairs) == len(found) == 28
    for row in r_pairs:
        ours = found.loc[(row["a"], row["b"])]
        assert ours["difference"] == pytest.approx(float(row["diff"]), **R)
        for name in ("dz", "p_t", "p_t_holm", "p_t_hochberg"):
            assert ours[name] == pytest.approx(float(row[name]), **R), (row["a"], row["b"], name)


def test_wilcoxon_equals_r(r_pairs, cube):
    """R ranked unrounded differences of means, where rounding errors break ties; ``p_w_exact`` ranks real ties."""
    means = dict(zip(cube.conditions, means_over_items(cube.scores).T, strict=True))
    table = paired.compare_pairs(means_over_items(cube.scores), cube.conditions).set_index(["a", "b"])
    for row in r_pairs:
        ours = table.loc[(row["a"], row["b"])]
        assert [ours["p_w"], ours["p_w_holm"]] == pytest.approx([float(row["p_w"]), float(row["p_w_holm"])], **R)
        rounded = stats.wilcoxon((means[row["a"]] - means[row["b"]]).round(9), method="asymptotic")
        assert ours["p_w_exact"] == pytest.approx(rounded.pvalue, rel=1e-9)


def test_friedman_equals_r(reference_ratings, cube):
    expected = json.loads((reference_ratings / "expected" / "A_tests.json").read_text())["friedman(chi2,df,p)"]
    found = paired.friedman(means_over_items(cube.scores))
    assert [found.chi2, found.df, found.p] == pytest.approx(expected, **R)
    assert found.kendall_w == pytest.approx(expected[0] / (22 * 7))


@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=3, max_size=12))
def test_friedman_is_scipys(rows):
    scores = np.array(rows, float)
    found = paired.friedman(scores)
    if any(len(set(row)) > 1 for row in rows):
        theirs = stats.friedmanchisquare(*scores.T)
        assert (found.chi2, found.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9, abs=1e-12)
    else:
        assert (found.chi2, found.df, found.p, found.kendall_w) == (0, 3, 1, 0)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_exact_wilcoxon_by_enumeration_of_all_signs(values):
    difference = np.array(values, float)
    statistic, p = paired.wilcoxon(difference)
    ranks = stats.rankdata(np.abs(difference[difference != 0]))
    sums = [np.dot(signs, ranks) for signs in product([0, 1], repeat=ranks.size)]
    half = ranks.sum() / 2
    extreme = np.mean([abs(s - half) >= abs(statistic - half) - 1e-9 for s in sums])
    assert p == pytest.approx(extreme)


@given(st.lists(st.integers(-30, 30), min_size=25, max_size=60).filter(lambda v: sum(x != 0 for x in v) > 16))
def test_approximate_wilcoxon_is_scipys(values):
    difference = np.array(values, float)
    statistic, p = paired.wilcoxon(difference)
    theirs = stats.wilcoxon(difference, method="asymptotic", correction=False)
    assert p == pytest.approx(theirs.pvalue, rel=1e-9)
    ranks = stats.rankdata(np.abs(difference[difference != 0]))
    assert min(statistic, ranks.sum() - statistic) == theirs.statistic


def test_exact_and_approximate_wilcoxon_meet_at_the_change():
    n = paired.MAX_EXACT
    d = np.array([(-1) ** (i % 3 == 0) * (i + 1.0) for i in range(n + 1)])
    assert paired.wilcoxon(d[:n])[1] == pytest.approx(stats.wilcoxon(d[:n], method="exact").pvalue)
    assert paired.wilcoxon(d)[1] == pytest.approx(stats.wilcoxon(d, method="asymptotic").pvalue)


def test_no_difference_at_all():
    assert paired.wilcoxon(np.zeros(5)) == (0, 1)
    assert np.isnan(paired.t_test(np.zeros(5))[1])
    assert np.isnan(paired.t_test(np.ones(1))[1])


def test_adjustments_by_hand():
    p = [0.01, 0.04, 0.03, np.nan]
    assert paired.holm(p).tolist() == pytest.approx([0.03, 0.06, 0.06, np.nan], nan_ok=True)
    assert paired.hochberg(p).tolist() == pytest.approx([0.03, 0.04, 0.04, np.nan], nan_ok=True)
    assert paired.holm([0.9, 0.8]).tolist() == [1, 1]
    assert paired.hochberg([0.9, 0.8]).tolist() == [0.9, 0.9]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjustments_keep_order_and_bounds(p):
    raw, holm, hochberg = np.array(p), paired.holm(p), paired.hochberg(p)
    order = np.argsort(raw, kind="stable")
    assert (np.diff(holm[order]) >= 0).all()
    assert (np.diff(hochberg[order]) >= 0).all()
    assert (raw <= hochberg).all()
    assert (hochberg <= holm + 1e-15).all()
    assert (holm <= np.minimum(1, len(p) * raw) + 1e-15).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_cliffs_delta_by_all_pairs(a, b):
    expected = np.mean([np.sign(x - y) for x in a for y in b])
    assert paired.cliffs_delta(np.array(a, float), np.array(b, float)) == pytest.approx(expected)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_midranks_are_scipys(values):
    np.testing.assert_array_equal(paired.midranks(np.array(values)), stats.rankdata(values))


def test_permutation_of_medians_by_enumeration():
    """All 70 divisions of 8 scores counted out."""
    from itertools import combinations

    a, b = np.array([1.0, 5, 6, 9]), np.array([4.0, 7, 12, 20])
    pooled = np.concatenate([a, b])
    gaps = []
    for chosen in combinations(range(8), 4):
        mask = np.isin(np.arange(8), chosen)
        gaps.append(abs(np.median(pooled[mask]) - np.median(pooled[~mask])))
    exact = np.mean(np.array(gaps) >= abs(np.median(a) - np.median(b)) - 1e-9)
    (p,) = paired.median_permutation([(a, b)], 40_000, np.random.default_rng(1))
    assert p == pytest.approx(exact, abs=0.01)


def test_permutation_never_gives_zero_and_pairs_of_any_size():
    rng = np.random.default_rng(1)
    pairs = [
        (np.linspace(0, 10, 20), np.linspace(50, 60, 20)),
        (np.zeros(5), np.zeros(9)),
        (np.arange(5.0), np.arange(9.0)),
    ]
    p = paired.median_permutation(pairs, 999, rng)
    assert p[0] == 1 / 1000  # no draw separates the groups as the ratings do
    assert p[1] == 1
    assert 0.05 < p[2] < 0.6


def test_pairs_use_listeners_who_rated_both():
    means = np.array([[1.0, 2.0, np.nan], [2.0, 4.0, 1.0], [3.0, 7.0, 5.0]])
    table = paired.compare_pairs(means, "abc").set_index(["a", "b"])
    assert table["n"].tolist() == [3, 2, 2]
    assert table.loc[("a", "b"), "difference"] == pytest.approx(-7 / 3)
    assert table.loc[("b", "c"), "difference"] == pytest.approx(2.5)


def test_equivalence_is_two_one_sided_t_tests():
    d = np.random.default_rng(2).normal(0.5, 2, 14)
    low = stats.ttest_1samp(d, -3, alternative="greater").pvalue
    high = stats.ttest_1samp(d, 3, alternative="less").pvalue
    assert paired.equivalent(d, 3) == pytest.approx(max(low, high))
    assert paired.non_inferior(d, 3) == pytest.approx(low)
    assert np.isnan(paired.equivalent(np.ones(5), 3))


def test_pairs_with_a_margin():
    means = np.random.default_rng(3).normal(50, 5, (9, 2))
    row = paired.compare_pairs(means, "ab", margin=4.0).iloc[0]
    assert row["p_equivalent"] == pytest.approx(paired.equivalent(means[:, 0] - means[:, 1], 4.0))
    assert row["p_non_inferior"] == pytest.approx(paired.non_inferior(means[:, 0] - means[:, 1], 4.0))


def test_pairs_are_bounded_with_a_word():
    names = [f"c{n:03d}" for n in range(300)]
    pairs, remark = paired.every_pair(names[:100])
    assert (len(pairs), pairs[0], remark) == (4950, ("c000", "c001"), "")
    pairs, remark = paired.every_pair(names)
    assert pairs == []
    assert remark.startswith("300 conditions make 44850 pairs, more than 5000, so none is compared")
    table = paired.compare_pairs(np.random.default_rng(1).normal(50, 5, (3, 300)), names, margin=5)
    assert len(table) == 0
    assert {"p_t_holm", "p_equivalent", "agree"} <= set(table.columns)
    assert (
        len(
            paired.compare_pairs(np.random.default_rng(1).normal(50, 5, (3, 300)), names, pairs=[("c000", "c299")])
        )
        == 1
    )
