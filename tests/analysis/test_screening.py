"""Post-screening: the standard's thresholds at their very edge, hinges by R, bimodality by closed forms."""

import csv
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.ratings.table import Cells, read
from analysis.statistics.screening import PRESETS, bimodality, hinges, outliers, screen
from render.common.errors import InputError


def design(listeners, items, conditions=("la", "ma", "prop", "href"), scores=(20.0, 50.0, 70.0, 100.0)):
    values = np.tile(np.array(scores), (listeners, items, 1))
    return Cells(
        tuple(f"L{i}" for i in range(listeners)),
        tuple(f"I{j}" for j in range(items)),
        tuple(conditions),
        values,
    )


@pytest.mark.parametrize(("items", "bad", "excluded"), [
    (20, 3, False), (20, 4, True), (25, 4, True), (8, 1, False), (8, 2, True), (13, 1, False), (13, 2, True),
    (6, 1, True), (53, 8, True), (60, 9, False),
])  # fmt: skip
def test_hidden_reference_rule_is_more_than_15_percent(items, bad, excluded):
    cube = design(5, items)
    cube.scores[2, :bad, 3] = 89.999
    result = screen(cube)
    assert list(result.excluded) == (["L2"] if excluded else [])
    if excluded:
        (evidence,) = result.excluded["L2"]
        assert (evidence.items, evidence.of) == (tuple(f"I{j}" for j in range(bad)), items)
        assert evidence.scores == (89.999,) * bad
        assert result.flow == (
            ("all", 5), ("hidden reference < 90 on > 15 % of items", 4), ("mid anchor > 90 on > 15 % of items", 4),
        )  # fmt: skip


def test_exactly_90_breaks_neither_rule():
    cube = design(4, 8)
    cube.scores[0, :, 3] = 90
    cube.scores[1, :, 1] = 90
    assert screen(cube).excluded == {}


@pytest.mark.parametrize(("raters", "counts"), [(2, True), (3, False)])
def test_mid_anchor_rule_and_its_guard(raters, counts):
    """8 listeners: 2 of 8 are 25 %, not more; 3 of 8 show that the item was hardly filtered."""
    cube = design(8, 8)
    cube.scores[:raters, :2, 1] = 91
    result = screen(cube)
    assert list(result.excluded) == ([f"L{i}" for i in range(raters)] if counts else [])
    assert any("no evidence: I0, I1" in note for note in result.notes) is not counts


def test_guard_is_more_than_25_percent():
    cube = design(50, 8)
    cube.scores[:13, :2, 1] = 91  # 26 % of the listeners
    assert screen(cube).excluded == {}
    cube.scores[12, :2, 1] = 90  # 24 %
    assert len(screen(cube).excluded) == 12
    cube = design(103, 5)
    cube.scores[:26, 0, 1] = 91  # 25.2 %
    assert screen(cube).excluded == {}


def test_mpeg_strict_needs_one_item_of_however_many():
    cube = design(3, 150)
    cube.scores[1, 7, 3] = 89
    cube.scores[2, 7, 1] = 10
    assert list(screen(cube, "mpeg-strict").excluded) == ["L1", "L2"]


def test_guarded_items_stay_among_the_items():
    """One broken item of 8 is 12.5 %, also when two others were withdrawn as evidence."""
    cube = design(8, 8)
    cube.scores[:4, :2, 1] = 95
    cube.scores[7, 5, 1] = 95
    assert screen(cube).excluded == {}


def test_share_is_of_the_items_rated():
    cube = design(5, 8)
    cube.scores[1, 0, 3] = 50
    assert screen(cube).excluded == {}
    cube.scores[1, 3:, 3] = np.nan  # 1 of the 3 items that L1 rated
    assert list(screen(cube).excluded) == ["L1"]


