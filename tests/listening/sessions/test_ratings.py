"""The rows of finished trials, by value."""

import hashlib
import json
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from listening.sessions.pages import REFERENCE
from listening.sessions.ratings import TABLES

HOSTILE = "& + % \" ' < > 😀\nline\r\n=1+1"


def table(tmp_path, name):
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY rowid")]  # noqa: S608
    database.close()
    assert found
    assert tuple(found[0]) == TABLES[name]
    return found


def test_every_column_is_documented():
    text = (Path(__file__).parents[3] / "docs/listening-results.md").read_text(encoding="utf-8")
    for columns in TABLES.values():
        assert [name for name in columns if f"`{name}`" not in text] == []


def test_a_row_for_each_stimulus_of_mushra(opened, listen, tmp_path, package):
    plan = 'attributes = ["basic_audio_quality", "timbral_quality"]\nreplicates = 2\nsession = "own"'
    test = opened(plan)
    listener = listen(test)
    listener.finish(until="trial")
    number = test.session(listener.name)["state"]["page"]
    listener.send([listener.event("level", number - 1, db=2.5)])
    events = list(listener.page_events(number, scores=[90, 20, 50.5, 80], comment=HOSTILE))
    extra = [
        {"type": "underruns", "events": 3, "duration_s": 0.12512345},
        {"type": "loop", "start": 0, "end": 2400},
    ]
    done = events.pop()
    for one in extra:
        events.append({"seq": done["seq"], "at_ms": done["at_ms"], "page": number} | one)
        done = done | {"seq": done["seq"] + 1}
        listener.seq += 1
    listener.send([*events, done])
    found = table(tmp_path, "rating")
    trial = test._raters["L01"].session.pages[number].trial
    assert [row["stimulus"] for row in found] == list(trial.slots)
    assert [row["score"] for row in found] == [90, 20, 50.5, 80]
    assert [row["slot"] for row in found] == [1, 2, 3, 4]
    # page, play 0 to 4, stop, rate 1 to 4, comment, done: one second apart
    assert [(row["first_ms"], row["last_ms"]) for row in found] == [(k, k) for k in (7000, 8000, 9000, 10_000)]
    for row in found:
        path = package / "audio" / trial.item / f"{row['stimulus']}.wav"
        assert row["stimulus_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (row["session"], row["listener"], row["item"]) == ("own", "L01", trial.item)
        assert (row["attribute"], row["replicate"], row["trial"]) == ("basic_audio_quality", 1, 1)
        assert (row["moved"], row["plays"], row["listen_ms"], row["time_ms"]) == (1, 1, 1000, 12_000)
        assert (row["loops"], row["underruns"], row["underrun_ms"], row["level_db"]) == (1, 3, 125.123, 2.5)
        assert (row["transducer"], row["layout"], row["device_channels"]) == ("loudspeakers", "0+2+0", 2)
        assert (json.loads(row["output_map"]), row["browser"]) == ([0, 1], "Chromium 156")
        assert row["comment"] == HOSTILE
        assert abs((datetime.now().astimezone() - datetime.fromisoformat(row["date"])).total_seconds()) < 60
    listener.finish()
    found = table(tmp_path, "rating")
    assert len(found) == 4 * 4 * 4
    cells = {(row["item"], row["stimulus"], row["attribute"], row["replicate"]) for row in found}
    assert len(cells) == 64
    assert {row["trial"] for row in found} == set(range(1, 17))


def test_training_adds_no_row(listener, tmp_path):
    listener.finish(until="trial")
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        assert database.execute("SELECT count(*) FROM rating").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM event").fetchone()[0] > 0
    database.close()


def test_difference_grades_of_bs1116(opened, listen, tmp_path, names):
    """B is given 5.0 and C 3.5 each time, whichever of them is the hidden reference."""
    test = opened('method = "bs1116"')
    listener = listen(test)
    listener.finish()
    found = table(tmp_path, "grade")
    assert len(found) == 16
    trials = [page.trial for page in test._raters["L01"].session.pages if page.kind == "trial"]
    for row, trial in zip(found, trials, strict=True):
        hidden_in_b = trial.slots[0] == REFERENCE
        assert row["stimulus"] in names[row["item"]]
        assert row["slot"] == (2 if hidden_in_b else 1)
        assert (row["grade"], row["reference_grade"]) == ((3.5, 5.0) if hidden_in_b else (5.0, 3.5))
        assert row["difference_grade"] == (-1.5 if hidden_in_b else 1.5)
        assert (row["plays"], row["reference_plays"], row["trial"]) == (1, 1, trial.number)
    assert sum(row["difference_grade"] for row in found) == 0  # B is the reference as often as C


def test_choices_of_abx(opened, listen, tmp_path):
    test = opened('method = "abx"\nrepetitions = 2')
    listener = listen(test)
    listener.finish(choice="b")
    found = table(tmp_path, "choice")
    assert len(found) == 32
    for row in found:
        assert {row["a"] == REFERENCE, row["b"] == REFERENCE} == {True, False}
        assert (row["choice"], row["correct"]) == ("b", int(row["x"] == "b"))
        assert (row["plays_a"], row["plays_b"], row["plays_x"], row["plays_reference"]) == (1, 1, 1, None)
        assert (row["listen_ms"], row["time_ms"]) == (3000, 6000)
    assert sum(row["correct"] for row in found) == 16
    trials = [page.trial for page in test._raters["L01"].session.pages if page.kind == "trial"]
    for row, trial in zip(found, trials, strict=True):
        assert (row["a"], row["b"]) == trial.slots[:2]
        assert row[row["x"]] == trial.slots[2]
    assert {row["replicate"] for row in found} == {1, 2}


@pytest.mark.parametrize(
    ("plan", "slots", "expected"),
    [
        ('method = "abx"', (1, 2, 2, 3, 3, 3), (1, 2, 3, None)),
        ('method = "ab"', (1, 1, 2), (2, 1, None, None)),
        ('method = "ab"\npairs = "all"', (0, 0, 0, 0, 1, 2, 2, 1, 1), (3, 2, None, 4)),
    ],
)
def test_what_was_played_how_often(opened, listen, tmp_path, plan, slots, expected):
    listener = listen(opened(plan))
    listener.finish(until="trial")
    number = listener.test.session(listener.name)["state"]["page"]
    events = [listener.event("page", number)]
    events += [listener.event("play", number, slot=slot, position=0) for slot in slots]
    events += [listener.event("choose", number, value="a"), listener.event("done", number)]
    listener.send(events)
    [row] = table(tmp_path, "choice")
    assert (row["plays_a"], row["plays_b"], row["plays_x"], row["plays_reference"]) == expected
    assert row["listen_ms"] == 1000 * (len(slots) + 1)


def test_choices_of_ab(opened, listen, tmp_path, names, package):
    test = opened('method = "ab"\npairs = [["opus", "prop"]]', key=True)
    listener = listen(test)
    listener.finish(choice="same")
    found = table(tmp_path, "choice")
    assert len(found) == 4
    for row in found:
        assert {names[row["item"]][row["a"]], names[row["item"]][row["b"]]} == {"opus", "prop"}
        assert (row["choice"], row["x"], row["correct"], row["plays_x"]) == ("same", None, None, None)
        assert row["plays_reference"] == 1
        path = package / "audio" / row["item"] / f"{row['b']}.wav"
        assert row["b_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("method", ["mushra", "bs1116", "abx", "ab"])
def test_answers_are_kept_as_last_given(opened, listen, tmp_path, method):
    plan = f'method = "{method}"\n[[questionnaire]]\nid = "words"\nlabel = "Words?"\n'
    plan += '[[questionnaire]]\nid = "age"\nlabel = "Age?"\nkind = "number"\n'
    test = opened(plan)
    listener = listen(test)
    listener.finish(until="device", answers={"words": HOSTILE, "age": 30})
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        assert database.execute("SELECT * FROM answer ORDER BY field").fetchall() == [
            ("L01", "age", 30.0), ("L01", "words", HOSTILE),
        ]  # fmt: skip
    database.close()
