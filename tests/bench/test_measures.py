"""The largest difference of two checkouts' values."""

import math

import pytest

from bench.measures import largest_difference


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 2.0, "b": 4.0}, {"a": 1.0, "b": 4.0}, (0.5, "a")),
        ({"a": 2.0}, {"a": 2.0, "b": 4.0}, (1.0, "b")),
        ({"a": 2.0, "b": 4.0}, {"a": 2.0}, (1.0, "b")),
        ({"a": None}, {"a": 0.0}, (1.0, "a")),
        ({"a": 0.0}, {"a": math.nan}, (1.0, "a")),
        ({"a": None, "b": math.nan}, {"a": math.nan, "b": None}, (0.0, "b")),
    ],
)
def test_a_value_of_one_side_only_counts_as_1(old, new, expected):
    assert largest_difference(old, new) == expected
