"""What a design cannot tell is said, with the conditions, numbers and a way out."""

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.statistics.paired_tests import compare_pairs
from analysis.study.design_warnings import (
    attainable_warnings,
    balance_warnings,
    item_set_warnings,
    spread_warnings,
)
from analysis.study.preregistration import Plan


def cube(scores):
    return Cells(
        tuple(f"L{i}" for i in range(scores.shape[0])), tuple(f"I{i}" for i in range(scores.shape[1])),
        tuple("abcdefghij"[: scores.shape[2]]), scores,
    )  # fmt: skip


def test_conditions_with_other_items_are_named():
    scores = np.full((4, 6, 3), 50.0)
    assert item_set_warnings(cube(scores)) == []
    scores[0, 0, 0] = np.nan  # another listener rated this item
    assert item_set_warnings(cube(scores)) == []
    scores[:, 2:, 1] = np.nan
    (said,) = item_set_warnings(cube(scores))
    assert said.startswith("conditions were rated on different items: of 6, b on 2; 2 are common to all. ")


def pairs_of(listeners, conditions):
    scores = np.random.default_rng(1).normal(50, 5, (listeners, 3, conditions))
    return compare_pairs(scores, "abcdefghij"[:conditions])


def test_small_panels_are_told_what_p_they_attain():
    said = attainable_warnings(pairs_of(8, 5), None, None, False)
    assert said == [
        "tests by ranks and sign flips cannot reject: with 8 listeners p is at least 0.0078, after Holm over 10 "
        "pairs at least 0.078; 9 listeners, or a plan of at most 6 comparisons, would do"
    ]
    assert attainable_warnings(pairs_of(9, 5), None, None, False) == []
    assert attainable_warnings(pairs_of(16, 5), None, None, False) == []


def test_ranks_are_advised_only_where_they_can_reject():
    assert attainable_warnings(pairs_of(12, 3), None, None, True) == [
        "prefer the tests by ranks or sign flips to t, as the residuals are not normal"
    ]
    few = attainable_warnings(pairs_of(6, 5), None, None, True)
    assert len(few) == 2
    assert "Friedman's test of all conditions can" in few[1]
    assert not any("prefer" in said for said in few)


def test_a_plan_whose_test_cannot_reject():
    def plan(test, correction):
        return Plan("P", "2026-01-01T00:00:00+00:00", 8, (), (), "none", "listener", (), test, correction, 0.05,
                    None, 0, 1, {})  # fmt: skip

    planned = pairs_of(8, 5).head(7)
    none = pd.DataFrame()
    assert attainable_warnings(none, planned, plan("t", "holm"), False) == []
    assert attainable_warnings(none, planned, plan("wilcoxon", "none"), False) == []
    (said,) = attainable_warnings(none, planned, plan("sign-flip", "holm"), False)
    assert said == (
        "the planned sign-flip test cannot reject: p is at least 0.0078, adjusted over 7 comparisons 0.055; 9 "
        "listeners would do"
    )


def test_unbalanced_items_and_listeners_are_named():
    scores = np.full((6, 6, 3), 50.0)
    assert balance_warnings(cube(scores)) == []
    turn = (np.arange(6) - np.arange(6)[:, None]) % 6
    scores[turn >= 3] = np.nan
    assert balance_warnings(cube(scores)) == []
    scores[1:, 0] = np.nan
    said = balance_warnings(cube(scores))
    assert said[0] == (
        "unbalanced: an item was rated by 1 to 3 listeners, the fewest I0; marginal means allow for it, plain "
        "means do not"
    )
    assert len(said) == 1  # 2 or 3 items for each listener
    scores[3, 3:] = np.nan
    assert balance_warnings(cube(scores))[1].startswith("unbalanced: a listener rated 0 to 3 items, the fewest L3")


def test_material_has_no_test_by_ranks():
    (said,) = attainable_warnings(pairs_of(12, 3), None, None, True, "material")
    assert said.startswith(
        "the residuals are not normal, and the tests by ranks and sign flips hold for these items"
    )


def test_conditions_that_scatter_differently_are_named():
    rng = np.random.default_rng(1)
    listeners, items = rng.normal(0, 20, (9, 1, 1)), rng.normal(0, 20, (1, 7, 1))  # no part of the residuals
    noise = rng.normal(0, 5, (9, 7, 3))
    assert spread_warnings(cube(50 + listeners + items + noise)) == []
    noise[:, :, 2] *= 0.2
    noise[3, 2, 1] = np.nan
    (said,) = spread_warnings(cube(50 + listeners + items + noise))
    rest = noise[:, :, 2] - noise[:, :, 2].mean(axis=1, keepdims=True)
    smallest = (rest - rest.mean(axis=0)).std()
    assert f"(standard deviation {smallest:.1f} for c, " in said
    assert "The tests of pairs do not pool" in said
