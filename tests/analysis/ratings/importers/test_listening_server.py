"""The database of listening.serve, read without the server's code: while it is written, killed, and ended."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from analysis import mushra
from analysis.ratings.importers.detect import source_digest
from analysis.ratings.importers.listening_server import APPLICATION_ID
from analysis.ratings.table import read
from render.common.errors import InputError

COLUMNS = ("session", "listener", "item", "stimulus", "attribute", "replicate", "score", "plays", "comment",
           "transducer")  # fmt: skip
KEY = {"Beach": {"1a1a1a1a": "href", "2b2b2b2b": "prop"}, "Park": {"3c3c3c3c": "prop", "4d4d4d4d": "href"}}
HOSTILE = "& + % \" ' < > 😀\nline\r\n=1+1"


def make(path, rows, method="mushra", withdrawn=(), answers=()):
    """A database with the documented tables (docs/listening-results.md); returns the open connection."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("PRAGMA user_version = 1")
    database.execute("CREATE TABLE meta (key, value)")
    database.execute("INSERT INTO meta VALUES ('plan', ?)", (json.dumps({"method": method}),))
    database.execute("CREATE TABLE listener (id, number, withdrawn)")
    names = sorted({row["listener"] for row in rows})
    database.executemany(
        "INSERT INTO listener VALUES (?, ?, ?)",
        [(name, number, 1 if name in withdrawn else None) for number, name in enumerate(names)],
    )
    database.execute("CREATE TABLE answer (listener, field, value)")
    database.executemany("INSERT INTO answer VALUES (?, ?, ?)", answers)
    database.execute(f"CREATE TABLE rating ({', '.join(COLUMNS)})")
    add(database, rows)
    return database


