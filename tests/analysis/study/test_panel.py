"""The panel of a test: correlations over the systems alone, the scatter of repeated ratings pooled."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from analysis.ratings.cells import cells
from analysis.statistics.reliability import agreement
from analysis.study.panel import describe_panel


def test_systems_and_repeated_ratings():
    rng = np.random.default_rng(1)
    rows = [(listener, item, condition, replicate, float(rng.integers(20, 80)))
            for listener in "pqr" for item in "xy" for condition in ("a", "b", "href")
            for replicate in (1, 2)][:-1]  # fmt: skip
    table = pd.DataFrame(rows, columns=["listener", "item", "condition", "replicate", "score"])
    cube = cells(table)
    panel = describe_panel(table, cube)
    assert panel.stimuli == 4
    expected = agreement(cube.scores[:, :, :2].reshape(3, 4).T)
    assert astuple(panel.agreement) == pytest.approx(astuple(expected))
    systems = table[table["condition"] != "href"].groupby(["listener", "item", "condition"])["score"]
    assert panel.repeat_sd == pytest.approx(np.sqrt(systems.var().mean()))
    alone = describe_panel(table[table["listener"] == "p"], cube.without(["q", "r"]))
    assert (
        alone.agreement
        == alone.consistency
        == ("an intraclass correlation needs 2 stimuli that the same 2 listeners rated")
    )


def test_exchanged_scores_leave_one_coefficient():
    """Two listeners exchange the scores of two stimuli: MS_S = MS_L = 0, so that ICC(3,1) = -MS_E / MS_E."""
    rows = [("p", "x", "a", 40.0), ("p", "x", "b", 60.0), ("q", "x", "a", 60.0), ("q", "x", "b", 40.0)]
    table = pd.DataFrame(rows, columns=["listener", "item", "condition", "score"]).assign(replicate=1)
    panel = describe_panel(table, cells(table))
    assert panel.agreement == "ICC(2,1) needs means that differ, of stimuli or of listeners"
    assert panel.consistency.single == pytest.approx(-1)
