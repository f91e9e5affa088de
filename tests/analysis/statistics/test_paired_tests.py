"""Paired comparisons: equal to R and scipy, exact distributions by enumeration, levels by simulation."""

import csv
import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.ratings.cells import cells
from analysis.statistics import paired_tests as paired
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.interval import mean_estimate
from analysis.statistics.intervals import means_over_items

R = {"rel": 1e-6}


@pytest.fixture(scope="module")
def r_pairs(reference_ratings):
    with open(reference_ratings / "expected" / "A_pairs.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_equal_r(r_pairs, cube):
    found = paired.compare_pairs(cube.scores, cube.conditions).set_index(["a", "b"])
    assert len(r_pairs) == len(found) == 28
    for row in r_pairs:
        ours = found.loc[(row["a"], row["b"])]
        assert ours["difference"] == pytest.approx(float(row["diff"]), **R)
        for name in ("dz", "p_t", "p_t_holm", "p_t_hochberg"):
            assert ours[name] == pytest.approx(float(row[name]), **R), (row["a"], row["b"], name)


def test_wilcoxon_equals_r(r_pairs, cube):
    """R ranked unrounded differences of means, where rounding errors break ties; ``p_w_exact`` ranks real ties."""
    means = dict(zip(cube.conditions, means_over_items(cube.scores).T, strict=True))
    table = paired.compare_pairs(cube.scores, cube.conditions).set_index(["a", "b"])
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
    assert np.isnan(mean_estimate(np.zeros(5)).p)
    assert np.isnan(mean_estimate(np.ones(1)).p)


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
    table = paired.compare_pairs(means[:, None, :], "abc").set_index(["a", "b"])
    assert table["n"].tolist() == [3, 2, 2]
    assert table.loc[("a", "b"), "difference"] == pytest.approx(-7 / 3)
    assert table.loc[("b", "c"), "difference"] == pytest.approx(2.5)


def test_equivalence_is_two_one_sided_t_tests():
    d = np.random.default_rng(2).normal(0.5, 2, 14)
    low = stats.ttest_1samp(d, -3, alternative="greater").pvalue
    high = stats.ttest_1samp(d, 3, alternative="less").pvalue
    assert paired.equivalent(mean_estimate(d), 3) == pytest.approx(max(low, high))
    assert paired.non_inferior(mean_estimate(d), 3) == pytest.approx(low)
    assert np.isnan(paired.equivalent(mean_estimate(np.ones(5)), 3))


def test_pairs_with_a_margin():
    means = np.random.default_rng(3).normal(50, 5, (9, 2))
    row = paired.compare_pairs(means[:, None, :], "ab", margin=4.0).iloc[0]
    assert row["p_equivalent"] == pytest.approx(paired.equivalent(mean_estimate(means[:, 0] - means[:, 1]), 4.0))
    assert row["p_non_inferior"] == pytest.approx(
        paired.non_inferior(mean_estimate(means[:, 0] - means[:, 1]), 4.0)
    )


def test_pairs_are_bounded_with_a_word():
    names = [f"c{n:03d}" for n in range(300)]
    pairs, remark = paired.every_pair(names[:100])
    assert (len(pairs), pairs[0], remark) == (4950, ("c000", "c001"), "")
    pairs, remark = paired.every_pair(names)
    assert pairs == []
    assert remark.startswith("300 conditions make 44850 pairs, more than 5000, so none is compared")
    table = paired.compare_pairs(np.random.default_rng(1).normal(50, 5, (3, 1, 300)), names, margin=5)
    assert len(table) == 0
    assert {"p_t_holm", "p_equivalent", "agree"} <= set(table.columns)
    assert (
        len(
            paired.compare_pairs(
                np.random.default_rng(1).normal(50, 5, (3, 1, 300)), names, pairs=[("c000", "c299")]
            )
        )
        == 1
    )


def incomplete(rng, listeners=10, items=10):
    """Two identical systems; the second is rated on the 5 hardest items only."""
    hard = np.linspace(20, -20, items)[None, :, None]
    scores = 50 + hard + rng.normal(0, 5, (listeners, 1, 1)) + rng.normal(0, 6, (listeners, items, 2))
    scores[:, : items // 2, 1] = np.nan
    return scores


def test_identical_systems_rated_on_different_items_differ_at_the_level_of_the_test():
    """Listener means over whatever was rated differ in nearly all of these simulations."""
    rng = np.random.default_rng(1)
    rejected, by_means, trials = np.zeros(3), 0, 400
    for _ in range(trials):
        scores = incomplete(rng)
        row = paired.compare_pairs(scores, "ab").iloc[0]
        rejected += [row[name] < 0.05 for name in ("p_t", "p_w_exact", "p_sign_flip")]
        by_means += mean_estimate(np.subtract(*means_over_items(scores).T)).p < 0.05
    assert np.all(rejected / trials < 0.08), rejected / trials
    assert by_means / trials > 0.7


def test_only_cells_with_both_conditions_are_compared():
    scores = np.full((3, 3, 2), np.nan)
    scores[:, 0] = [[10, 4], [20, 15], [33, 30]]
    scores[:, 1, 0] = 99.0  # rated under one condition only
    scores[0, 2] = [50, 40]
    row = paired.compare_pairs(scores, "ab").iloc[0]
    assert (row["n"], row["cells"]) == (3, 4)
    differences = [(6 + 10) / 2, 5, 3]
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert row["p_t"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_sign_flips_are_scipys_permutations_of_samples():
    rng = np.random.default_rng(5)
    exact = rng.normal(1, 2, (8, 3))
    for p, d in zip(paired.sign_flip(exact, 10, 1), exact.T, strict=True):
        expected = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert p == pytest.approx(expected.pvalue, rel=1e-9)
    many = rng.normal(0.4, 1, (30, 1))
    z = stats.norm.sf(abs(many.sum()) / np.sqrt(np.sum(many**2))) * 2
    assert paired.sign_flip(many, 20_000, 1)[0] == pytest.approx(z, abs=0.012)
    assert paired.sign_flip(np.ones((8, 1)), 10, 1)[0] == pytest.approx(paired.smallest_p(8)) == 2 / 2**8
    missing = np.column_stack([exact[:, 0], np.full(8, np.nan)])
    missing[3, 0] = np.nan
    p = paired.sign_flip(missing, 10, 1)
    kept = np.delete(exact[:, 0], 3)
    expected = stats.permutation_test((kept,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert p[0] == pytest.approx(expected.pvalue, rel=1e-9)
    assert np.isnan(p[1])


@pytest.mark.parametrize(("comparisons", "listeners"), [(1, 6), (7, 9), (28, 11)])
def test_panels_that_ranks_need(comparisons, listeners):
    """8 listeners attain .0078, and 7 times that is above .05."""
    assert paired.listeners_for(comparisons) == listeners
    d = np.arange(1.0, listeners + 1)
    assert paired.wilcoxon(d)[1] == paired.smallest_p(listeners)
    assert comparisons * paired.smallest_p(listeners) < 0.05 <= comparisons * paired.smallest_p(listeners - 1)


def test_the_claim_chooses_interval_and_test():
    scores = np.random.default_rng(6).normal(50, 9, (7, 5, 3)) + np.random.default_rng(7).normal(0, 9, (1, 5, 3))
    items, material = (paired.compare_pairs(scores, "abc", margin=20, claim=c) for c in ("items", "material"))
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        within = scores[:, :, i] - scores[:, :, j]
        for table, estimate in ((items, mean_estimate(within.mean(axis=1))), (material, crossed_mean(within))):
            row = table.iloc[k]
            assert [row["ci_low"], row["ci_high"]] == pytest.approx(
                [estimate.interval().low, estimate.interval().high]
            )
            family = estimate.interval(1 - 0.05 / 3)
            assert [row["ci_low_adjusted"], row["ci_high_adjusted"]] == pytest.approx([family.low, family.high])
            assert row["p"] == pytest.approx(estimate.p)
            assert row["p_equivalent"] == pytest.approx(paired.equivalent(estimate, 20))
    assert items["p"].tolist() == items["p_t"].tolist()
    assert material["p"].tolist() == items["p_crossed"].tolist()
    assert material["p_adjusted"].tolist() == paired.holm(items["p_crossed"]).tolist()
    assert set(material["claim"]) == {"material"}
    assert items["p_equivalent_holm"].tolist() == paired.holm(items["p_equivalent"]).tolist()


def test_permutation_uses_ratings_of_cells_with_both():
    table = pd.DataFrame(
        [
            ("a", "x", "c", 1.0),
            ("a", "x", "d", 2.0),
            ("b", "x", "c", 3.0),
            ("b", "x", "d", 4.0),
            ("b", "y", "d", 99.0),
        ],
        columns=["listener", "item", "condition", "score"],
    )
    pairs = pd.DataFrame([("c", "d")], columns=["a", "b"])
    with_gap = paired.permute_pairs(table, cells(table), pairs, 500, 1)
    without = table[table["item"] == "x"]
    assert with_gap == paired.permute_pairs(without, cells(without), pairs, 500, 1)
