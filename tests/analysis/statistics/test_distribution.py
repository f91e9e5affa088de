"""Hinges, outliers, skewness, kurtosis and bimodality."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.ratings.table import read
from analysis.statistics.distribution import bimodality, hinges, outliers, skewness_and_kurtosis


@given(arrays(float, st.integers(4, 20), elements=st.integers(0, 100)))
def test_shape_is_scipys(values):
    if np.ptp(values):
        expected = stats.skew(values, bias=False), stats.kurtosis(values, bias=False)
        assert skewness_and_kurtosis(values) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    else:
        assert np.isnan(skewness_and_kurtosis(values)).all()


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 4.0], [5.0] * 6])
def test_shape_of_too_little(values):
    assert np.isnan(skewness_and_kurtosis(np.array(values))).tolist() == [True, True]


def test_shape_of_small_differences():
    assert not np.isnan(skewness_and_kurtosis(np.array([1.0, 1.00001, 1.00003, 1.0]))).any()
    assert np.isnan(skewness_and_kurtosis(np.array([1.0, 1.0 + 1e-9, 1.0, 1.0]))).all()


def test_hinges_equal_r(reference_ratings):
    table = read(reference_ratings / "expected" / "A.csv").table
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
