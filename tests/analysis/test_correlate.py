"""Objective against subjective: scipy's coefficients, a published measure on real ratings, strict reading."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.correlate import correlate, pearson, read_measures, spearman
from analysis.ratings import read
from analysis.results import analyse
from render.errors import InputError


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=30))
def test_coefficients_are_scipys(pairs):
    x, y = np.array(pairs, float).T
    if np.ptp(x) and np.ptp(y):
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    else:
        assert np.isnan(pearson(x, y))


def table(values, conditions=("la", "a", "b", "href")):
    rows = [(item, c, float(v)) for item, row in values.items() for c, v in zip(conditions, row, strict=True)]
    return pd.DataFrame(rows, columns=["item", "condition", "mean"])


SCORES = table({"x": [10, 40, 70, 100], "y": [20, 50, 65, 99], "z": [5, 55, 60, 98], "w": [15, 45, 80, 100]})


def test_a_straight_line_is_found_and_the_reference_left_out():
    measures = SCORES.rename(columns={"mean": "m"}).assign(m=lambda t: -2 * t["m"] + 7)
    measures.loc[measures["condition"] == "href", "m"] = 1e6
    found = correlate(SCORES, measures, draws=200)
    assert found["conditions"].tolist() == ["all", "systems"]
    assert found["n"].tolist() == [12, 8]
    for name in ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_high", "within_items"):
        expected = [-1, -1] if name != "within_items" else [-1, np.nan]
        assert found[name].tolist() == pytest.approx(expected, nan_ok=True)
    assert found["rmse"].tolist() == pytest.approx([0, 0], abs=1e-5)


def test_error_is_that_of_the_fitted_line():
    rng = np.random.default_rng(1)
    measures = SCORES.rename(columns={"mean": "m"}).assign(m=lambda t: t["m"] + rng.normal(0, 9, len(t)))
    part = SCORES.merge(measures).query("condition != 'href'")
    fit = np.polyval(np.polyfit(part["m"], part["mean"], 1), part["m"])
    assert correlate(SCORES, measures, draws=10)["rmse"][0] == pytest.approx(
        np.sqrt(np.mean((part["mean"] - fit) ** 2))
    )


def test_bamq_follows_the_real_listeners(reference_ratings):
    """BAMQ (binaural auditory model of quality) as published with the ratings; r = 0.7 or more is its claim."""
    folder = reference_ratings / "aes2023_ambisonics"
    results = analyse(read(folder / "webmushra_results.csv"), screening="none")
    with open(folder / "bamq.csv", newline="") as file:
        rows = [(f"{r['scenario']}_{r['reverberation']}".replace("+", " "), r["method"].lower(), float(r["score"]))
                for r in csv.DictReader(file)]  # fmt: skip
    measures = pd.DataFrame(rows, columns=["item", "condition", "bamq"])
    scores = results.per_item.assign(condition=results.per_item["condition"].str.lower().str.replace("-", "_"))
    found = correlate(scores, measures, draws=300).iloc[0]
    joined = scores.merge(measures)
    assert found["n"] == len(joined) == 91
    assert found["pearson"] == pytest.approx(stats.pearsonr(joined["mean"], joined["bamq"]).statistic)
    assert found["pearson_low"] < found["pearson"] < found["pearson_high"]
    assert found["pearson"] > 0.7


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("item,condition\nx,la\n", ":1: needs the columns"),
        ("item,condition,m,m\nx,la,1,2\n", ":1: needs the columns"),
        ("item,condition,m\nx,la,loud\n", ":2: m 'loud' is not a number"),
        ("item,condition,m\nx,la,inf\n", ":2: m is infinite"),
        ("item,condition,m\nx,la\n", ":2: has 2 cells"),
        ("item,condition,m\nx,la,1\nx,la,2\n", "twice"),
        ("", ":1: needs the columns"),
    ],
)
def test_measures_are_read_strictly(tmp_path, text, what):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=what):
        read_measures(path)


def test_names_that_do_not_meet():
    with pytest.raises(InputError, match="do the names agree"):
        correlate(SCORES, SCORES.rename(columns={"mean": "m"}).assign(item="other"))
