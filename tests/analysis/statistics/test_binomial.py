"""Shares, exact tests and d' against SciPy, closed forms and a simulated listener."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.binomial import abx_d_prime, binomial_p, clopper_pearson


@pytest.mark.parametrize("trials", [1, 2, 7, 16, 100])
def test_intervals_and_tests_are_those_of_scipy(trials):
    for successes in range(trials + 1):
        expected = stats.binomtest(successes, trials)
        low, high = expected.proportion_ci(method="exact")
        assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-12)
        assert binomial_p(successes, trials) == pytest.approx(expected.pvalue, rel=1e-12)
        above = stats.binomtest(successes, trials, alternative="greater").pvalue
        assert binomial_p(successes, trials, "greater") == pytest.approx(above, rel=1e-12)


def test_closed_forms_of_the_ends():
    assert clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025**0.1))  # (1 - p)^10 = 0.025
    assert clopper_pearson(10, 10, 0.9) == pytest.approx((0.05**0.1, 1))
    assert binomial_p(12, 16, "greater") == pytest.approx(sum(math.comb(16, k) for k in range(12, 17)) / 2**16)
    assert math.isnan(binomial_p(0, 0))
    assert all(math.isnan(limit) for limit in clopper_pearson(0, 0))


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0, 3.0])
def test_d_prime_is_that_of_simulated_listeners(d):
    """Percepts are normal with variance 1 and means 0 and d; half a million trials for each of the two models."""
    random = np.random.default_rng(1)
    count = 500_000
    a, b, x = random.standard_normal((3, count))
    b += d
    is_b = random.random(count) < 0.5
    x += d * is_b
    nearer_b = abs(x - b) < abs(x - a)
    found = abx_d_prime(int(np.sum(nearer_b == is_b)), count, "differencing")
    assert found == pytest.approx(d, abs=0.02)
    # Independent observations: the higher of A and B is taken for B, and X is compared with the middle of the two
    says_b = (x > d / 2) == (b > a)
    found = abx_d_prime(int(np.sum(says_b == is_b)), count, "independent")
    assert found == pytest.approx(d, abs=0.02)


def test_d_prime_at_the_ends_is_bounded_and_says_nothing_below_chance():
    assert abx_d_prime(5, 10, "independent") == abx_d_prime(2, 10, "differencing") == 0
    assert abx_d_prime(20, 20, "independent") == abx_d_prime(39, 40, "independent")  # 1 - 1/40
    assert math.isnan(abx_d_prime(0, 0, "independent"))
    # The forms by which R's psyphy solves for d': 0.75 correct
    for strategy, scale in (("independent", 2), ("differencing", 6**0.5)):
        d, phi = abx_d_prime(75, 100, strategy), stats.norm.cdf
        share = phi(d / 2**0.5) * phi(d / scale) + phi(-d / 2**0.5) * phi(-d / scale)
        assert share == pytest.approx(0.75, abs=1e-9)
