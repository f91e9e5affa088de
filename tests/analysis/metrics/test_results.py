"""The table of results: means, intervals, text and files."""

import json

import numpy as np
import pytest

from analysis.metrics.results import notes, summarise, table_text, write_results


def row(item, condition, cov_sum, **more):
    values = {"cov_sum": cov_sum, "kbps": None}
    known = {"material": "recording", "silent_channels": [], "notes": []}
    return {"item": item, "condition": condition, "values": values, **known, **more}


ROWS = [row("a", "la", 1.0), row("b", "la", 3.0), row("a", "=x", 0.5, silent_channels=[0, 4, 5, 6])]


def test_means_and_intervals():
    la, other = summarise(ROWS)
    half = 12.7062 * np.std([1, 3], ddof=1) / np.sqrt(2)  # Student's t for 1 degree of freedom
    assert (la["n"], la["mean"]) == (2, 2)
    assert (la["ci_low"], la["ci_high"]) == pytest.approx((2 - half, 2 + half), rel=1e-4)
    assert other == {
        "condition": "=x", "measure": "cov_sum", "n": 1, "mean": 0.5, "ci_low": None, "ci_high": None,
    }  # fmt: skip


def test_the_text_has_a_table_for_as_many_conditions_as_fit_in_a_line():
    lines = table_text(ROWS, 21).splitlines()
    assert [line.split() for line in lines] == [
        ["measure", "unit", "ideal", "la"], ["cov_sum", "0", "2", "±13"], [],
        ["measure", "unit", "ideal", "=x"], ["cov_sum", "0", "0.5"],
    ]  # fmt: skip
    assert len(table_text(ROWS, 42).splitlines()) == 2


def test_notes_name_lost_channels_and_synthetic_material():
    assert notes(ROWS) == ["a, =x: lost channels 0, 4-6"]
    synthetic = row("a", "la", 1.0, material="synthetic", notes=["is late"])
    assert notes([synthetic])[0] == "a, la: is late"
    assert "SYNTHETIC" in notes([synthetic])[1]


def test_files_have_the_columns_that_have_values(tmp_path):
    write_results([*ROWS, row('c"d', "la", None)], tmp_path, force=False)
    assert (tmp_path / "objective.csv").read_text().splitlines() == [
        "item,condition,material,cov_sum",
        "a,la,recording,1",
        "b,la,recording,3",
        "a,'=x,recording,0.5",
        '"c""d",la,recording,',
    ]
    content = json.loads((tmp_path / "objective.json").read_text())
    assert [measure["name"] for measure in content["measures"]] == ["cov_sum"]
    assert content["rows"][3]["values"] == {"cov_sum": None}
