"""The command lines end to end: simulate, analyse, repeat, refuse."""

import csv
import importlib
import io
import json
import resource
import subprocess
import sys
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout

import pytest

from analysis import figures
from analysis.ratings import cells, read, read_key, write
from analysis.results import analyse, as_json
from analysis.simulate import EFFECTS, VARIANCES, linear_scores, simulate
from analysis.statistics import summarise
from render.command import run

Done = namedtuple("Done", "returncode stdout stderr")


def command(verb, *arguments):
    """Run a command line in this process, as ``python -m verb`` does: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    module = importlib.import_module(verb)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [verb, *map(str, arguments)])
        try:
            run(module.main)
            status = 0
        except SystemExit as leave:
            status = leave.code
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Simulated ratings of a blinded package, analysed once."""
    folder = tmp_path_factory.mktemp("mushra")
    conditions = ["href", "la", "opus3_160", "prop"]
    key = {"layout": "7.1.4", "items": {item: {f"{i:04x}{j:04x}": c for j, c in enumerate(conditions)}
                                       for i, item in enumerate(["Beach", "Park", "Woodland"])}}  # fmt: skip
    (folder / "key.json").write_text(json.dumps(key))
    made = command(
        "analysis.simulate",
        "--listeners",
        6,
        "--seed",
        1,
        "--key",
        folder / "key.json",
        "-o",
        folder / "ratings.csv",
    )
    assert made.returncode == 0, made.stderr
    done = command(
        "analysis.mushra",
        folder / "ratings.csv",
        "--key",
        folder / "key.json",
        "--ci",
        "paper",
        "-o",
        folder / "out",
    )
    assert done.returncode == 0, done.stderr
    (folder / "terminal.txt").write_text(done.stdout)
    write(folder / "plain.csv", read(folder / "ratings.csv", read_key(folder / "key.json")))
    return folder


