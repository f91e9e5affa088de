"""Ratings from two laboratories: whose listeners are whose, screening in each, and what a reader is told."""

import numpy as np
import pandas as pd
import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import Ratings
from analysis.statistics.interval import t_interval
from analysis.statistics.screening import screen
from analysis.study.analysis import analyse
from analysis.study.laboratories import screen_each, tell_apart
from analysis.study.options import Settings
from analysis.study.simulation import simulate
from render.common.errors import InputError

EFFECTS = {"ma": 40.0, "a": 55.0, "b": 65.0, "href": 100.0}


@pytest.fixture(scope="module")
def table():
    """Two laboratories of 6 and 7 listeners, two of whom have one name; in the second a is better than b."""
    first = simulate(EFFECTS, 6, ["x", "y", "z"], 1).assign(laboratory="Oslo")
    second = simulate(EFFECTS | {"a": 85.0, "b": 45.0}, 7, ["x", "y", "z"], 2).assign(laboratory="Rome")
    second["listener"] = second["listener"].replace({f"simulated-0{i}": f"simulated-1{i}" for i in range(2, 8)})
    return pd.concat([first, second], ignore_index=True)


def test_listeners_of_one_name_are_told_apart(table):
    apart, laboratory, notes = tell_apart(table, None)
    assert notes == ["listeners of one name in several laboratories are told apart: simulated-01"]
    assert laboratory["Oslo/simulated-01"] == "Oslo"
    assert laboratory["Rome/simulated-01"] == "Rome"
    assert len(laboratory) == 13
    assert apart["listener"].nunique() == 13
    assert tell_apart(table[table["laboratory"] == "Oslo"], None)[1] == {}
    assert tell_apart(table.drop(columns="laboratory"), None)[1] == {}


@pytest.mark.parametrize(("column", "change", "said"), [
    ("labs", {}, "--laboratory labs: the ratings have no such column"),
    (None, {"Oslo": ""}, "72 ratings have no laboratory in the column laboratory"),
])  # fmt: skip
def test_laboratories_that_are_not_named(table, column, change, said):
    with pytest.raises(InputError, match=said):
        tell_apart(table.assign(laboratory=table["laboratory"].replace(change)), column)


def test_an_item_on_which_one_laboratory_fails_is_held_against_the_other_alone(table):
    """All of Oslo hear no anchor on x, so it is no evidence there; in Rome one listener hears none."""
    apart, laboratory, _ = tell_apart(table, None)
    anchor = (apart["condition"] == "ma") & (apart["item"] == "x")
    oslo = apart["laboratory"] == "Oslo"
    failing = apart.assign(
        score=apart["score"].mask(anchor & (oslo | (apart["listener"] == "simulated-12")), 95.0)
    )
    cube = cells(failing.assign(score=failing["score"].mask(failing["condition"] == "href", 100.0)))
    found = screen_each(cube, laboratory, "bs1534-3")
    assert list(found.excluded) == ["simulated-12"]
    assert list(screen(cube).excluded) == []  # 7 of 13 listeners: pooled, the item would be no evidence anywhere
    assert found.flow[0] == ("all", 13)
    assert found.flow[-1][1] == 12
    assert [note for note in found.notes if note.startswith("laboratory Oslo: mid anchor rated > 90")]


def test_the_analysis_tells_of_the_laboratories(table):
    found = analyse(Ratings(table), Settings(screening="none"))
    laboratories = found.laboratories
    assert laboratories.listeners == {"Oslo": 6, "Rome": 7}
    row = laboratories.means.set_index(["laboratory", "condition"]).loc[("Rome", "b")]
    own = table[(table["laboratory"] == "Rome") & (table["condition"] == "b")].groupby("listener")["score"].mean()
    expected = t_interval(own.to_numpy())
    assert row.to_list() == pytest.approx([7, expected.mean, expected.low, expected.high])
    assert laboratories.effects[2].p_gg < 0.05
    said = " ".join(found.warnings)
    assert "2 laboratories: Oslo (6 listeners), Rome (7 listeners). Post-screening was made in each" in said
    assert "laboratories and conditions interact" in said
    assert len(found.cube.listeners) == 13


def test_laboratories_of_one_listener_have_means_and_no_test(table):
    few = table[table["listener"].isin(["simulated-01", "simulated-02", "simulated-03"])]
    found = analyse(Ratings(few), Settings(screening="none"))
    assert found.laboratories.effects == ()
    assert np.isnan(found.laboratories.means.set_index(["laboratory", "condition"]).loc[("Rome", "a"), "ci_low"])
    assert any("a comparison of laboratories needs" in warning for warning in found.warnings)
