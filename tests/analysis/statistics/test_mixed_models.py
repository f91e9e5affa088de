"""Mixed models: equal to lme4 on real data, to the analysis of variance and to difference quotients."""

import json

import numpy as np
import pytest

from analysis.ratings.cells import Cells
from analysis.statistics.intervals import (
    crossed_interval,
)
from analysis.statistics.mixed_models import ProfiledDeviance, condition_model, crossed_interval_incomplete, fit

R_MIXED = {"rel": 1e-3}


def test_mixed_models_equal_lmer(reference_ratings, cube):
    tests = json.loads((reference_ratings / "expected" / "A_tests.json").read_text())
    listener, item, condition = np.indices(cube.scores.shape).reshape(3, -1)
    y, x = cube.scores.ravel(), np.eye(8)[condition]
    found = fit(y, x, {"listener": listener, "item": item})
    expected = tests["lmer score~cond+(1|listener)+(1|item) REML var [listener,item,resid]"]
    assert [*found.variances.values(), found.residual] == pytest.approx(expected, **R_MIXED)
    np.testing.assert_allclose(found.beta, cube.scores.mean(axis=(0, 1)), rtol=1e-9)
    closed = condition_model(cube)
    expected = dict(tests["lmer2 +(1|listener:cond)+(1|item:cond) var"])
    names = {
        "listener": "listener",
        "item": "item",
        "listener:condition": "listener:cond",
        "item:condition": "item:cond",
    }
    for ours, r in names.items():
        assert closed.variances[ours] == pytest.approx(expected[r], **R_MIXED)
    assert closed.residual == pytest.approx(expected["Residual"], **R_MIXED)


def simulated(seed, listeners=6, items=5, conditions=3):
    rng = np.random.default_rng(seed)
    scores = (
        50 + rng.normal(0, 8, (listeners, 1, 1)) + rng.normal(0, 7, (1, items, 1))
        + rng.normal(0, 6, (listeners, 1, conditions)) + rng.normal(0, 6, (1, items, conditions))
        + rng.normal(0, 5, (listeners, items, conditions))
    )  # fmt: skip
    return Cells(
        tuple(map(str, range(listeners))),
        tuple(map(str, range(items))),
        tuple("abcdefgh"[:conditions]),
        scores,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reml_meets_the_closed_form_of_complete_designs(seed, monkeypatch):
    cube = simulated(seed, listeners=12, items=9)
    closed = condition_model(cube)
    monkeypatch.setattr("analysis.statistics.mixed_models.balanced_components", lambda scores: None)
    reml = condition_model(cube)
    assert list(reml.variances.values()) == pytest.approx(list(closed.variances.values()), rel=2e-3, abs=0.01)
    np.testing.assert_allclose(reml.covariance, closed.covariance, rtol=5e-3)


@pytest.mark.parametrize("seed", range(24))
def test_crossed_interval_of_complete_data_is_reml_s(seed):
    """Designs of any size, with components from absent to large: those estimated as zero are zero in both."""
    rng = np.random.default_rng(seed)
    listeners, items = rng.integers(3, 25, 2)
    of_listeners, of_items = rng.choice([0, 1, 5, 10], 2)
    scores = 50 + rng.normal(0, 1, (listeners, 1)) * of_listeners + rng.normal(0, 1, (1, items)) * of_items
    scores = scores + rng.normal(0, 8, (listeners, items))
    closed, reml = crossed_interval(scores), crossed_interval_incomplete(scores)
    assert [reml.low, reml.high] == pytest.approx(
        [closed.low, closed.high], abs=0.002 * (closed.high - closed.low)
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
        # The profiled deviance is the smallest over the residual variance.
        every = [system.deviance(np.array([*(at * s), s])) for s in np.geomspace(1, 1000, 600)]
        assert value == pytest.approx(min(every), abs=2e-3)
