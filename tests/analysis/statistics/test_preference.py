"""Bradley and Terry's model: equal to R's logistic regression; errors over listeners by simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from analysis.statistics.preference import bradley_terry
from render.common.errors import InputError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "panel" / "panel.json").read_text())["preference"]


def test_strengths_equal_r():
    found = bradley_terry(np.array(GOLDEN["wins"], float)[None])
    assert found.values.sum() == pytest.approx(0, abs=1e-12)
    assert found.values[1:] - found.values[0] == pytest.approx(GOLDEN["coefficients"], rel=1e-8)
    against_first = np.eye(4)[1:] - np.eye(4)[0]
    assert np.sqrt(np.diag(against_first @ found.covariance @ against_first.T)) == pytest.approx(
        GOLDEN["se"], rel=1e-6
    )
    assert (found.deviance, found.df) == (pytest.approx(GOLDEN["deviance"], rel=1e-6), 3)
    assert found.clustered is None


def test_two_systems_are_the_log_odds():
    found = bradley_terry(np.array([[[0.0, 9], [3, 0]]]))
    assert found.values[0] - found.values[1] == pytest.approx(np.log(3))
    assert found.covariance[0, 0] * 4 == pytest.approx(1 / 9 + 1 / 3)
    assert found.df == 0
    assert np.isnan(found.p)


def test_errors_over_listeners_are_what_they_scatter():
    """Listeners with strengths of their own: the scatter of 300 tests against the mean of the estimated errors."""
    rng = np.random.default_rng(1)
    values, clustered, model = [], [], []
    for _ in range(300):
        b = np.array([0.6, 0.0, -0.6]) + rng.normal(0, 0.8, (15, 3))
        share = special.expit(b[:, :, None] - b[:, None])
        first = rng.binomial(8, share)
        upper = np.triu(np.ones((3, 3)), 1)
        wins = first * upper + (upper * (8 - first)).transpose(0, 2, 1)
        found = bradley_terry(wins)
        values.append(found.values[0])
        clustered.append(found.clustered[0, 0])
        model.append(found.covariance[0, 0])
    assert np.mean(clustered) == pytest.approx(np.var(values), rel=0.2)
    assert np.mean(model) < 0.7 * np.var(values)


@pytest.mark.parametrize("wins", [[[0, 2, 1], [1, 0, 3], [0, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]])
def test_strengths_that_are_not_finite(wins):
    with pytest.raises(InputError, match="some are always or never preferred"):
        bradley_terry(np.array([wins], float))
