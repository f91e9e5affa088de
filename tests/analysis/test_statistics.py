"""Means and their intervals: equal to R on real data, to closed forms elsewhere."""

import csv
import json
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.ratings.table import Cells, cells, read
from analysis.statistics.bootstrap import SCHEMES, bca, bootstrap, draw_both, draw_listeners
from analysis.statistics.interval import t_interval
from analysis.statistics.intervals import (
    CONVENTIONS,
    crossed_interval,
    intervals,
    means_over_items,
    shape,
    summarise,
)
from analysis.statistics.mixed_models import _System, crossed_interval_incomplete, fit
from analysis.statistics.variance_components import condition_model
from analysis.study.analysis import analyse

R = {"rel": 1e-6}
R_MIXED = {"rel": 1e-3}


def table_of_r(folder, name):
    with open(folder / "expected" / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ratings(reference_ratings):
    return read(reference_ratings / "expected" / "A.csv")


@pytest.mark.parametrize(
    ("ci", "file"), [("paper", "A_ci_all_ratings.csv"), ("listener", "A_ci_listener_means.csv")]
)
def test_t_intervals_equal_r(reference_ratings, ratings, ci, file):
    found = summarise(ratings, ci).set_index("condition")
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
        for found in (crossed_interval(scores), crossed_interval_incomplete(scores)):
            assert [found.mean, found.low, found.high] == pytest.approx(expected, **R_MIXED)
            assert [found.low, found.high] == pytest.approx(expected[1:], abs=1e-3)


def test_per_item_intervals_and_quartiles_equal_r(reference_ratings, ratings):
    results = analyse(ratings, screening="none")
    found = results.per_item.set_index(["item", "condition"])
    for row in table_of_r(reference_ratings, "A_per_item_ci.csv"):
        ours = found.loc[(row["item"], row["cond"])]
        r = [float(row[f"score.{k}"]) for k in ("n", "mean", "lo", "hi")]
        assert ours[["n", "mean", "ci_low", "ci_high"]].tolist() == pytest.approx(r, abs=1e-6)
    spread = results.spread.set_index("condition")
    for row in table_of_r(reference_ratings, "A_ci_all_ratings.csv"):
        r = [float(row[k]) for k in ("q1", "median", "q3", "sd")]
        assert spread.loc[row[""], ["q1", "median", "q3", "sd"]].tolist() == pytest.approx(r, **R)


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
    monkeypatch.setattr("analysis.statistics.variance_components.balanced_components", lambda scores: None)
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
    system = _System(y, x, {"listener": listener, "item": item})
    for ratios in ([0.3, 0.7], [0.0, 2.0]):
        at = np.array(ratios)
        value, slope = system.profiled_slope(at)
        for i in range(2):
            step = np.eye(2)[i] * 1e-6
            upper, lower = system.profiled_slope(at + step)[0], system.profiled_slope(at - step * (at[i] > 0))[0]
            assert slope[i] == pytest.approx((upper - lower) / (1e-6 * (1 + (at[i] > 0))), rel=1e-3)
        # The profiled deviance is the smallest over the residual variance.
        every = [system.deviance(np.array([*(at * s), s])) for s in np.geomspace(1, 1000, 600)]
        assert value == pytest.approx(min(every), abs=2e-3)


def test_crossed_interval_with_few_gaps_is_near_the_complete_one():
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


@given(arrays(float, st.integers(4, 20), elements=st.integers(0, 100)))
def test_shape_is_scipys(values):
    if np.ptp(values):
        expected = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
        assert shape(values) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    else:
        assert np.isnan(shape(values)).all()


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 4.0], [5.0] * 6])
def test_shape_of_too_little(values):
    assert np.isnan(shape(np.array(values))).tolist() == [True, True]


def test_shape_of_small_differences():
    assert not np.isnan(shape(np.array([1.0, 1.00001, 1.00003, 1.0]))).any()
    assert np.isnan(shape(np.array([1.0, 1.0 + 1e-9, 1.0, 1.0]))).all()


def test_unknown_convention(cube):
    with pytest.raises(ValueError, match=r"^no convention 'normal'; there are paper, listener, crossed$"):
        intervals(pd.DataFrame(), cube, "normal")


