"""Power, equivalence and coverage: R's numbers, simulation, and limits."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import paired_tests as paired
from analysis.statistics import power
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.interval import mean_estimate
from analysis.study.simulation import VARIANCES, linear_scores

COMPONENTS = {name.replace("_", ":"): value for name, value in VARIANCES.items()}


def t_power(listeners, difference, sd, alpha=0.05):
    return power.of_listeners(listeners, sd).difference_power(difference, alpha)


@pytest.mark.parametrize(("listeners", "d"), [(8, 1.156), (12, 0.889), (16, 0.749), (20, 0.660), (30, 0.529)])
def test_detectable_difference_equals_r(listeners, d):
    """R: power.t.test(n, power = 0.8, type = "paired")."""
    assert power.detectable(power.of_listeners(listeners, 1.0), 0.8) == pytest.approx(d, abs=6e-4)
    assert t_power(listeners, 10 * d, 10.0) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("listeners", "alpha"), [(2, 0.05), (6, 0.005), (25, 0.01)])
def test_power_of_t_is_noncentral_t(listeners, alpha):
    for d in (0.0, 0.4, 1.5):
        limit = stats.t.ppf(1 - alpha / 2, listeners - 1)
        shift = d * listeners**0.5
        expected = stats.nct.sf(limit, listeners - 1, shift) + stats.nct.cdf(-limit, listeners - 1, shift)
        assert t_power(listeners, d, 1.0, alpha) == pytest.approx(expected, abs=5e-4)


def test_listeners_needed_equals_r():
    """R: power.t.test(delta = 1, power = 0.8, type = "paired") gives n = 9.938."""
    assert power.listeners_needed(lambda n: t_power(n, 1.0, 1.0), 0.8) == 10
    assert power.listeners_needed(lambda n: 0.1, 0.8) is None
    assert power.listeners_needed(lambda n: 0.9, 0.8) == 2


@pytest.mark.parametrize(("listeners", "margin"), [(12, 1.0), (25, 0.7), (10, 0.3)])
def test_powers_by_simulation(listeners, margin):
    rng = np.random.default_rng(1)
    estimates = [mean_estimate(rng.normal(size=listeners)) for _ in range(10_000)]
    sampling = power.of_listeners(listeners, 1.0)
    for power_of, test in (
        (sampling.equivalence_power, paired.equivalent),
        (sampling.non_inferiority_power, paired.non_inferior),
    ):
        p = np.array([test(estimate, margin) for estimate in estimates])
        for alpha in (0.05, 0.05 / 6):  # alone, and in a family of six
            assert power_of(margin, alpha) == pytest.approx(np.mean(p < alpha), abs=0.015)


def t_tests(d):
    """Two-sided p of the means over the listeners, which are the first axis."""
    n = d.shape[0]
    return 2 * stats.t.sf(np.abs(d.mean(axis=0)) / (d.std(axis=0, ddof=1) / n**0.5), n - 1)


@pytest.mark.parametrize(("comparisons", "listeners", "d"), [(1, 10, 1.0), (10, 10, 1.3), (3, 16, 0.8)])
def test_power_after_holm_by_brute_force(comparisons, listeners, d):
    """One comparison of the family is truly different, the others find nothing but by chance."""
    rng = np.random.default_rng(2)
    differences = rng.normal(size=(listeners, 20_000, comparisons))
    differences[:, :, 0] += d
    found = np.mean([paired.holm(p)[0] < 0.05 for p in t_tests(differences)])
    alpha = power.alpha_of_one(0.05, comparisons, "holm")
    assert t_power(listeners, d, 1.0, alpha) == pytest.approx(found, abs=0.01)
    assert power.alpha_of_one(0.05, comparisons, "none") == 0.05


def test_power_of_one_system_among_others_is_at_least_that():
    """All 10 pairs of five systems, of which one differs: Holm over real pairs finds more than the bound."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 0.5**0.5, (9, 4000, 5))
    scores[:, :, 0] += 1.4
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    p = np.stack([t_tests(scores[:, :, i] - scores[:, :, j]) for i, j in pairs], axis=1)
    found = np.mean([paired.holm(row)[:4] < 0.05 for row in p])
    bound = t_power(9, 1.4, 1.0, power.alpha_of_one(0.05, 10, "holm"))
    assert bound < found < bound + 0.2


