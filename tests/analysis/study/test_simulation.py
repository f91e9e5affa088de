"""Simulated ratings: their variances and seed."""

import pytest

from analysis.ratings.cells import cells
from analysis.study.simulation import EFFECTS, VARIANCES, linear_scores, simulate


def test_simulation_keeps_its_variances_and_seed():
    import numpy as np

    rng = np.random.default_rng(1)
    scores = linear_scores(rng, [0.0, 0.0], 300, 200, VARIANCES)
    difference = scores[:, :, 0] - scores[:, :, 1]
    assert scores.mean(axis=(1, 2)).var() == pytest.approx(
        VARIANCES["listener"] + VARIANCES["listener_condition"] / 2, rel=0.2
    )
    expected = 2 * (VARIANCES["listener_condition"] + VARIANCES["item_condition"] + VARIANCES["residual"])
    assert difference.var() == pytest.approx(expected, rel=0.1)
    a, b, c = (simulate(EFFECTS, 3, ["x"], seed) for seed in (1, 1, 2))
    assert a.equals(b)
    assert not a["score"].equals(c["score"])
    assert a["score"].between(0, 100).all()
    assert cells(a).complete