def test_summary_files_hold_what_the_design_fixes(folder):
    with open(folder / "out" / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["condition", "n", "mean", "ci_low", "ci_high", "median"]
    assert [row["condition"] for row in rows] == ["la", "opus3_160", "prop", "href"]
    assert all(row["n"] == "18" for row in rows)
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert [r["mean"] for r in summary["rows"]] == pytest.approx([float(r["mean"]) for r in rows])
    assert summary["simulated"] is True
    assert summary["ci"]["convention"] == "paper"
    assert summary["screening"]["excluded"] == []
    ratings = read(folder / "ratings.csv", read_key(folder / "key.json"))
    assert summary["rows"] == summarise(ratings, "paper").to_dict("records")


def test_terminal_says_what_it_is(folder):
    text = (folder / "terminal.txt").read_text()
    assert text.startswith("SIMULATED RATINGS")
    for word in (
        "6 listeners x 3 items",
        "LA",
        "OPUS",
        "PROP",
        "H-REF",
        "taken as independent",
        "BS.1534-3",
        "median",
    ):
        assert word in text


def test_repetition_is_identical_and_other_results_are_not_overwritten(folder):
    before = {p.name: p.read_bytes() for p in (folder / "out").iterdir()}
    assert set(before) == {"summary.csv", "summary.json", "pairs.csv", "items.csv", "outliers.csv",
                           "mushra.pdf", "mushra.png", "mushra.svg"}  # fmt: skip
    call = ["analysis.mushra", folder / "ratings.csv", "--key", folder / "key.json", "-o", folder / "out"]
    assert command(*call, "--ci", "paper").returncode == 0
    assert {p.name: p.read_bytes() for p in (folder / "out").iterdir()} == before
    other = command(*call, "--ci", "listener")
    assert other.returncode == 2
    assert "exists and differs" in other.stderr
    assert {p.name: p.read_bytes() for p in (folder / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "session,listener,item,condition,score\ns,a,x,la,200\n",
            "ratings.csv:2: score 200 is outside 0 to 100",
        ),
        ("session,listener,item,stimulus,score\ns,a,x,00,20\n", "give the package's key with --key"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, text, what):
    (tmp_path / "ratings.csv").write_text(text)
    done = command("analysis.mushra", tmp_path / "ratings.csv", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_report_command(folder, tmp_path):
    made = command("analysis.report", folder / "plain.csv", "-o", tmp_path / "r.html")
    assert made.returncode == 0, made.stderr
    assert "SIMULATED RATINGS" in (tmp_path / "r.html").read_text()
    assert 'room = ""' in command("analysis.report", "--template").stdout


def test_the_other_verbs(folder, tmp_path):
    ratings, key = folder / "ratings.csv", folder / "key.json"
    planned = command("analysis.power", "--difference", 10, "--sd", 8, "--margin", 5, "-o", tmp_path)
    assert "find a difference of 10 points:             8 listeners" in planned.stdout
    assert (tmp_path / "power.pdf").stat().st_size > 1000
    piloted = command("analysis.power", "--pilot", folder / "plain.csv", "--pair", "prop", "opus3_160")
    assert "SIMULATED pilot, 6 listeners x 3 items" in piloted.stdout
    measures = tmp_path / "m.csv"
    items, conditions = ("Beach", "Park", "Woodland"), ("la", "opus3_160", "prop")
    lines = [f"{item},{c},{i}" for item in items for i, c in enumerate(conditions)]
    measures.write_text("\n".join(["item,condition,level", *lines]) + "\n")
    found = command("analysis.correlate", measures, ratings, "--key", key)
    assert found.stdout.startswith("SIMULATED")
    assert "level" in found.stdout
    counted = command("analysis.coverage", "--trials", 20, "--draws", 0)
    assert "crossed (Satterthwaite)" in counted.stdout


@pytest.mark.parametrize(
    "call",
    [
        ("analysis.simulate", "--listeners", 0), ("analysis.simulate", "--effect", "x"),
        ("analysis.simulate", "--seed", -1), ("analysis.simulate", "--effect", "prop=101"),
        ("analysis.power", "--difference", -1), ("analysis.power", "--alpha", 0.9), ("analysis.report",),
        ("analysis.coverage", "--trials", 1), ("analysis.mushra", "x.csv", "--margin", 0),
        ("analysis.mushra", "x.csv", "--draws", -1), ("analysis.mushra", "no such file.csv"),
    ],
)  # fmt: skip
def test_senseless_options_are_one_line_and_status_2(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*call)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


VERBS = ["mushra", "simulate", "report", "power", "coverage", "correlate"]


@pytest.mark.parametrize("verb", [f"analysis.{verb}" for verb in VERBS])
def test_help_is_quick(verb):
    """Half a second on an idle machine; processor time is measured, so that a busy one does not matter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", verb, "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.fixture(scope="module")
def results():
    ratings = simulate(EFFECTS, 5, ["Beach", "Park"], seed=2)
    return analyse(ratings, draws=50)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_say_simulated_and_repeat_to_the_byte(results, tmp_path, name):
    figure = figures.FIGURES[name](results)
    for axes in figure.axes:
        assert any(text.get_text() == "SIMULATED RATINGS" for text in axes.texts)
    for folder in "ab":
        figures.save(results, name, tmp_path / folder, ("svg",))
    assert (tmp_path / "a" / f"{name}.svg").read_bytes() == (tmp_path / "b" / f"{name}.svg").read_bytes()


def test_figure_of_listeners_does_not_say_simulated(results):
    ratings = results.ratings.assign(session="s", listener=results.ratings["listener"].str[-2:])
    figure = figures.overall(analyse(ratings))
    texts = [t.get_text() for t in figure.axes[0].texts] + [t.get_text() for t in figure.texts]
    assert not any("SIMULATED" in text for text in texts)
    assert {*figures.BANDS} <= set(texts)
    assert figure.axes[0].get_ylim() == (0, 100)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["LA", "MA", "OPUS", "PROP", "H-REF"]
    assert any("5 listeners x 2 items" in text and "BS.1534-3: 0 of 5" in text for text in texts)


def test_json_is_plain(results):
    text = json.dumps(as_json(results), allow_nan=False)
    assert json.loads(text)["bootstraps"]["two-way"]["prop"]["low"] < 100


def test_simulation_keeps_its_variances_and_seed():
    import numpy as np

    rng = np.random.default_rng(1)
    scores = linear_scores(rng, [0.0, 0.0], 300, 200, VARIANCES)
    difference = scores[:, :, 0] - scores[:, :, 1]
    assert scores.mean(axis=(1, 2)).var() == pytest.approx(
        VARIANCES["listener"] + VARIANCES["listener_condition"] / 2, rel=0.2
    )
    expected = 2 * (VARIANCES["listener_condition"] + VARIANCES["item_condition"] + VARIANCES["residual"])
    assert difference.var() == pytest.approx(expected, rel=0.1)
    a, b, c = (simulate(EFFECTS, 3, ["x"], seed) for seed in (1, 1, 2))
    assert a.equals(b)
    assert not a["score"].equals(c["score"])
    assert a["score"].between(0, 100).all()
    assert cells(a).complete