def test_power_with_listeners_lost_by_brute_force():
    rng = np.random.default_rng(4)
    left = rng.binomial(14, 0.8, 20_000)
    found = np.mean([n > 1 and t_tests(rng.normal(0.9, 1, (n, 1)))[0] < 0.05 for n in left])
    expected = power.after_loss(lambda n: t_power(n, 0.9, 1.0), 14, 0.2)
    assert expected == pytest.approx(found, abs=0.01)
    assert power.after_loss(lambda n: t_power(n, 0.9, 1.0), 14, 0.0) == t_power(14, 0.9, 1.0)


@pytest.mark.parametrize(("listeners", "items", "variances"), [
    (12, 8, VARIANCES),
    (8, 6, VARIANCES | {"item_condition": 3.0}),
    (20, 10, VARIANCES | {"listener_condition": 0.0}),
])  # fmt: skip
def test_power_with_random_items_by_brute_force(listeners, items, variances):
    rng = np.random.default_rng(5)
    components = {name.replace("_", ":"): value for name, value in variances.items()}
    sampling = power.of_listeners_and_items(listeners, items, components, items)
    alpha = 0.05
    for difference in (0.0, 2.5 * sampling.true_se):
        scores = (linear_scores(rng, [difference, 0.0], listeners, items, variances) for _ in range(8000))
        found = np.mean([crossed_mean(s[:, :, 0] - s[:, :, 1]).p < alpha for s in scores])
        assert sampling.difference_power(difference, alpha) == pytest.approx(found, abs=0.0125)


def test_power_of_balanced_incomplete_designs_by_brute_force():
    """Every listener rates 4 of 8 items, each item equally often; items fixed with an interaction of mean 0."""
    rng = np.random.default_rng(6)
    listeners, items, rated, trials = 16, 8, 4, 20_000
    components = COMPONENTS
    chosen = (np.arange(items) - np.arange(listeners)[:, None]) % items < rated
    assert set(chosen.sum(axis=0)) == {8}
    interaction = rng.normal(0, (2 * components["item:condition"]) ** 0.5, (trials, 1, items))
    interaction -= interaction.mean(axis=2, keepdims=True)
    d = 8 + interaction + rng.normal(0, (2 * components["listener:condition"]) ** 0.5, (trials, listeners, 1))
    d = d + rng.normal(0, (2 * components["residual"]) ** 0.5, (trials, listeners, items))
    means = (d * chosen).sum(axis=2) / rated
    found = np.mean(t_tests(means.T) < 0.05)
    sd, excess = power.sd_of_items(components, rated), power.excess_of_items(components, items, rated)
    assert power.of_listeners(listeners, sd, excess).difference_power(8) == pytest.approx(found, abs=0.01)


def test_power_of_incomplete_designs_with_random_items_by_brute_force():
    rng = np.random.default_rng(7)
    listeners, items, rated = 12, 8, 4
    chosen = (np.arange(items) - np.arange(listeners)[:, None]) % items < rated
    sampling = power.of_listeners_and_items(listeners, items, COMPONENTS, rated)
    found = 0
    for _ in range(250):
        scores = linear_scores(rng, [2.6 * sampling.true_se, 0.0], listeners, items, VARIANCES)
        found += crossed_mean(np.where(chosen, scores[:, :, 0] - scores[:, :, 1], np.nan)).p < 0.05
    assert sampling.difference_power(2.6 * sampling.true_se) == pytest.approx(found / 250, abs=0.07)


def test_sd_of_items_is_that_of_simulated_differences():
    """Of a listener's means over 5 items, for the same listeners and items under two conditions."""
    rng = np.random.default_rng(4)
    scores = linear_scores(rng, [0.0, 10.0], 6000, 5, VARIANCES)
    difference = (scores[:, :, 1] - scores[:, :, 0]).mean(axis=1)
    components = {name.replace("_", ":"): value for name, value in VARIANCES.items()}
    assert power.sd_of_items(components, 5) == pytest.approx(difference.std(), rel=0.03)
