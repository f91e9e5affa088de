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


def test_laboratories_replicates_and_parts_of_the_items():
    table = simulate(EFFECTS, 60, ["w", "x", "y", "z"], 1, laboratories=3, replicates=2, items_per_listener=2)
    assert len(table) == 60 * 2 * len(EFFECTS) * 2
    assert set(table.groupby("listener")["item"].nunique()) == {2}
    assert set(table.drop_duplicates(["listener", "item"]).groupby("item").size()) == {30}
    assert table.groupby("laboratory")["listener"].nunique().to_dict() == {
        "laboratory 1": 20,
        "laboratory 2": 20,
        "laboratory 3": 20,
    }
    middle = table[table["condition"] == "opus3_160"].groupby(["listener", "item"])["score"]
    shrink = (58 * 42) ** 0.5 / 50
    assert middle.var().mean() == pytest.approx(shrink**2 * VARIANCES["residual"] / 2, rel=0.25)


def test_more_than_one_rating_leaves_a_plain_simulation_as_it_was():
    plain, parts = simulate(EFFECTS, 3, ["x", "y"], 1), simulate(EFFECTS, 3, ["x", "y"], 1, items_per_listener=2)
    assert plain.equals(parts)
