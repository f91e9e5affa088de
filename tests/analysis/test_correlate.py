"""Objective against subjective: scipy's coefficients, a published measure on real ratings, strict reading."""

import json
import sys

import pandas as pd
import pytest

from analysis import correlate as command


def table(values, conditions=("la", "a", "b", "href")):
    rows = [(item, c, float(v)) for item, row in values.items() for c, v in zip(conditions, row, strict=True)]
    return pd.DataFrame(rows, columns=["item", "condition", "mean"])


SCORES = table({"x": [10, 40, 70, 100], "y": [20, 50, 65, 99], "z": [5, 55, 60, 98], "w": [15, 45, 80, 100]})


def test_the_command_writes_table_and_scatter(tmp_path, monkeypatch, capsys):
    rows = ["session,listener,item,condition,score"]
    measures = ["item,condition,material,mel,kbps,empty"]
    for number, row in enumerate(SCORES.itertuples()):
        measures.append(
            f'{row.item},{row.condition},"synthetic, seeded",{200 - row.mean},{16 if number % 2 else 32},'
        )
        rows += [f"simulated,l{n},{row.item},{row.condition},{min(row.mean + n, 100)}" for n in range(3)]
    (tmp_path / "r.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "m.csv").write_text("\n".join(measures) + "\n")
    out = tmp_path / "o"
    arguments = [str(tmp_path / "r.csv"), str(tmp_path / "m.csv"), "-o", str(out), "--draws", "50"]
    monkeypatch.setattr(sys, "argv", ["correlate", *arguments])
    command.main()
    printed = capsys.readouterr().out
    assert "mel              all" in printed
    written = pd.read_csv(out / "correlations.csv")
    assert written.loc[0, "spearman"] == pytest.approx(-1)
    assert "empty" not in set(written["measure"])
    first = [(out / name).read_bytes() for name in ("scatter.png", "scatter.pdf")]
    command.main()  # the same bytes: nothing is refused
    assert first == [(out / name).read_bytes() for name in ("scatter.png", "scatter.pdf")]


def test_ratings_of_a_blinded_package_are_joined_with_the_key(tmp_path, command):
    key = {"items": {item: {"1": "la", "2": "opus3_160", "3": "prop", "4": "href"} for item in ("x", "y", "z")}}
    (tmp_path / "key.json").write_text(json.dumps(key))
    made = command("analysis.simulate", "--key", tmp_path / "key.json", "-o", tmp_path / "r.csv")
    assert made.returncode == 0, made.stderr
    lines = [f"{item},{c},{i}" for item in key["items"] for i, c in enumerate(("la", "opus3_160", "prop"))]
    (tmp_path / "m.csv").write_text("\n".join(["item,condition,level", *lines]) + "\n")
    found = command("analysis.correlate", tmp_path / "r.csv", tmp_path / "m.csv", "--key", tmp_path / "key.json")
    assert found.stdout.startswith("SIMULATED")
    assert "level" in found.stdout
