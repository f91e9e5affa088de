"""Measures as predictors: what the table of a test holds, and real listeners against a published model."""

import csv

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.ratings.table import read
from analysis.statistics.prediction import dependent_correlations
from analysis.study.analysis import analyse
from analysis.study.options import Settings
from analysis.study.prediction import predictions


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(1)
    rows = [(f"i{i}", c, 9, m + 10 * rng.normal(), 3.0 + i % 3) for i in range(8)
            for c, m in (("la", 20), ("a", 50), ("b", 65), ("href", 99))]  # fmt: skip
    table = pd.DataFrame(rows, columns=["item", "condition", "n", "mean", "half"])
    return table.assign(ci_low=table["mean"] - table["half"], ci_high=table["mean"] + table["half"])


def test_a_curved_measure_is_mapped_and_another_is_compared_with_it(scores):
    rng = np.random.default_rng(2)
    measures = scores[["item", "condition"]].assign(
        curved=np.exp(-scores["mean"] / 40), rough=scores["mean"] + rng.normal(0, 12, len(scores)), none=np.nan
    )
    found = predictions(scores, measures).set_index(["measure", "conditions"])
    assert list(found.index) == [("curved", "all"), ("rough", "all"), ("curved", "systems"), ("rough", "systems")]
    assert found.loc[("curved", "all"), "r"] > 0.999
    assert found.loc[("curved", "all"), "outliers"] == 0
    assert found.loc[("curved", "all"), "rmse_epsilon"] == 0
    row = found.loc[("rough", "all")]
    assert row["n"] == 24
    assert 0 < row["outliers"] < 1
    assert row["rmse_epsilon"] < row["rmse"]
    assert row["p_best"] < 0.001
    assert np.isnan(found.loc[("curved", "all"), "p_best"])
    part = scores[scores["condition"] != "href"]
    se = part["half"] / stats.t.ppf(0.975, 8)
    assert row["noise"] == pytest.approx(np.sqrt(np.mean(se**2)))
    assert row["ceiling"] == pytest.approx(np.sqrt(1 - np.mean(se**2) / part["mean"].var()))


def test_published_models_on_real_ratings(reference_ratings):
    """BAM-Q and PEMO-Q as published with the ratings: the former is better, and both err more than the ratings."""
    folder = reference_ratings / "aes2023_ambisonics"
    results = analyse(read(folder / "webmushra_results.csv"), Settings(screening="none"))
    tables = []
    for name in ("bamq", "pemoq"):
        with open(folder / f"{name}.csv", newline="") as file:
            rows = [
                (
                    f"{row['scenario']}_{row['reverberation']}".replace("+", " "),
                    row["method"].lower(),
                    row["score"],
                )
                for row in csv.DictReader(file)
            ]
        tables.append(pd.DataFrame(rows, columns=["item", "condition", name]).astype({name: float}))
    scores = results.per_item.assign(condition=results.per_item["condition"].str.lower().str.replace("-", "_"))
    found = predictions(scores, tables[0].merge(tables[1])).set_index("measure")
    assert found["n"].tolist() == [91, 91]
    assert found.loc["bamq", "r"] > found.loc["pemoq", "r"]
    assert found.loc["pemoq", "p_best"] < 0.05
    assert (found["r"] < found["ceiling"]).all()
    assert (found["rmse"] > found["noise"]).all()
    assert dependent_correlations(0.9, 0.9, 0.8, 91)[1] == 1
