"""The scores as an array: averages, gaps, and what is left without some listeners."""

import numpy as np
import pandas as pd
import pytest

from analysis.ratings.cells import Cells, cells
from render.common.errors import InputError


def test_cells_average_replicates_and_leave_gaps():
    table = pd.DataFrame(
        [("s", "b", "y", "href", 1, 100.0), ("s", "a", "x", "la", 1, 10.0), ("s", "a", "x", "la", 2, 20.0)],
        columns=["session", "listener", "item", "condition", "replicate", "score"],
    )
    cube = cells(table)
    assert (cube.listeners, cube.items, cube.conditions) == (("a", "b"), ("x", "y"), ("la", "href"))
    expected = np.full((2, 2, 2), np.nan)
    expected[0, 0, 0], expected[1, 1, 1] = 15, 100
    np.testing.assert_array_equal(cube.scores, expected)
    assert not cube.complete


def test_names_in_which_a_whole_population_would_hide_are_refused():
    ids = [f"{i}" for i in range(400)]
    table = pd.DataFrame({"listener": ids, "item": ids, "condition": ids, "score": 1.0})
    with pytest.raises(InputError, match="are too many"):
        cells(table)


def test_conditions_are_bounded():
    names = [f"c{n}" for n in range(401)]
    table = pd.DataFrame({"listener": "a", "item": "x", "condition": names, "score": 1.0})
    assert len(cells(table[:400]).conditions) == 400
    with pytest.raises(
        InputError, match=r"1 listeners x 1 items x 401 conditions are too many \(possible are 400"
    ):
        cells(table)


def test_without_some_listeners_the_array_is_that_of_the_other_ratings():
    rows = [("s", listener, item, condition, 1, score) for listener, item, condition, score in (
        ("a", "x", "la", 10.0), ("a", "x", "prop", 60.0), ("b", "x", "la", 20.0), ("b", "y", "href", 99.0),
        ("c", "x", "la", 30.0), ("c", "x", "prop", 70.0),
    )]  # fmt: skip
    table = pd.DataFrame(rows, columns=["session", "listener", "item", "condition", "replicate", "score"])
    for excluded in ((), ("b",), ("a", "c"), ("b", "c")):
        found, expected = cells(table).without(excluded), cells(table[~table["listener"].isin(excluded)])
        assert found.listeners == expected.listeners
        assert found.items == expected.items
        assert found.conditions == expected.conditions
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert found.scores.flags.c_contiguous  # sums then have the same order, and the same rounding


def test_items_that_each_listener_rated():
    scores = np.full((4, 6, 2), 50.0)
    assert Cells(tuple("abcd"), tuple("uvwxyz"), tuple("AB"), scores).items_each == ""
    scores[0, 0, 0] = np.nan  # the page was rated all the same
    assert Cells(tuple("abcd"), tuple("uvwxyz"), tuple("AB"), scores).items_each == ""
    scores[:, :3] = np.nan
    assert Cells(tuple("abcd"), tuple("uvwxyz"), tuple("AB"), scores).items_each == "3 of 6 each"
    scores[0, 0] = 50
    assert Cells(tuple("abcd"), tuple("uvwxyz"), tuple("AB"), scores).items_each == "3 to 4 of 6 each"
