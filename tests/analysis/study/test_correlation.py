"""Correlation of measures and scores: equal to SciPy's, the baseline, coverage of intervals, strict reading."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.ratings.table import read
from analysis.study.analysis import analyse
from analysis.study.correlation import BASELINE, coefficients, correlate, read_measures
from analysis.study.options import Settings
from render.common.errors import InputError


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 3)), min_size=3, max_size=30))
def test_coefficients_are_scipys_also_of_weighted_samples(triples):
    """A weight is a repetition: scipy's coefficients of the repeated pairs."""
    x, y, weights = np.array(triples, float).T
    found = coefficients(x, y, weights[None])[0]
    repeated = [np.repeat(v, weights.astype(int)) for v in (x, y)]
    if np.count_nonzero(weights) < 3:
        assert np.isnan(found).all()
    elif np.ptp(repeated[0]) and np.ptp(repeated[1]):
        expected = [f(*repeated).statistic for f in (stats.pearsonr, stats.spearmanr, stats.kendalltau)]
        assert found == pytest.approx(expected, abs=1e-9)
    else:
        assert np.isnan(found).all()


def table(values, conditions=("la", "a", "b", "href")):
    rows = [(item, c, float(v)) for item, row in values.items() for c, v in zip(conditions, row, strict=True)]
    return pd.DataFrame(rows, columns=["item", "condition", "mean"])


SCORES = table({"x": [10, 40, 70, 100], "y": [20, 50, 65, 99], "z": [5, 55, 60, 98], "w": [15, 45, 80, 100]})


def pooled(found):
    return found[found["conditions"].isin(("all", "systems"))]


def test_a_straight_line_is_found_and_the_reference_left_out():
    measures = SCORES.rename(columns={"mean": "m"}).assign(m=lambda t: -2 * t["m"] + 7)
    measures.loc[measures["condition"] == "href", "m"] = 1e6
    found = correlate(SCORES, measures, draws=200)
    assert found["conditions"].tolist() == ["all", "systems", "la", "a", "b"]
    assert found["n"].tolist() == [12, 8, 4, 4, 4]
    for name in ("pearson", "pearson_low", "spearman", "spearman_high", "kendall", "kendall_low"):
        assert found[name].tolist() == pytest.approx([-1] * 5)
    assert pooled(found)["within_items"].tolist() == pytest.approx([-1, np.nan], nan_ok=True)
    assert found["rmse"].tolist() == pytest.approx([0] * 5, abs=1e-5)


def test_error_is_that_of_the_fitted_line():
    rng = np.random.default_rng(1)
    measures = SCORES.rename(columns={"mean": "m"}).assign(m=lambda t: t["m"] + rng.normal(0, 9, len(t)))
    part = SCORES.merge(measures).query("condition != 'href'")
    fit = np.polyval(np.polyfit(part["m"], part["mean"], 1), part["m"])
    assert correlate(SCORES, measures, draws=10)["rmse"][0] == pytest.approx(
        np.sqrt(np.mean((part["mean"] - fit) ** 2))
    )


def test_the_bit_rate_is_the_baseline():
    """A measure that equals the scores leads by what the rate lacks; one that is the rate leads by nothing."""
    rates = {"la": np.nan, "a": 16.0, "b": 32.0, "href": np.nan}
    measures = SCORES.rename(columns={"mean": "m"}).assign(
        kbps=lambda t: t["condition"].map(rates), same=lambda t: t["kbps"] ** 2
    )
    found = correlate(SCORES, measures, draws=500).set_index(["measure", "conditions"])
    systems = SCORES[SCORES["condition"].isin(("a", "b"))]
    rate = stats.spearmanr(systems["mean"], systems["condition"].map(rates)).statistic
    assert found.loc[(BASELINE, "all"), "spearman"] == pytest.approx(rate)
    assert found.loc[("m", "all"), "over_rate"] == pytest.approx(1 - rate)
    assert found.loc[("m", "all"), "over_rate_low"] >= 0
    assert found.loc[("same", "all"), ["over_rate", "over_rate_low", "over_rate_high"]].tolist() == [0, 0, 0]
    assert np.isnan(found.loc[("kbps", "all"), "over_rate"])


def test_bootstrap_intervals_cover():
    """Correlation 0.6 over 25 items: the 95 % intervals cover it in about 95 % of 100 tables."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        x = rng.standard_normal(25)
        y = 0.6 * x + 0.8 * rng.standard_normal(25)
        scores = pd.DataFrame({"item": [f"i{n}" for n in range(25)], "condition": "a", "mean": y})
        measures = scores[["item", "condition"]].assign(m=x)
        row = correlate(scores, measures, draws=200).iloc[0]
        covered += row["pearson_low"] <= 0.6 <= row["pearson_high"]
    assert 0.86 <= covered / 100 <= 0.99


def test_bamq_follows_the_real_listeners(reference_ratings):
    """BAMQ (binaural auditory model of quality) as published with the ratings; r = 0.7 or more is its claim."""
    folder = reference_ratings / "aes2023_ambisonics"
    results = analyse(read(folder / "webmushra_results.csv"), Settings(screening="none"))
    with open(folder / "bamq.csv", newline="") as file:
        rows = [(f"{r['scenario']}_{r['reverberation']}".replace("+", " "), r["method"].lower(), float(r["score"]))
                for r in csv.DictReader(file)]  # fmt: skip
    measures = pd.DataFrame(rows, columns=["item", "condition", "bamq"])
    scores = results.per_item.assign(condition=results.per_item["condition"].str.lower().str.replace("-", "_"))
    found = correlate(scores, measures, draws=300).iloc[0]
    joined = scores.merge(measures)
    assert found["n"] == len(joined) == 91
    for name, function in (
        ("pearson", stats.pearsonr),
        ("spearman", stats.spearmanr),
        ("kendall", stats.kendalltau),
    ):
        assert found[name] == pytest.approx(function(joined["mean"], joined["bamq"]).statistic)
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
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
