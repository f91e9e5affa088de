"""Post-screening: the standard's thresholds at their very edge, hinges by R, bimodality by closed forms."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from analysis.ratings.cells import Cells
from analysis.statistics.screening import PRESETS, screen
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
        f"post-screening by {preset} leaves no listener; check the ratings, or use --screening none"
    )


def test_real_listeners(cube):
    named = Cells(cube.listeners, cube.items, (*cube.conditions[:-1], "href"), cube.scores)
    result = screen(named)
    below = (named.scores[:, :, -1] < 90).mean(axis=1) > 0.15
    assert set(result.excluded) == {name for name, bad in zip(cube.listeners, below, strict=True) if bad}
    assert len(result.excluded) == 8
    assert result.flow[-1][1] == 14
