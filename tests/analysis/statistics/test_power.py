"""Power, equivalence and coverage: R's numbers, simulation, and limits."""

import numpy as np
import pytest

from analysis.statistics import paired_tests as paired
from analysis.statistics import power
from analysis.statistics.interval import mean_estimate
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
        found = np.mean([test(mean_estimate(d), margin) < 0.05 for d in draws])
        assert power_of(listeners, margin, 1.0) == pytest.approx(found, abs=0.025)


def test_sd_of_items_is_that_of_simulated_differences():
    """Of a listener's means over 5 items, for the same listeners and items under two conditions."""
    rng = np.random.default_rng(4)
    scores = linear_scores(rng, [0.0, 10.0], 6000, 5, VARIANCES)
    difference = (scores[:, :, 1] - scores[:, :, 0]).mean(axis=1)
    components = {name.replace("_", ":"): value for name, value in VARIANCES.items()}
    assert power.sd_of_items(components, 5) == pytest.approx(difference.std(), rel=0.03)
