"""What a listener's ratings say of the listener: R's analyses of single listeners, and cases made by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.ratings.cells import cells
from analysis.statistics.listeners import listener_table

PANEL = json.loads((Path(__file__).parents[2] / "golden" / "panel" / "panel.json").read_text())["panel"]


def described(table):
    return listener_table(table, cells(table)).set_index("listener")


def test_repeated_ratings_equal_r():
    table = pd.DataFrame(PANEL["ratings"])
    found = described(table.assign(**{c: table[c].astype(str) for c in ("listener", "item", "condition")}))
    expected = pd.DataFrame(PANEL["listeners"])
    for ours, theirs in {"discrimination": "f", "p_discrimination": "p", "repeat_sd": "repeat_sd",
                         "agreement": "agreement", "stretch": "stretch", "offset": "offset"}.items():  # fmt: skip
        assert found[ours].to_list() == pytest.approx(expected[theirs].to_list(), rel=1e-9), ours
    # with two ratings each, F = (1 + r) / (1 - r)
    f = expected["f"]
    assert found["reliability"].to_list() == pytest.approx(((f - 1) / (f + 1)).to_list())
    assert set(found["repeated"]) == {12}
    assert (set(found["df"]), set(found["df_error"])) == ({11}, {12})


def rated(scores, conditions):
    """A tidy table of scores (listener, item, condition)."""
    rows = [(f"L{i}", f"I{j}", c, 1, scores[i, j, k]) for i in range(scores.shape[0])
            for j in range(scores.shape[1]) for k, c in enumerate(conditions)]  # fmt: skip
    return pd.DataFrame(rows, columns=["listener", "item", "condition", "replicate", "score"])


def test_without_repetition_systems_are_told_apart_beyond_what_depends_on_the_item():
    scores = np.random.default_rng(1).integers(20, 80, (3, 6, 4)).astype(float)
    scores[..., 3] = 100
    found = described(rated(scores, ["a", "b", "c", "href"]))
    own = scores[1, :, :3]
    conditions, items = own.mean(axis=0) - own.mean(), own.mean(axis=1, keepdims=True) - own.mean()
    f = (6 * conditions @ conditions / 2) / (np.sum((own - own.mean() - conditions - items) ** 2) / 10)
    assert found.loc["L1", "discrimination"] == pytest.approx(f)
    assert found.loc["L1", "p_discrimination"] == pytest.approx(stats.f.sf(f, 2, 10))
    assert found.loc["L1", "at_ends"] == 0.25
    assert np.isnan(found.loc["L1", "repeat_sd"])
    others = scores[[0, 2], :, :3].mean(axis=0).ravel()
    assert found.loc["L1", "agreement"] == pytest.approx(stats.pearsonr(own.ravel(), others)[0])


def test_a_listener_who_halves_the_scale_has_half_the_stretch():
    panel = np.random.default_rng(1).integers(10, 90, (1, 5, 3)).astype(float)
    found = described(rated(np.concatenate([panel, panel, panel / 2 + 30]), ["a", "b", "c"]))
    assert found.loc["L2", ["stretch", "agreement"]].to_list() == pytest.approx([0.5, 1.0])
    assert found.loc["L2", "offset"] == pytest.approx(30 - panel.mean() / 2)


def test_what_cannot_be_said_of_few_ratings():
    one = described(rated(np.full((2, 1, 1), 50.0), ["a"]))
    assert one[["agreement", "stretch", "repeat_sd", "reliability", "discrimination"]].isna().all(axis=None)
    assert one["mean"].to_list() == [50.0, 50.0]
    same = described(rated(np.full((2, 3, 2), 50.0), ["a", "b"]))
    assert same[["agreement", "stretch", "discrimination"]].isna().all(axis=None)
    assert same["offset"].to_list() == [0.0, 0.0]
