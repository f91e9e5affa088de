"""REML: equal to lme4 on real data, to closed forms, and to difference quotients."""

import json

import numpy as np
import pytest

from analysis.statistics.crossed import crossed_interval, crossed_mean_with_gaps
from analysis.statistics.mixed_models import NoFit, ProfiledDeviance, fit

R_MIXED = {"rel": 1e-3}


def test_mixed_models_equal_lmer(reference_ratings, cube):
    tests = json.loads((reference_ratings / "expected" / "A_tests.json").read_text())
    listener, item, condition = np.indices(cube.scores.shape).reshape(3, -1)
    y, x = cube.scores.ravel(), np.eye(8)[condition]
    found = fit(y, x, {"listener": listener, "item": item})
    expected = tests["lmer score~cond+(1|listener)+(1|item) REML var [listener,item,resid]"]
    assert [*found.variances.values(), found.residual] == pytest.approx(expected, **R_MIXED)


@pytest.mark.parametrize("seed", range(24))
def test_crossed_interval_of_complete_data_is_reml_s(seed):
    """Designs of any size, with components from absent to large: those estimated as zero are zero in both."""
    rng = np.random.default_rng(seed)
    listeners, items = rng.integers(3, 25, 2)
    of_listeners, of_items = rng.choice([0, 1, 5, 10], 2)
    scores = 50 + rng.normal(0, 1, (listeners, 1)) * of_listeners + rng.normal(0, 1, (1, items)) * of_items
    scores = scores + rng.normal(0, 8, (listeners, items))
    closed, reml = crossed_interval(scores), crossed_mean_with_gaps(scores).interval()
    assert [reml.low, reml.high] == pytest.approx(
        [closed.low, closed.high], abs=0.0005 * (closed.high - closed.low)
    )


def test_slope_of_the_deviance_is_its_difference_quotient():
    rng = np.random.default_rng(1)
    listener, item = rng.integers(0, 5, 60), rng.integers(0, 7, 60)
    y, x = rng.normal(50, 10, 60) + 5 * listener, np.column_stack([np.ones(60), rng.normal(size=60)])
    system = ProfiledDeviance(y, x, {"listener": listener, "item": item})
    for ratios in ([0.3, 0.7], [0.0, 2.0]):
        at = np.array(ratios)
        value, slope = system.profiled_gradient(at)
        for i in range(2):
            step = np.eye(2)[i] * 1e-6
            upper, lower = (
                system.profiled_gradient(at + step)[0],
                system.profiled_gradient(at - step * (at[i] > 0))[0],
            )
            assert slope[i] == pytest.approx((upper - lower) / (1e-6 * (1 + (at[i] > 0))), rel=1e-3)
        # The definition: log|V| + log|X'V^-1 X| + (n - p) log(2 pi s) + n - p, s the residual variance
        v = np.eye(60) + sum(
            r * (np.eye(g.max() + 1)[g] @ np.eye(g.max() + 1)[g].T)
            for r, g in zip(ratios, (listener, item), strict=True)
        )
        information = x.T @ np.linalg.solve(v, x)
        beta = np.linalg.solve(information, x.T @ np.linalg.solve(v, y))
        s = (y - x @ beta) @ np.linalg.solve(v, y - x @ beta) / 58
        assert system.residual(at) == pytest.approx(s, rel=1e-9)
        expected = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1] + 58 * (1 + np.log(2 * np.pi * s))
        assert value == pytest.approx(expected, rel=1e-9)


def test_ratings_without_a_residual_are_no_fit():
    with pytest.raises(NoFit, match="2 ratings for 2 fixed effects"):
        fit(np.array([1.0, 2.0]), np.eye(2), {"listener": np.array([0, 1])})