def test_missing_anchor_and_reference_are_said():
    assert screen(design(3, 8, ("la", "href"), (20, 100))).notes == (
        "no mid anchor (7 kHz) among the ratings: its rule could not be applied",
    )
    assert screen(design(3, 8, ("la", "ma"), (20, 50))).notes == (
        "no hidden reference among the ratings: its rule could not be applied",
    )
    assert screen(design(3, 8, ("la", "ma"), (20, 50)), "mpeg-strict").notes == (
        "no hidden reference among the ratings: the rule could not be applied",
    )
    assert screen(design(3, 8, ("la", "href"), (20, 100)), "mpeg-strict").notes == (
        "no condition ma: left out of the order",
    )
    assert screen(design(3, 8, ("ma", "href"), (20, 100)), "mpeg-strict").notes == (
        "no condition la: left out of the order",
    )
    assert screen(design(3, 8), "mpeg-strict").notes == ()


def test_outcome_as_json_and_its_fixedness():
    cube = design(4, 8)
    cube.scores[2, :2, 3] = 80
    cube.scores[2, :2, 1] = 95
    result, items = screen(cube), ("I0", "I1")
    assert result.as_json() == {
        "rule": "bs1534-3",
        "excluded": [{"listener": "L2", "evidence": [
            {"rule": "hidden reference < 90 on > 15 % of items", "items": items, "scores": (80, 80), "of": 8},
            {"rule": "mid anchor > 90 on > 15 % of items", "items": items, "scores": (95, 95), "of": 8},
        ]}],
        "flow": [{"after": "all", "listeners": 4},
                 {"after": "hidden reference < 90 on > 15 % of items", "listeners": 3},
                 {"after": "mid anchor > 90 on > 15 % of items", "listeners": 3}],
        "notes": [],
    }  # fmt: skip
    for value, field in ((result, "preset"), (result.excluded["L2"][0], "rule")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, "x")


def test_guard_names_its_items():
    cube = design(4, 8)
    cube.scores[:2, 5, 1] = 95
    assert screen(cube).notes == ("mid anchor rated > 90 by more than 25 % of listeners, so no evidence: I5",)


def test_mpeg_strict():
    cube = design(6, 8)
    cube.scores[0, 3, 3] = 89
    cube.scores[1, 3, 1] = 19  # mid below low anchor
    cube.scores[2, 3, 1:4:2] = 95, 94  # reference below mid anchor
    cube.scores[3, 3, 0:2] = 30, 30  # equal is in order
    cube.scores[4, 3, 3] = 90
    result = screen(cube, "mpeg-strict")
    assert list(result.excluded) == ["L0", "L1", "L2"]
    assert [e.rule for evidence in result.excluded.values() for e in evidence] == [
        "hidden reference < 90 on any item", "ma rated below la on any item", "href rated below ma on any item",
    ]  # fmt: skip
    assert result.flow == (
        ("all", 6), ("hidden reference < 90 on any item", 5), ("href rated below ma on any item", 4),
        ("ma rated below la on any item", 3),
    )  # fmt: skip
    assert screen(cube, "none").excluded == {}
    assert screen(design(3, 8, ("la", "x"), (5, 9)), "mpeg-strict").excluded == {}


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"none"}))
def test_nobody_left_is_an_error(preset):
    cube = design(3, 8)
    cube.scores[:, :, 3] = 10
    with pytest.raises(InputError) as error:
        screen(cube, preset)
    assert str(error.value) == (
        f"post-screening by {preset} leaves no listener; look at the ratings, or use --screening none"
    )


def test_real_listeners(cube):
    named = Cells(cube.listeners, cube.items, (*cube.conditions[:-1], "href"), cube.scores)
    result = screen(named)
    below = (named.scores[:, :, -1] < 90).mean(axis=1) > 0.15
    assert set(result.excluded) == {name for name, bad in zip(cube.listeners, below, strict=True) if bad}
    assert len(result.excluded) == 8
    assert result.flow[-1][1] == 14


def test_hinges_equal_r(reference_ratings):
    table = read(reference_ratings / "expected" / "A.csv")
    with open(reference_ratings / "expected" / "A_hinges_1534.csv", newline="") as file:
        for name, *expected in list(csv.reader(file))[1:]:
            scores = table["score"][table["condition"] == name].to_numpy()
            assert hinges(scores) == tuple(map(float, expected))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5], (5, 5, 5)), ([1, 2], (1, 1.5, 2)), ([1, 2, 3], (1.5, 2, 2.5)), ([4, 1, 3, 2], (1.5, 2.5, 3.5)),
     ([1, 2, 3, 4, 5], (2, 3, 4))],
)  # fmt: skip
def test_hinges_include_the_median_for_odd_counts(values, expected):
    assert hinges(np.array(values, float)) == expected


