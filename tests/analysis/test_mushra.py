"""The command lines end to end: simulate, analyse, repeat, refuse."""

import csv
import json
import resource
import subprocess
import sys

import pytest

from analysis.ratings.cells import cells
from analysis.ratings.table import read, read_key, write
from analysis.statistics.intervals import summarise
from analysis.study.simulation import simulate


@pytest.fixture(scope="module")
def folder(tmp_path_factory, command):
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
    write(folder / "plain.csv", read(folder / "ratings.csv", read_key(folder / "key.json")).table)
    return folder


def test_summary_files_hold_what_the_design_fixes(folder):
    with open(folder / "out" / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "condition", "n", "mean", "ci_low", "ci_high", "median", "bounded_ci_low", "bounded_ci_high",
        "marginal_mean", "marginal_ci_low", "marginal_ci_high", "simulated",
    ]  # fmt: skip
    assert {row["simulated"] for row in rows} == {"SIMULATED"}
    assert [row["condition"] for row in rows] == ["la", "opus3_160", "prop", "href"]
    assert all(row["n"] == "18" for row in rows)
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert [r["mean"] for r in summary["rows"]] == pytest.approx([float(r["mean"]) for r in rows])
    assert summary["simulated"] is True
    assert summary["ci"]["convention"] == "paper"
    assert summary["screening"]["excluded"] == []
    table = read(folder / "ratings.csv", read_key(folder / "key.json")).table
    plain = [
        {k: v for k, v in row.items() if not k.startswith(("marginal", "bounded"))} for row in summary["rows"]
    ]
    assert plain == summarise(table, cells(table), "paper").to_dict("records")


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


