"""Means and their intervals: equal to R on real data, to closed forms elsewhere."""

import csv
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.ratings.cells import cells
from analysis.statistics.crossed import crossed_interval, crossed_mean_with_gaps
from analysis.statistics.interval import t_interval
from analysis.statistics.intervals import (
    CONVENTIONS,
    means_over_items,
    summarise,
)

R = {"rel": 1e-6}


R_MIXED = {"rel": 1e-3}


def table_of_r(folder, name):
    with open(folder / "expected" / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("ci", "file"), [("paper", "A_ci_all_ratings.csv"), ("listener", "A_ci_listener_means.csv")]
)
def test_t_intervals_equal_r(reference_ratings, ratings, ci, file):
    found = summarise(ratings, cells(ratings), ci).set_index("condition")
    expected = table_of_r(reference_ratings, file)
    assert len(expected) == 8
    for row in expected:
        ours = found.loc[row[""]]
        r = [float(row[k]) for k in ("mean", "lo", "hi")]
        assert ours[["mean", "ci_low", "ci_high"]].tolist() == pytest.approx(r, **R)
        assert ours["n"] == 286
        if ci == "paper":
            assert ours["median"] == float(row["median"])


def test_item_mean_intervals_equal_r(reference_ratings, cube):
    for row in table_of_r(reference_ratings, "A_ci_item_means.csv"):
        found = t_interval(cube.scores[:, :, cube.conditions.index(row[""])].mean(axis=0))
        assert [found.mean, found.low, found.high] == pytest.approx(
            [float(row[k]) for k in ("mean", "lo", "hi")], **R
        )


def test_crossed_intervals_equal_lmer(reference_ratings, cube):
    """Closed form and REML against lme4; Mono and reference have an item variance of zero."""
    for row in table_of_r(reference_ratings, "A_ci_crossed_lmer_percond.csv"):
        scores = cube.scores[:, :, cube.conditions.index(row[""])]
        expected = [float(row[k]) for k in ("mean", "lo_satt", "hi_satt")]
        for found in (crossed_interval(scores), crossed_mean_with_gaps(scores).interval()):
            assert [found.mean, found.low, found.high] == pytest.approx(expected, **R_MIXED)
            assert [found.low, found.high] == pytest.approx(expected[1:], abs=1e-3)


def test_crossed_interval_with_few_gaps_is_near_the_complete_one(simulated):
    scores = simulated(4, 12, 12).scores[:, :, 0]
    complete = crossed_interval(scores)
    scores[3, 4] = scores[7, 1] = np.nan
    gaps = crossed_interval(scores)
    assert [gaps.low, gaps.high] == pytest.approx([complete.low, complete.high], abs=1.0)


def test_crossed_interval_drops_factors_without_variance():
    rng = np.random.default_rng(5)
    listeners = rng.normal(0, 9, (7, 1))
    noise = rng.normal(0, 5, (7, 6))
    alike = listeners + noise - noise.mean(axis=0)  # all items have the same mean
    for table in (alike, alike.T.copy()):
        found, expected = crossed_interval(table), t_interval(alike.mean(axis=1))
        assert [found.low, found.high] == pytest.approx([expected.low, expected.high])
    flat = noise - noise.mean(axis=0)
    flat -= flat.mean(axis=1, keepdims=True)
    found, everything = crossed_interval(flat + 50), t_interval(flat.ravel() + 50)
    assert [found.mean, found.low, found.high] == pytest.approx([everything.mean, everything.low, everything.high])


def test_little_data_gives_no_interval():
    assert np.isnan(t_interval(np.array([50.0])).low)
    assert np.isnan(t_interval(np.array([])).mean)
    assert np.isnan(crossed_interval(np.array([[1.0, 2.0]])).low)
    assert np.isfinite(crossed_interval(np.array([[1.0, 2.0], [4.0, 3.0]])).low)
    two_items = np.array([[1.0, 9.0], [4.0, 12.5], [2.0, 9.5]])
    assert crossed_interval(two_items).mean == pytest.approx(two_items.mean())
    one_item = np.array([[1.0], [2.0], [4.0]])
    assert crossed_interval(one_item) == t_interval(one_item[:, 0])
    equal = t_interval(np.full(5, 100.0))
    assert (equal.low, equal.high) == (100, 100)