def ratings(scores, item="x"):
    rows = [("s", f"L{i}", item, "c", 1, float(v)) for i, v in enumerate(scores)]
    return pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])


def test_outliers_lie_beyond_one_and_a_half_ranges():
    table = ratings([10, 20, 30, 40, 50, 80, 80.1])  # hinges 25 and 65: reach to 125 and -35
    assert outliers(table).empty
    table = ratings([40, 41, 42, 43, 44, 47, 47.1])  # hinges 41.5, 45.5: reach to 35.5 and 51.5
    assert outliers(pd.concat([table, ratings([51.5], "y")])).empty
    found = outliers(ratings([40, 41, 42, 43, 44, 46, 52.6]))  # hinges 41.5 and 45: reach to 50.25
    assert found["score"].tolist() == [52.6]
    assert found["listener"].tolist() == ["L6"]
    edge = [40, 41, 42, 43, 44, 46]  # with one more above: hinges 41.5 and 45, reach to 36.25 and 50.25
    assert outliers(ratings([*edge, 50.25])).empty
    assert outliers(ratings([*edge, 50.26]))["score"].tolist() == [50.26]
    edge = [60, 59, 58, 57, 56, 54]  # with one more below: hinges 55 and 58.5, reach to 49.75
    assert outliers(ratings([*edge, 49.75])).empty
    assert outliers(ratings([*edge, 49.74]))["score"].tolist() == [49.74]


def test_outliers_are_sought_within_item_and_condition():
    """Four groups that overlap only in the table; in each, the last but one rating is the odd one."""
    parts = []
    for item, base in (("x", 10), ("y", 50)):
        for condition, offset in (("a", 0), ("b", 20)):
            scores = [base + offset + d for d in (0, 1, 2, 3, 4, 15, 2)]
            parts.append(ratings(scores, item).assign(condition=condition))
    table = pd.concat(parts).sample(frac=1, random_state=1)
    found = outliers(table)
    assert list(found.columns) == [
        "session", "listener", "item", "condition", "score", "lower_hinge", "upper_hinge",
    ]  # fmt: skip
    assert found.values.tolist() == [
        ["s", "L5", item, condition, low + 13.5, low, low + 2.0]
        for item, condition, low in (("x", "a", 11.5), ("x", "b", 31.5), ("y", "a", 51.5), ("y", "b", 71.5))
    ]
    assert found.index.tolist() == [0, 1, 2, 3]


def test_bimodality_of_known_distributions():
    """b tends to 5/9 for the uniform, 1 for two points, 1/3 for the normal distribution."""
    assert bimodality(np.linspace(0, 1, 200_001)) == pytest.approx(5 / 9, abs=1e-4)
    assert bimodality(np.repeat([0.0, 1.0], 100_000)) == pytest.approx(1, abs=1e-4)
    normal = np.random.default_rng(1).normal(size=400_000)
    assert bimodality(normal) == pytest.approx(1 / 3, abs=5e-3)


@given(
    st.lists(st.integers(0, 100), min_size=4, max_size=30).filter(lambda v: len(set(v)) > 1),
    st.floats(0.1, 9),
)
def test_bimodality_by_its_definition_and_free_of_scale(values, factor):
    values = np.array(values, float)
    n = values.size
    g, k = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
    expected = (g**2 + 1) / (k + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality(values) == pytest.approx(expected, rel=1e-9)
    assert bimodality(factor * values + 3) == pytest.approx(expected, rel=1e-6)


def test_bimodality_of_four_values():
    values = np.array([1.0, 2.0, 3.0, 9.0])
    g, k = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
    assert bimodality(values) == pytest.approx((g**2 + 1) / (k + 13.5))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [7.0] * 9])
def test_bimodality_of_too_little(values):
    assert np.isnan(bimodality(np.array(values)))
