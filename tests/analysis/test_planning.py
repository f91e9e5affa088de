"""Power, equivalence and coverage: R's numbers, simulation, and limits."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import paired_tests as paired
from analysis.statistics import power
from analysis.study import interval_coverage as coverage
from analysis.study.simulation import VARIANCES, linear_scores


@pytest.mark.parametrize(("listeners", "d"), [(8, 1.156), (12, 0.889), (16, 0.749), (20, 0.660), (30, 0.529)])
def test_detectable_difference_equals_r(listeners, d):
    """R: power.t.test(n, power = 0.8, type = "paired")."""
    assert power.detectable(listeners, 1.0, 0.8) == pytest.approx(d, abs=6e-4)
    assert power.t_power(listeners, 10 * d, 10.0) == pytest.approx(0.8, abs=1e-3)


def test_listeners_needed_equals_r():
    """R: power.t.test(delta = 1, power = 0.8, type = "paired") gives n = 9.938."""
    assert power.listeners_needed(lambda n: power.t_power(n, 1.0, 1.0), 0.8) == 10
    assert power.listeners_needed(lambda n: 0.1, 0.8) is None
    assert power.listeners_needed(lambda n: 0.9, 0.8) == 2


@pytest.mark.parametrize(("listeners", "margin"), [(12, 1.0), (25, 0.7), (10, 0.3)])
def test_powers_by_simulation(listeners, margin):
    rng = np.random.default_rng(1)
    draws = [rng.normal(size=listeners) for _ in range(4000)]
    for power_of, test in (
        (power.equivalence_power, paired.equivalent),
        (power.non_inferiority_power, paired.non_inferior),
    ):
        found = np.mean([test(d, margin) < 0.05 for d in draws])
        assert power_of(listeners, margin, 1.0) == pytest.approx(found, abs=0.025)


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


@pytest.fixture(scope="module")
def covered():
    return coverage.coverage(8, 8, 1200, 0, 1, VARIANCES)


def test_intervals_cover_what_they_claim(covered):
    for name, target in coverage.TARGETS.items():
        if name in covered and target != "neither":
            fixed, at_random, _ = covered[name]
            assert 0.93 <= (fixed if target == "items fixed" else at_random) <= 0.97, name


def test_interval_over_all_ratings_does_not_cover(covered):
    fixed, at_random, half_width = covered["paper (t, all ratings)"]
    assert fixed == pytest.approx(0.75, abs=0.04)
    assert at_random == pytest.approx(0.61, abs=0.04)
    assert half_width == pytest.approx(4.8, abs=0.2)


def test_interval_over_all_ratings_covers_where_they_are_independent():
    variances = dict.fromkeys(VARIANCES, 0.0) | {"residual": 100.0}
    fixed, at_random, _ = coverage.coverage(8, 8, 800, 0, 1, variances)["paper (t, all ratings)"]
    assert fixed == at_random
    assert fixed == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_bootstraps_cover_where_there_are_many_listeners_and_items():
    found = coverage.coverage(40, 30, 500, 150, 1, VARIANCES)
    for name in ("bootstrap of listeners", "bootstrap of listeners, BCa"):
        assert found[name][0] == pytest.approx(0.93, abs=0.03)
    assert found["bootstrap two-way"][1] == pytest.approx(0.945, abs=0.025)
    assert found["bootstrap of ratings"][0] < 0.6


def test_sd_of_items_is_that_of_simulated_differences():
    """Of a listener's means over 5 items, for the same listeners and items under two conditions."""
    rng = np.random.default_rng(4)
    scores = linear_scores(rng, [0.0, 10.0], 6000, 5, VARIANCES)
    difference = (scores[:, :, 1] - scores[:, :, 0]).mean(axis=1)
    components = {name.replace("_", ":"): value for name, value in VARIANCES.items()}
    assert power.sd_of_items(components, 5) == pytest.approx(difference.std(), rel=0.03)


def test_bootstraps_are_counted_too():
    found = coverage.coverage(4, 4, 20, 100, 1, VARIANCES)
    assert list(found) == list(coverage.TARGETS)
    assert found["bootstrap of ratings"][2] < found["bootstrap two-way"][2]
