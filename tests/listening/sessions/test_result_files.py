"""Results as tables for others: the same ratings come back, whatever listeners wrote."""

import csv
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.ratings.table import read, read_key
from listening.results import main
from listening.sessions.result_files import read_results, write_csv, write_events, write_webmushra
from render.common.errors import InputError
from render.common.files import begin_inputs, end_inputs

ROOT = Path(__file__).parents[3]
HOSTILE = "& + % \" ' < > 😀\nline\r\n=1+1"
PLAN = '[[questionnaire]]\nid = "words"\nlabel = "Words?"\n'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.sqlite"


@pytest.fixture
def key(package, tmp_path):
    return read_key(tmp_path / "key.json")


@pytest.fixture
def rated(opened, listen):
    """A running test in which two listeners have finished; the first wrote something else in every trial."""
    test = opened(PLAN)
    first, second = listen(test), listen(test)
    wrote = iter((HOSTILE, "+x", "-1", "@SUM(A1)"))
    first.finish(until="trial", answers={"words": "=cmd|' /C calc'!A0"})
    for number, page in enumerate(first.pages):
        if page["kind"] == "trial":
            first.send(first.page_events(number, comment=next(wrote)))
    second.finish(scores=[100.0, 33.3, 0.0, 66.25], answers={"words": HOSTILE})
    return test


def table_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cells(table):
    return sorted(map(tuple, table[["session", "listener", "item", "condition", "replicate", "score"]].to_numpy()))


@pytest.mark.parametrize("unblinded", [True, False])
def test_our_csv_holds_the_same_as_the_database(rated, path, tmp_path, key, unblinded):
    results, output = read_results(path), tmp_path / "results.csv"
    assert write_csv(output, results, key if unblinded else None) == 32
    mine, theirs = read(output, key).table, read(path, key).table
    assert cells(mine) == cells(theirs)
    if unblinded:
        assert cells(read(output).table) == cells(theirs)
    design = ["listener", "item", "condition"]
    mine, theirs = mine.sort_values(design), theirs.sort_values(design)
    for column in theirs.columns:
        if column not in ("score", "questionnaire_words"):
            assert mine[column].tolist() == theirs[column].tolist(), column
    assert set(mine["comment"]) == {HOSTILE, "+x", "-1", "@SUM(A1)", ""}
    assert set(mine["questionnaire_words"]) == {"=cmd|' /C calc'!A0", HOSTILE}
    with open(output, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row)
    assert rows[0][:5] == (["session", "listener", "item", "condition", "stimulus"] if unblinded else
                           ["session", "listener", "item", "stimulus", "score"])  # fmt: skip
    assert "replicate" not in rows[0]


@pytest.mark.parametrize("unblinded", [True, False])
def test_webmushras_csv_is_read_back_by_its_importer(rated, path, tmp_path, key, unblinded):
    output = tmp_path / "mushra.csv"
    assert write_webmushra(output, read_results(path), key if unblinded else None) == 32
    ratings = read(output, None if unblinded else key)
    assert ratings.formats == ("webMUSHRA",)
    theirs = read(path, key).table
    assert cells(ratings.table) == cells(theirs)
    assert set(ratings.table["comment"]) == set(theirs["comment"])
    assert set(ratings.table["questionnaire_words"]) == set(theirs["questionnaire_words"])
    assert sorted(ratings.table["time_ms"]) == sorted(theirs["time_ms"])
    if unblinded:
        stimuli = {row["rating_stimulus"] for row in table_of(output)}
        assert stimuli == {"reference", "anchor35", "opus", "prop"}


def test_replicates_have_a_column_and_no_place_in_webmushras_table(opened, listen, path, tmp_path, key):
    listen(opened("replicates = 2")).finish()
    output = tmp_path / "results.csv"
    assert write_csv(output, read_results(path), None) == 32
    table = read(output, key).table
    assert sorted(table["replicate"].value_counts()) == [16, 16]
    assert cells(table) == cells(read(path, key).table)
    with pytest.raises(InputError, match="neither replicates nor attributes"):
        write_webmushra(tmp_path / "mushra.csv", read_results(path), key)
    assert not (tmp_path / "mushra.csv").exists()


def test_several_attributes_are_told_apart_in_the_csv_too(opened, listen, path, tmp_path, key):
    listen(opened('attributes = ["timbral_quality", "localization_quality"]')).finish()
    output = tmp_path / "results.csv"
    write_csv(output, read_results(path), key)
    for source in (output, path):
        chosen = read(source, key, only={"attribute": "localization_quality"}).table
        assert len(chosen) == 16
        assert set(chosen["attribute"]) == {"localization_quality"}
        assert set(read(source, key).table["attribute"]) == {"timbral_quality"}


