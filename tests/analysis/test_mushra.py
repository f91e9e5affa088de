"""The command lines end to end: simulate, analyse, repeat, refuse."""

import csv
import importlib
import io
import json
import subprocess
import sys
import time
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout

import pytest

from analysis import figures
from analysis.ratings import cells, read, read_key
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


@pytest.mark.parametrize("verb", ["analysis.mushra", "analysis.simulate"])
def test_help_is_quick(verb):
    quickest = 9.0
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-m", verb, "--help"], check=True, capture_output=True)
        quickest = min(quickest, time.monotonic() - begin)
    assert quickest < 0.5


@pytest.fixture(scope="module")
def results():
    ratings = simulate(EFFECTS, 5, ["Beach", "Park"], seed=2)
    return analyse(ratings, draws=50)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_say_simulated_and_repeat_to_the_byte(results, tmp_path, name):
    figure = figures.FIGURES[name](results)
    for axes in figure.axes:
        assert any(text.get_text() == "SIMULATED RATINGS" for text in axes.texts)
    forms = ("pdf", "png", "svg") if name == "mushra" else ("svg",)
    for folder in "ab":
        figures.save(results, name, tmp_path / folder, forms)
    for form in forms:
        first, second = (tmp_path / folder / f"{name}.{form}" for folder in "ab")
        assert first.read_bytes() == second.read_bytes()


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