def test_conventions_say_what_they_are_intervals_of():
    assert set(CONVENTIONS) == {"paper", "listener", "crossed"}
    for name, words in (("paper", "independent"), ("listener", "for these items"), ("crossed", "both random")):
        assert CONVENTIONS[name].startswith("95 % CI: ")
        assert words in CONVENTIONS[name]


def test_unknown_convention(cube):
    with pytest.raises(ValueError, match=r"^no convention 'normal'; there are paper, listener, crossed$"):
        summarise(pd.DataFrame(), cube, "normal")


def test_every_convention_gives_its_own_interval(simulated):
    cube = simulated(7)
    index = np.indices(cube.scores.shape).reshape(3, -1).T
    rows = [("s", str(i), str(j), "abc"[k], 1, cube.scores[i, j, k]) for i, j, k in index]
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    for k, condition in enumerate("abc"):
        scores = cube.scores[:, :, k]
        expected = {"paper": t_interval(scores.ravel()), "listener": t_interval(scores.mean(axis=1)),
                    "crossed": crossed_interval(scores)}  # fmt: skip
        for ci, interval in expected.items():
            found = summarise(table, cube, ci).set_index("condition").loc[condition]
            assert [found["mean"], found["ci_low"], found["ci_high"]] == pytest.approx(
                [interval.mean, interval.low, interval.high]
            )
    pd.testing.assert_frame_equal(summarise(table, cube), summarise(table, cube, "listener"))
    with pytest.raises(FrozenInstanceError):
        interval.low = 0.0


def test_crossed_interval_of_tables_with_neither_component_is_t_over_all_cells():
    pooled = 0
    for seed in range(60):
        scores = np.random.default_rng(seed).normal(50, 8, (4, 5))
        listeners = 5 * scores.mean(axis=1).var(ddof=1)
        items = 4 * scores.mean(axis=0).var(ddof=1)
        rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
        everything = np.sum((scores - scores.mean()) ** 2) / 19
        if max(listeners, items) < min(np.sum(rest**2) / 12, everything):
            pooled += 1
            found, expected = crossed_interval(scores), t_interval(scores.ravel())
            assert [found.low, found.high] == pytest.approx([expected.low, expected.high])
    assert pooled > 3


@pytest.mark.parametrize("seed", [14, 67, 73])
def test_pooling_the_smaller_component_may_let_the_other_stay(seed):
    """Neither mean square is above the residual's, but one is above it once the other is pooled: REML keeps it."""
    scores = np.random.default_rng(seed).normal(50, 8, (12, 3))
    closed, reml = crossed_interval(scores), crossed_mean_with_gaps(scores).interval()
    assert [closed.low, closed.high] == pytest.approx([reml.low, reml.high], abs=1e-3)
    items = t_interval(scores.mean(axis=0))
    assert [closed.low, closed.high] == pytest.approx([items.low, items.high])


def test_crossed_interval_of_equal_scores_has_no_width():
    found = crossed_interval(np.full((3, 4), 50.0))
    assert (found.mean, found.low, found.high) == (50, 50, 50)


@given(st.integers(0, 2**31), st.floats(-50, 50), st.floats(0.1, 5))
def test_intervals_follow_shift_and_scale(simulated, seed, shift, scale):
    scores = simulated(seed).scores[:, :, 0]
    a, b = crossed_interval(scores), crossed_interval(scale * scores + shift)
    assert [b.mean, b.low, b.high] == pytest.approx(
        [scale * v + shift for v in (a.mean, a.low, a.high)], rel=1e-6, abs=1e-6
    )


def test_means_over_items_use_what_was_rated():
    scores = np.array([[[1.0], [3.0]], [[5.0], [np.nan]], [[np.nan], [np.nan]]])
    np.testing.assert_array_equal(means_over_items(scores), [[2.0], [5.0], [np.nan]])


def test_summary_of_an_incomplete_design_centres_on_listener_means():
    rows = [("s", "a", "x", "c", 1, 10.0), ("s", "a", "y", "c", 1, 20.0), ("s", "b", "x", "c", 1, 40.0)]
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    assert summarise(table, cells(table), "listener")["mean"].item() == (15 + 40) / 2
    assert summarise(table, cells(table), "paper")["mean"].item() == pytest.approx(70 / 3)
    assert summarise(table, cells(table), "paper")["n"].item() == 3
