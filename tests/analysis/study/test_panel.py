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
    assert alone.agreement is None
