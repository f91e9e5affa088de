"""Where conditions and items interact, each item is compared by itself, adjusted over all of them."""

import numpy as np
import pytest
from scipy import stats

from analysis.ratings.cells import Cells
from analysis.statistics.paired_tests import holm
from analysis.study.omnibus import differences_on_items, item_pair_warnings, omnibus_tests


def made(interaction):
    rng = np.random.default_rng(1)
    scores = 50 + rng.normal(0, 4, (8, 3, 4))
    scores[:, 0, 1] += interaction
    scores[:, 1, 1] -= interaction
    return Cells(tuple("pqrstuvw"), tuple("xyz"), ("la", "a", "b", "href"), scores)


def test_single_items_by_t_tests():
    cube = made(25.0)
    found = differences_on_items(cube, omnibus_tests(cube.scores, cube.scores.mean(axis=1))[0])
    assert len(found) == 9
    row = found.set_index(["item", "a", "b"]).loc[("y", "a", "href")]
    expected = stats.ttest_rel(cube.scores[:, 1, 1], cube.scores[:, 1, 3])
    limits = expected.confidence_interval()
    assert row[["ci_low", "ci_high", "p"]].to_list() == pytest.approx([limits.low, limits.high, expected.pvalue])
    assert found["p_adjusted"].to_list() == holm(found["p"]).tolist()
    (said,) = item_pair_warnings(found)
    assert "of 9 differences on single items" in said
    assert "a - b, a - href in both directions" in said


def test_without_interaction_no_single_items():
    cube = made(0.0)
    omnibus = omnibus_tests(cube.scores, cube.scores.mean(axis=1))[0]
    assert omnibus.effects[2].p_gg > 0.05
    assert differences_on_items(cube, omnibus) is None
    assert item_pair_warnings(None) == []
    assert [effect.name for effect in omnibus.aligned] == ["condition", "item", "condition:item"]