def test_every_convention_gives_its_own_interval():
    cube = simulated(7)
    index = np.indices(cube.scores.shape).reshape(3, -1).T
    rows = [("s", str(i), str(j), "abc"[k], 1, cube.scores[i, j, k]) for i, j, k in index]
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    for k, condition in enumerate("abc"):
        scores = cube.scores[:, :, k]
        expected = {"paper": t_interval(scores.ravel()), "listener": t_interval(scores.mean(axis=1)),
                    "crossed": crossed_interval(scores)}  # fmt: skip
        for ci, interval in expected.items():
            found = intervals(table, cube, ci)[condition]
            assert [found.mean, found.low, found.high] == pytest.approx(
                [interval.mean, interval.low, interval.high]
            )
    pd.testing.assert_frame_equal(summarise(table), summarise(table, "listener"))
    with pytest.raises(FrozenInstanceError):
        found.low = 0.0


def test_two_values_are_enough_for_an_interval():
    found = t_interval(np.array([40.0, 60.0]))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 1, 50, 10))


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
    closed, reml = crossed_interval(scores), crossed_interval_incomplete(scores)
    assert [closed.low, closed.high] == pytest.approx([reml.low, reml.high], abs=1e-3)
    items = t_interval(scores.mean(axis=0))
    assert [closed.low, closed.high] == pytest.approx([items.low, items.high])


def test_crossed_interval_of_equal_scores_has_no_width():
    found = crossed_interval(np.full((3, 4), 50.0))
    assert (found.mean, found.low, found.high) == (50, 50, 50)


@given(arrays(float, st.integers(2, 30), elements=st.floats(0, 100)), st.floats(0.5, 0.99))
def test_t_interval_is_scipys(values, level):
    found = t_interval(values, level)
    if np.ptp(values) > 1e-6:
        assert (found.low, found.high) == pytest.approx(
            stats.t.interval(level, values.size - 1, values.mean(), stats.sem(values)), rel=1e-9, abs=1e-9
        )


@given(st.integers(0, 2**31), st.floats(-50, 50), st.floats(0.1, 5))
def test_intervals_follow_shift_and_scale(seed, shift, scale):
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
    assert summarise(table, "listener")["mean"].item() == (15 + 40) / 2
    assert summarise(table, "paper")["mean"].item() == pytest.approx(70 / 3)
    assert summarise(table, "paper")["n"].item() == 3


def test_bca_and_percentile_equal_scipys():
    values = np.random.default_rng(3).exponential(10, 15)
    rng = np.random.default_rng(1)
    drawn = draw_listeners(values[:, None], 40_000, rng)[:, 0]
    ours = bca(drawn, values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa", random_state=2
    ).confidence_interval
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.15)
    plain = np.quantile(drawn, [0.025, 0.975])
    assert ours.low > plain[0]  # the exponential's skewness moves both limits up
    assert ours.high > plain[1]


def test_bootstrap_variances_are_the_known_ones():
    """Drawing n of n gives (n-1)/n^2 of the sum of squares; drawing both ways adds the parts (Owen 2007)."""
    scores = simulated(8, 9, 7, 1).scores
    rng = np.random.default_rng(1)
    means = scores.mean(axis=1)
    drawn = draw_listeners(means, 40_000, rng)
    assert drawn.var() == pytest.approx(means.var() / 9, rel=0.03)
    both = draw_both(scores, 40_000, rng)[:, 0]
    table = scores[:, :, 0]
    by_listener, by_item = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_listener[:, None] - by_item + table.mean()
    expected = by_listener.var() / 9 + by_item.var() / 7 + rest.var() / 63
    assert both.var() == pytest.approx(expected, rel=0.03)


def test_bootstraps_are_repeatable_and_ordered(cube, ratings):
    first, second = (bootstrap(ratings, cube, 500, seed=3) for _ in range(2))
    assert first == second
    assert tuple(first) == SCHEMES
    assert first != bootstrap(ratings, cube, 500, seed=4)
    for condition in cube.conditions:
        width = {s: first[s][condition].high - first[s][condition].low for s in SCHEMES}
        assert width["rating"] < width["listener"]


def test_bootstrap_of_gaps_and_of_one_listener():
    cube = simulated(2, 5, 4, 2)
    cube.scores[0, 1:, :] = np.nan
    drawn = draw_both(cube.scores, 200, np.random.default_rng(1))
    assert np.isfinite(drawn).all()
    one = np.array([50.0])
    assert np.isnan(bca(np.full(10, 50.0), one).low)
    same = bca(np.full(10, 50.0), np.full(4, 50.0))
    assert (same.low, same.high) == (50, 50)


def test_incomplete_design_is_analysed_with_a_word_about_it(ratings):
    results = analyse(ratings.drop(index=[0]), screening="none")
    assert results.not_rated == (("L01", "drums saw_anech", "FOA"),)
    assert any("21 listeners who rated all" in w for w in results.warnings)
    assert results.effects[0].df_error == 7 * 20
    assert len(cells(results.ratings).listeners) == 22
