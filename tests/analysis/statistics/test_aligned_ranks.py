"""The aligned rank transform: equal to R's analysis of the same ranks, blind to the effects that it strips."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.aligned_ranks import aligned_rank_tests, aligned_ranks

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "panel" / "panel.json").read_text())["aligned_ranks"]


def test_tests_equal_r():
    table = pd.DataFrame(GOLDEN["ratings"]).sort_values(["listener", "item", "condition"])
    found = aligned_rank_tests(table["score"].to_numpy(float).reshape(6, 4, 3))
    for effect in found:
        expected = GOLDEN["tests"][effect.name]
        assert [effect.f, effect.p, effect.df, effect.df_error] == pytest.approx(
            [expected[key] for key in ("f", "p", "df", "df_error")]
        )


def test_an_effect_that_is_stripped_changes_no_rank():
    rng = np.random.default_rng(1)
    scores = rng.normal(50, 10, (5, 4, 3))
    moved = scores + np.array([0.0, 30.0, -20.0]) + rng.normal(0, 20, (1, 4, 1))
    np.testing.assert_array_equal(aligned_ranks(moved, "condition:item"), aligned_ranks(scores, "condition:item"))
    assert aligned_ranks(scores, "item").mean() == pytest.approx((scores.size + 1) / 2)


def test_one_outlier_counts_as_one_rank():
    scores = np.random.default_rng(2).normal(50, 5, (8, 4, 3)) + np.array([0.0, 4.0, 8.0])
    far = scores.copy()
    far[0, 0, 0] += 40
    assert aligned_rank_tests(far)[0].p < 0.01
