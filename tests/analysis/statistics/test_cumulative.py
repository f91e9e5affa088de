"""The cumulative mixed model: equal to R where R has it, consistent in means and scales elsewhere."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.cumulative import MAX_CATEGORIES, categories, fit_cumulative
from analysis.statistics.mixed_models import NoFit

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "cumulative" / "cumulative.json").read_text())
TABLE = pd.DataFrame(GOLDEN["ratings"])


def crossed(table):
    listener, item, condition = (table[c].to_numpy() - 1 for c in ("listener", "item", "condition"))
    count = condition.max() + 1
    return condition, {"listener": listener, "item": item, "listener:condition": listener * count + condition,
                       "item:condition": item * count + condition}  # fmt: skip


def test_two_categories_are_lme4_s_logistic_mixed_model():
    condition, groups = crossed(TABLE)
    found = fit_cumulative(100.0 * TABLE["two"].to_numpy(), condition, groups, 8.0)
    expected = GOLDEN["two"]
    assert [-found.thresholds[0], *found.effects[1:]] == pytest.approx(expected["effects"], abs=2e-3)
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(expected["se"], rel=2e-3)
    assert found.deviations == pytest.approx(expected["deviations"], rel=5e-3)


def test_more_categories_are_proportional_odds():
    """A random effect of one level is no effect: what is left is MASS::polr."""
    condition, _ = crossed(TABLE)
    found = fit_cumulative(TABLE["five"].to_numpy(float), condition, {"listener": np.zeros(len(TABLE), int)}, 8.0)
    expected = GOLDEN["five"]
    order = [4 + i for i in range(2)] + list(range(4))  # R has the effects first
    assert found.effects[1:] == pytest.approx(expected["effects"], rel=1e-3)
    assert found.thresholds == pytest.approx(expected["thresholds"], abs=1e-3)
    assert np.sqrt(np.diag(found.covariance))[order][:2] == pytest.approx(expected["se"][:2], rel=1e-3)
    assert found.difference(2, 1).value == pytest.approx(expected["effects"][1] - expected["effects"][0], rel=1e-2)


def test_expected_scores_are_the_means_and_stay_on_the_scale():
    rng = np.random.default_rng(1)
    listener, item, condition = np.indices((10, 8, 3)).reshape(3, -1)
    latent = np.array([40.0, 70.0, 96.0])[condition] + rng.normal(0, 6, 10)[listener] + rng.normal(0, 9, 240)
    scores = np.clip(np.round(latent), 0, 100)
    groups = {"listener": listener, "item": item, "listener:condition": listener * 3 + condition}
    found = fit_cumulative(scores, condition, groups, 7.0)
    for k in range(3):
        mean = found.mean(k)
        assert mean.mean == pytest.approx(scores[condition == k].mean(), abs=1.5)
        assert 0 < mean.low < mean.mean < mean.high < 100
    assert found.difference(2, 0).p < 0.01
    monotone = fit_cumulative(scores**3 / 1e4, condition, groups, 7.0)  # order is all that counts
    assert monotone.effects == pytest.approx(found.effects, abs=1e-3)


def test_categories_hold_about_as_many_ratings():
    scores = np.random.default_rng(1).integers(0, 101, 600).astype(float)
    found = categories(scores)
    assert found.max() + 1 == MAX_CATEGORIES
    assert np.ptp(np.bincount(found)) < 30
    assert all(scores[found == k].max() < scores[found == k + 1].min() for k in range(MAX_CATEGORIES - 1))
    assert categories(np.array([3.0, 1, 3, 2])).tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize("scores", [np.full(12, 50.0), np.array([1.0, 2, 3, 2, 1, 3, 9, 9, 9, 9, 9, 9])])
def test_what_has_no_fit(scores):
    with pytest.raises(NoFit, match="a cumulative model needs"):
        fit_cumulative(scores, np.repeat([0, 1], 6), {"listener": np.tile(np.arange(6), 2)}, 5.0)