def test_every_event_is_written_in_its_order(rated, path, tmp_path):
    output = tmp_path / "events.csv"
    count = write_events(output, read_results(path))
    rows = table_of(output)
    with sqlite3.connect(path) as database:
        stored = database.execute("SELECT listener, window, seq, at_ms, type, page, body FROM event").fetchall()
    database.close()
    assert count == len(rows) == len(stored)
    found = [
        (r["listener"], r["window"], int(r["seq"]), int(r["at_ms"]), r["type"], int(r["page"]), r["body"])
        for r in rows
    ]
    assert found == stored
    assert HOSTILE in [json.loads(row["body"]).get("text") for row in rows]


def test_withdrawn_listeners_are_left_out_unless_they_are_wanted(rated, path):
    rated.withdraw("L01")
    results = read_results(path)
    assert results.withdrawn == ("L01",)
    assert {row["listener"] for row in results.rows} == {event[0] for event in results.events} == {"L02"}
    everybody = read_results(path, with_withdrawn=True)
    assert (
        {row["listener"] for row in everybody.rows} == {event[0] for event in everybody.events} == {"L01", "L02"}
    )


def test_grades_and_choices_with_their_conditions(opened, listen, path, tmp_path, key, names):
    listen(opened('method = "bs1116"')).finish()
    output = tmp_path / "grades.csv"
    assert write_csv(output, read_results(path), key) == 16
    rows = table_of(output)
    assert {row["condition"] for row in rows} == {"href", "la", "opus", "prop"}
    for row in rows:
        assert names[row["item"]][row["stimulus"]] == row["condition"]
        assert float(row["difference_grade"]) == float(row["grade"]) - float(row["reference_grade"])
    with pytest.raises(InputError, match="webMUSHRA's table is for mushra"):
        write_webmushra(tmp_path / "x.csv", read_results(path), key)


def test_choices_name_both_conditions(opened, listen, path, tmp_path, key, names):
    listen(opened('method = "abx"')).finish(choice="a")
    output = tmp_path / "choices.csv"
    assert write_csv(output, read_results(path), key) == 16
    for row in table_of(output):
        for side in "ab":
            expected = "href" if row[side] == "reference" else names[row["item"]][row[side]]
            assert row[f"condition_{side}"] == expected
        assert row["correct"] == str(int(row["x"] == "a"))


def test_nothing_rated_yet_and_other_files_are_errors(opened, path, tmp_path):
    opened().add_listener()
    for write in (write_csv, write_webmushra):
        with pytest.raises(InputError, match="holds no finished trial yet"):
            write(tmp_path / "x.csv", read_results(path), None)
    for name in ("missing.sqlite", "text.sqlite"):
        (tmp_path / "text.sqlite").write_text("no database")
        with pytest.raises(InputError, match=name):
            read_results(tmp_path / name)
    assert not (tmp_path / "missing.sqlite").exists()


@pytest.fixture
def command(monkeypatch, capsys):
    """Function that runs the command line in this process and returns what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["listening.results", *map(str, arguments)])
        main()
        return capsys.readouterr().out.splitlines()

    return run


def test_another_process_writes_the_results_while_the_server_runs(rated, path, tmp_path):
    before, output = path.read_bytes(), tmp_path / "results.csv"
    answer = subprocess.run(
        [sys.executable, "-m", "listening.results", path, "-o", output], cwd=ROOT, capture_output=True, text=True
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{output}: 32 ratings of 2 listeners\n"
    assert path.read_bytes() == before
    rated.add_listener()  # the server still has its locks and goes on
    assert len(rated.overview()) == 3


def test_the_command_counts_withdrawn_listeners_aloud(rated, path, tmp_path, command):
    rated.withdraw("L02")
    output, events = tmp_path / "results.csv", tmp_path / "events.csv"
    arguments = (path, "-o", output, "--events", events, "--key", tmp_path / "key.json")
    printed = [
        f"{output}: 16 ratings of 1 listeners",
        f"{events}: {len(read_results(path).events)} events",
        "withdrawn listeners left out (--with-withdrawn keeps them): 1 (L02)",
    ]
    assert command(*arguments) == printed
    assert command(*arguments) == printed  # the same again
    with pytest.raises(InputError, match="exists and differs"):
        command(*arguments, "--with-withdrawn")
    printed = command(*arguments, "--with-withdrawn", "--force")
    assert printed[0] == f"{output}: 32 ratings of 2 listeners"
    assert printed[2] == "withdrawn listeners kept, as asked for: 1 (L02)"
    other = tmp_path / "mushra.csv"
    assert command(path, "-o", other, "--format", "webmushra")[0] == f"{other}: 16 ratings of 1 listeners"


def test_the_command_replaces_neither_the_database_nor_one_output_by_the_other(rated, path, tmp_path, command):
    before = path.read_bytes()
    begin_inputs()
    try:
        with pytest.raises(InputError, match="is the input and would be replaced"):
            command(path, "-o", path, "--force")
    finally:
        end_inputs()
    with pytest.raises(InputError, match="is the output, too"):
        command(path, "-o", tmp_path / "a.csv", "--events", tmp_path / "a.csv")
    assert path.read_bytes() == before