def test_repetition_is_identical_and_other_results_are_not_overwritten(folder, command):
    before = {p.name: p.read_bytes() for p in (folder / "out").iterdir()}
    assert set(before) == {"summary.csv", "summary.json", "pairs.csv", "items.csv", "contrasts.csv",
                           "outliers.csv", "listeners.csv", "item_pairs.csv", "mushra.pdf", "mushra.png",
                           "mushra.svg", "mushra.txt", "tables.tex", "sentences.txt"}  # fmt: skip
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
def test_bad_input_is_one_line_and_status_2(tmp_path, text, what, command):
    (tmp_path / "ratings.csv").write_text(text)
    done = command("analysis.mushra", tmp_path / "ratings.csv", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "call",
    [
        ("analysis.simulate", "--listeners", 0), ("analysis.simulate", "--effect", "x"),
        ("analysis.simulate", "--seed", -1), ("analysis.simulate", "--effect", "prop=101"),
        ("analysis.power", "--difference", -1), ("analysis.power", "--alpha", 0.9), ("analysis.report",),
        ("analysis.coverage", "--trials", 1), ("analysis.mushra", "x.csv", "--margin", 0),
        ("analysis.mushra", "x.csv", "--draws", -1), ("analysis.mushra", "no such file.csv"),
        ("analysis.mushra", "x.csv", "--package", "."),
        ("analysis.report", "x.csv", "-o", "report.pdf"), ("analysis.simulate", "--items", 0),
        ("analysis.simulate", "--variance", "luck=3"), ("analysis.simulate", "--variance", "residual=-1"),
        ("analysis.simulate", "--variance", "residual=x"), ("analysis.power", "--items", 0),
        ("analysis.power", "--sd", 5, "--items", 3), ("analysis.power", "--pair", "a", "b"),
        ("analysis.plan", "--listeners", 1), ("analysis.plan", "--listeners", 9, "--test", "permutation"),
        ("analysis.plan", "--listeners", 9, "--compare", "a", "a"),
        ("analysis.plan", "--listeners", 9, "--alpha", 0.5),
        ("analysis.plan", "--listeners", 9, "--margin", 0), ("analysis.plan", "--listeners", 9, "--package", "."),
        ("analysis.plan", "--listeners", 9, "--conditions", "a", "--compare", "a", "b"),
    ],
)  # fmt: skip
def test_senseless_options_are_one_line_and_status_2(call, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    done = command(*call)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


VERBS = ["mushra", "simulate", "report", "power", "coverage", "correlate", "plan"]


@pytest.mark.parametrize("verb", [f"analysis.{verb}" for verb in VERBS])
def test_help_is_quick(verb):
    """Half a second on an idle machine; processor time is measured, so that a busy one does not matter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", verb, "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_names_that_a_spreadsheet_would_run_are_neutralised_in_every_table(tmp_path, command):
    table = simulate({"=1+1": 30.0, "@b": 60.0}, 3, ["=cmd|'/C calc'!A0", "-x"], 1)
    table.loc[table.index[0], "score"] = 99.0  # an outlier or not: the table is written either way
    write(tmp_path / "r.csv", table)
    done = command("analysis.mushra", tmp_path / "r.csv", "--screening", "none", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "out").glob("*.csv"):
        with open(path, newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    number = cell.lstrip("-").replace(".", "").replace("e-", "").isdigit()
                    assert number or not cell.startswith(("=", "+", "-", "@")), (path.name, cell)


def claims_of(path):
    with open(path, newline="") as file:
        return {row["claim"] for row in csv.DictReader(file)}


def test_the_claim_is_printed_with_every_p(tmp_path, command):
    write(tmp_path / "r.csv", simulate({"la": 20.0, "b": 60.0, "c": 66.0, "href": 99.0}, 8, ["x", "y", "z"], 1))
    said, quoted = {}, {}
    for claim in ("items", "material"):
        done = command("analysis.mushra", tmp_path / "r.csv", "--claim", claim, "-o", tmp_path / claim)
        assert done.returncode == 0, done.stderr
        said[claim] = done.stdout
        summary = json.loads((tmp_path / claim / "summary.json").read_text())
        quoted[claim] = summary["claim"]["quoted"]
        assert claims_of(tmp_path / claim / "pairs.csv") == {claim}
        assert claims_of(tmp_path / claim / "contrasts.csv") == {
            "items", "material",
        }  # fmt: skip
    items, material = (
        "other listeners and these 3 items; says nothing of other items",
        "other items of the kind of which",
    )
    # the head, the omnibus test and the pairs
    assert (said["items"].count(items), said["items"].count(material)) == (3, 0)
    assert said["material"].count(material) == 3
    assert quoted["items"]["name"].startswith("repeated measures")
    assert quoted["material"]["name"] == "crossed, not pooled"
    refused = command("analysis.mushra", tmp_path / "r.csv", "--claim", "items", "--ci", "crossed")
    assert refused.returncode == 2


def test_the_permutation_test_comes_with_its_error_everywhere(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "r.csv", simulate({"b": 60.0, "href": 99.0}, 6, ["x", "y"], 1))
    frozen = command("analysis.plan", "--listeners", 6, "--test", "permutation", "--draws", 1000)
    assert "rejects true hypotheses in 10 to 13 %" in frozen.stdout
    for call in (["--draws", 1000], ["--plan", "plan.json"]):
        done = command("analysis.mushra", "r.csv", *call, "-o", f"out{len(call[0])}")
        assert "rejects true hypotheses in 10 to 13 %" in done.stdout
        report = command("analysis.report", "r.csv", *call, "-o", f"{len(call[0])}.html")
        assert report.returncode == 0, report.stderr
        assert "rejects true hypotheses in 10 to 13 %" in (tmp_path / f"{len(call[0])}.html").read_text()


def test_partial_designs_show_both_means_and_a_test(tmp_path, command):
    table = simulate({"b": 60.0, "c": 62.0, "href": 99.0}, 8, ["w", "x", "y", "z"], 1)
    turn = table["listener"].str[-1].astype(int) + table["item"].map({"w": 0, "x": 1, "y": 2, "z": 3})
    write(tmp_path / "r.csv", table[(turn % 4 < 2) & ((table["condition"] != "c") | (table["item"] < "y"))])
    done = command("analysis.mushra", tmp_path / "r.csv", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "8 listeners x 4 items (2 of 4 each), " in done.stdout
    assert "by model" in done.stdout
    assert "(mixed model, Kenward-Roger); holds for other listeners and these 4 items" in done.stdout
    assert "conditions were rated on different items: of 4, c on 2; 2 are common to all" in done.stdout
    # what is missing on pages that were rated: c on the last two items
    listed = [line for line in done.stdout.splitlines() if line.startswith("not rated: listener")]
    assert len(listed) == 8
    assert all(line.endswith("condition c") for line in listed)
