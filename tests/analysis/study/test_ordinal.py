"""The model of ordered categories as a part of the analysis: which ratings it takes, and what it says of them."""

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import Ratings
from analysis.reporting.html import report
from analysis.reporting.terminal import lines
from analysis.statistics.mixed_models import NoFit
from analysis.study.analysis import AnalysedTest, analyse
from analysis.study.options import Settings
from analysis.study.ordinal import ordinal_model
from analysis.study.results import as_json
from analysis.study.simulation import simulate


def test_systems_are_placed_and_said():
    table = simulate({"la": 20.0, "a": 55.0, "b": 80.0, "href": 100.0}, 8, ["x", "y", "z"], 1)
    results = analyse(Ratings(table), Settings(screening="none", ordinal=True))
    found = results.ordinal
    means = table.groupby("condition")["score"].mean()
    assert found.means["condition"].tolist() == ["a", "b"]
    assert found.means["mean"].tolist() == pytest.approx(means[["a", "b"]].tolist(), abs=3)
    (pair,) = found.pairs.itertuples()
    assert pair.ci_low < pair.log_odds < 0
    assert pair.p_holm == pair.p
    assert as_json(results)["ordinal"]["pairs"][0]["log_odds"] == pair.log_odds
    test = AnalysedTest(results)
    assert f"log odds {pair.log_odds:.2f}" in "\n".join(lines(test))
    assert "<h2>Scores as ordered categories</h2>" in report(test, {}, {})


def test_without_two_systems_the_reason_is_noted():
    table = simulate({"a": 55.0, "href": 100.0}, 4, ["x", "y"], 1)
    found = analyse(Ratings(table), Settings(screening="none", ordinal=True))
    assert found.ordinal is None
    assert any("a cumulative model needs 2 systems" in warning for warning in found.warnings)
    with pytest.raises(NoFit):
        ordinal_model(cells(table))
