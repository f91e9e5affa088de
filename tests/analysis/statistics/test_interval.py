"""Student's interval: equal to SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics.interval import bounded_limits, t_interval


def test_two_values_are_enough_for_an_interval():
    found = t_interval(np.array([40.0, 60.0]))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 1, 50, 10))


@given(arrays(float, st.integers(2, 30), elements=st.floats(0, 100)), st.floats(0.5, 0.99))
def test_t_interval_is_scipys(values, level):
    found = t_interval(values, level)
    if np.ptp(values) > 1e-6:
        assert (found.low, found.high) == pytest.approx(
            stats.t.interval(level, values.size - 1, values.mean(), stats.sem(values)), rel=1e-9, abs=1e-9
        )


def test_bounded_limits_are_those_of_a_logistic_regression():
    """Quasi-likelihood of the logit link with listeners as clusters, solved by Newton's method here."""
    means = np.array([96.0, 99.0, 79.0, 91.0, 100.0, 88.0])
    n, b = means.size, 0.0
    for _ in range(50):
        mu = 1 / (1 + np.exp(-b))
        b += np.sum(means / 100 - mu) / (n * mu * (1 - mu))
    mu = 1 / (1 + np.exp(-b))
    se = np.sqrt(np.sum((means / 100 - mu) ** 2) * n / (n - 1)) / (n * mu * (1 - mu))
    t = stats.t.ppf(0.975, n - 1)
    expected = [100 / (1 + np.exp(-(b + sign * t * se))) for sign in (-1, 1)]
    interval = t_interval(means)
    assert interval.high > 100
    assert bounded_limits(interval.mean, interval.low, interval.high) == pytest.approx(expected, rel=1e-9)


def test_bounded_limits_cover_at_the_top_of_the_scale():
    """Beta-distributed listener means around 96; t limits hold the mean as often but leave the scale."""
    rng = np.random.default_rng(3)
    held = left = 0
    for _ in range(4000):
        interval = t_interval(100 * rng.beta(24, 1, 10))
        low, high = bounded_limits(interval.mean, interval.low, interval.high)
        held += low <= 96 <= high
        left += interval.high > 100
    assert held / 4000 > 0.92
    assert left > 40


def test_bounded_limits_of_means_at_the_ends_and_without_intervals():
    assert bounded_limits(100.0, 100.0, 100.0) == (100.0, 100.0)
    assert np.isnan(bounded_limits(50.0, np.nan, np.nan)).all()