def add(database, rows):
    for row in rows:
        database.execute("INSERT INTO rating VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [row[c] for c in COLUMNS])
    database.commit()


def rated(listener="L01", item="Beach", stimulus="1a1a1a1a", score=50.0, **more):
    return {
        "session": "s", "listener": listener, "item": item, "stimulus": stimulus, "score": score,
        "attribute": "basic_audio_quality", "replicate": 1, "plays": 2, "comment": HOSTILE,
        "transducer": "loudspeakers",
    } | more  # fmt: skip


def whole(listener="L01", **more):
    return [
        rated(listener, item, stimulus, float(10 * number), **more)
        for number, (item, stimulus) in enumerate((i, s) for i, stimuli in KEY.items() for s in stimuli)
    ]


def cells(ratings):
    table = ratings.table[["listener", "item", "condition", "replicate", "score"]]
    return sorted(map(tuple, table.itertuples(index=False)))


EXPECTED = [("L01", "Beach", "href", 1, 0.0), ("L01", "Beach", "prop", 1, 10.0), ("L01", "Park", "href", 1, 30.0),
            ("L01", "Park", "prop", 1, 20.0)]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.sqlite"


def test_ratings_by_value_with_what_stands_beside_them(path):
    make(path, whole(), answers=[("L01", "age", 30.0), ("L01", "words", HOSTILE), ("L02", "words", "x")]).close()
    ratings = read(path, KEY)
    assert ratings.formats == ("listening.serve",)
    assert cells(ratings) == EXPECTED
    first = ratings.table.iloc[0]
    assert (first["session"], first["plays"], first["comment"], first["stimulus"]) == (
        "s",
        "2",
        HOSTILE,
        "1a1a1a1a",
    )
    assert (first["questionnaire_age"], first["questionnaire_words"]) == ("30.0", HOSTILE)
    assert (first["attribute"], first["transducer"]) == ("basic_audio_quality", "loudspeakers")
    assert ratings.notes == ()


def test_withdrawn_listeners_are_left_out_and_named(path):
    make(path, whole() + whole("L02") + whole("L03"), withdrawn=("L02", "L03")).close()
    ratings = read(path, KEY)
    assert cells(ratings) == EXPECTED
    assert ratings.notes == ("results.sqlite: withdrawn and left out: L02, L03",)


def state(folder):
    """Content of everything but the index of the log (-shm), which readers share with the writer."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}


def test_a_database_at_rest_is_not_changed_and_nothing_is_left_beside_it(path, tmp_path):
    make(path, whole()).close()
    before = state(tmp_path)
    assert list(before) == ["results.sqlite"]
    read(path, KEY)
    assert state(tmp_path) == before
    assert os.listdir(tmp_path) == ["results.sqlite"]


def test_a_database_that_is_being_written_is_read_as_it_was_committed_last(path, tmp_path):
    database = make(path, whole())
    database.execute("BEGIN")
    database.execute("DELETE FROM rating")
    before = state(tmp_path)
    assert before["results.sqlite-wal"]
    assert cells(read(path, KEY)) == EXPECTED
    assert state(tmp_path) == before
    database.rollback()
    database.execute("INSERT INTO listener VALUES ('L02', 2, NULL)")
    add(database, whole("L02"))
    assert len(cells(read(path, KEY))) == 8
    database.close()


def test_what_a_killed_writer_committed_is_read_from_its_log(path, tmp_path):
    make(path, whole()).close()
    kill = textwrap.dedent(
        """
        import os, sqlite3, sys
        database = sqlite3.connect(sys.argv[1])
        database.execute("INSERT INTO rating SELECT session, 'L02', item, stimulus, attribute, replicate, score, "
                         "plays, comment, transducer FROM rating")
        database.execute("INSERT INTO listener VALUES ('L02', 2, NULL)")
        database.commit()
        database.execute("DELETE FROM rating")
        os.kill(os.getpid(), 9)
        """
    )
    assert subprocess.run([sys.executable, "-c", kill, path]).returncode == -9
    before = state(tmp_path)
    assert len(cells(read(path, KEY))) == 8
    assert state(tmp_path) == before


def test_the_digest_of_a_database_is_that_of_its_ratings(path, tmp_path):
    database = make(path, whole())
    first, content = source_digest(path), path.read_bytes()
    assert source_digest(path) == first
    add(database, whole("L02"))
    database.execute("INSERT INTO listener VALUES ('L02', 2, NULL)")
    database.commit()
    assert path.read_bytes() == content  # all of it is in the log
    assert source_digest(path) != first
    database.close()
    other = tmp_path / "a.csv"
    other.write_text("x")
    assert source_digest(other) == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("PRAGMA application_id = 0", "is a database, but not one of listening.serve"),
        ("PRAGMA user_version = 2", "is of version 2, this program reads version 1"),
        ("UPDATE rating SET item = 'Moon'", "item 'Moon' is not in the key"),
        ("UPDATE rating SET stimulus = '00000000'", "stimulus '00000000' of item 'Beach' is not in the key"),
        ("UPDATE rating SET score = 101", "score 101 is outside 0 to 100"),
        ("UPDATE rating SET score = NULL", "None' is not a number"),
        ("UPDATE rating SET stimulus = '1a1a1a1a' WHERE item = 'Beach'", "is already rated"),
        ("DELETE FROM rating", "holds no rating"),
        ("DROP TABLE answer", "no such table: answer"),
    ],
)
def test_what_is_not_such_a_database_is_one_error(path, change, message):
    database = make(path, whole())
    database.execute(change)
    database.commit()
    database.close()
    with pytest.raises(InputError) as raised:
        read(path, KEY)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_without_the_key_and_for_other_methods_it_says_what_to_do(path, tmp_path):
    make(path, whole()).close()
    with pytest.raises(InputError, match="give the package's key with --key"):
        read(path)
    make(tmp_path / "abx.sqlite", whole(), method="abx").close()
    with pytest.raises(InputError, match="the method abx"):
        read(tmp_path / "abx.sqlite", KEY)


def test_a_cut_off_file_is_one_error(path):
    make(path, whole()).close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="no database that can be read"):
        read(path, KEY)


# ------------------------------------------------------------------------------------ attributes, transducers


def test_one_attribute_is_read_at_a_time(path):
    timbre = [row | {"attribute": "timbral_quality", "score": 99.0} for row in whole()]
    make(path, timbre + whole()).close()
    ratings = read(path, KEY)
    assert cells(ratings) == EXPECTED
    assert ratings.notes == (
        "results.sqlite: basic_audio_quality is analysed alone; rated were also timbral_quality "
        "(--only attribute=timbral_quality)",
    )
    ratings = read(path, KEY, only={"attribute": "timbral_quality"})
    assert set(ratings.table["score"]) == {99.0}
    assert ratings.notes == ("results.sqlite: only ratings with attribute = timbral_quality",)
    with pytest.raises(InputError, match="no rating has it; there are basic_audio_quality, timbral_quality"):
        read(path, KEY, only={"attribute": "timbre"})
    with pytest.raises(InputError, match=r"there is no such column; did you mean attribute\?"):
        read(path, KEY, only={"atribute": "timbre"})


def test_a_foreign_column_named_attribute_leaves_nothing_out(tmp_path):
    csv = tmp_path / "a.csv"
    csv.write_text(
        "listener,item,condition,score,attribute\na,Beach,href,90,music\na,Park,href,80,basic_audio_quality\n"
    )
    assert len(read(csv).table) == 2


def test_different_transducers_are_never_pooled_silently(path, tmp_path):
    rows = whole() + whole("L02") + whole("L03", transducer="headphones", session="t")
    make(path, rows).close()
    ratings = read(path, KEY)
    assert ratings.notes == (
        "DIFFERENT TRANSDUCERS ARE POOLED: headphones (1 listeners), loudspeakers (2 listeners). A test has one "
        "kind (BS.1534-3): analyse each alone with --only transducer=headphones",
    )
    alone = read(path, KEY, only={"transducer": "loudspeakers"})
    assert sorted(alone.table["listener"].unique()) == ["L01", "L02"]
    assert alone.notes == ("results.sqlite: only ratings with transducer = loudspeakers",)


def test_the_analysis_says_it_in_print_and_in_the_summary(path, tmp_path, monkeypatch, capsys):
    rows = whole() + whole("L02") + whole("L03", transducer="headphones")
    make(path, rows).close()
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"items": KEY}))

    words = [path, "--key", key, "--screening", "none", "-o", tmp_path / "results"]
    monkeypatch.setattr(sys, "argv", ["analysis.mushra", *map(str, words)])
    mushra.main()
    printed = capsys.readouterr().out
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert "note: DIFFERENT TRANSDUCERS ARE POOLED: headphones (1 listeners), loudspeakers (2" in printed
    assert any("TRANSDUCERS ARE POOLED" in warning for warning in summary["warnings"])
    assert summary["sources"] == [{"file": "results.sqlite", "sha256": source_digest(path)}]
    assert summary["listeners"] == ["L01", "L02", "L03"]


def test_results_of_the_other_methods_as_csv_are_not_taken_for_scores(tmp_path):
    for name, header in (
        ("grade.csv", "session,listener,item,stimulus,grade,reference_grade,difference_grade"),
        ("choice.csv", "session,listener,item,a,b,choice,plays_reference"),
    ):
        file = tmp_path / name
        file.write_text(header + "\ns,L01,Beach,1a1a1a1a,3,4,5\n")
        with pytest.raises(InputError, match=r"BS\.1116, AB or ABX"):
            read(file, KEY)


def test_closing_is_left_to_nobody(path):
    """The reader holds no file open: an exclusive change is possible afterwards."""
    make(path, whole()).close()
    read(path, KEY)
    with closing(sqlite3.connect(path, timeout=0)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
