"""P.1401's measures of a prediction: the mapping by brute force, the published test, the ceiling by simulation."""

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.statistics.prediction import (
    beyond_interval,
    dependent_correlations,
    monotone_mapping,
    noise_ceiling,
    rmse,
)


def brute_force(x, y, sign):
    """The constrained fit by sequential quadratic programming, its slope held on a grid."""
    u = (x - x.min()) / np.ptp(x)
    powers, grid = u[:, None] ** np.arange(4), np.linspace(0, 1, 201)
    slope = sign * np.stack([0 * grid, 1 + 0 * grid, 2 * grid, 3 * grid**2], axis=1)
    start = np.array([y.mean(), sign * np.ptp(y) / 2, 0, 0])
    found = optimize.minimize(
        lambda c: np.sum((powers @ c - y) ** 2), start, method="SLSQP",
        jac=lambda c: 2 * powers.T @ (powers @ c - y),
        constraints={"type": "ineq", "fun": lambda c: slope @ c, "jac": lambda c: slope}, options={"maxiter": 500},
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("seed", range(12))
def test_mapping_is_the_best_monotone_cubic(seed):
    """Steps, arches and noise: free fits, slopes that touch zero at an end, and inside."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-3, 5, 25))
    shape = [x, -np.tanh(3 * x), (x - 1) ** 3, np.minimum(x, 1), -((x - 3) ** 2), np.sign(x - 1) * 3][seed % 6]
    y = 50 + 8 * shape + rng.normal(0, 6, 25)
    found = monotone_mapping(x, y)
    squares = np.sum((y - found.predicted) ** 2)
    assert squares == pytest.approx(min(brute_force(x, y, 1), brute_force(x, y, -1)), rel=2e-3)
    steps = np.diff(found.predicted)
    assert min(steps.max(), -steps.min()) <= 1e-9
    assert (found.name, found.coefficients) == ("cubic", 4)


def test_few_values_are_mapped_by_a_line():
    x, y = np.array([1.0, 2, 4, 4, 5]), np.array([10.0, 30, 35, 45, 60])
    found = monotone_mapping(x, y)
    assert found.predicted == pytest.approx(np.polyval(np.polyfit(x, y, 1), x))
    assert (found.name, found.coefficients) == ("linear", 2)
    assert monotone_mapping(np.ones(5), y).predicted == pytest.approx([y.mean()] * 5)


def test_errors_by_hand():
    error, half = np.array([3.0, -6, 1, 0, 10, -2]), np.array([4.0, 4, 4, 4, 4, 1])
    assert beyond_interval(error, half).tolist() == [0, 2, 0, 0, 6, 1]
    assert rmse(error, 4) == pytest.approx(np.sqrt(150 / 2))
    assert np.isnan(rmse(error, 6))


def test_published_example_of_two_dependent_correlations():
    """Steiger (1980), case A: n = 103, r = .4 and .5, .1 between the measures."""
    t, p = dependent_correlations(0.4, 0.5, 0.1, 103)
    assert (t, p) == pytest.approx((-0.89, 0.37), abs=0.006)


def test_dependent_correlations_keep_their_level():
    rng = np.random.default_rng(1)
    covariance = np.array([[1, 0.7, 0.7], [0.7, 1, 0.6], [0.7, 0.6, 1]])
    drawn = rng.multivariate_normal(np.zeros(3), covariance, (1500, 24))
    p = []
    for sample in drawn:
        r = np.corrcoef(sample.T)
        p.append(dependent_correlations(r[0, 1], r[0, 2], r[1, 2], 24)[1])
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.isnan(dependent_correlations(0.4, 0.4, 1.0, 20)[1])
    assert np.isnan(dependent_correlations(0.4, 0.5, 0.1, 3)[1])


def test_a_measure_of_the_true_scores_reaches_the_ceiling():
    rng = np.random.default_rng(1)
    true, se = rng.normal(50, 15, 4000), rng.uniform(4, 12, 4000)
    scores = true + rng.normal(0, se)
    assert noise_ceiling(scores, se) == pytest.approx(np.corrcoef(true, scores)[0, 1], abs=0.01)
    assert noise_ceiling(np.array([1.0, 2, 3]), np.full(3, 5.0)) == 0
