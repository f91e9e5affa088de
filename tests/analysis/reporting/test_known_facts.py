"""What the folder of a build tells of its own report."""

import json
import sqlite3
from argparse import Namespace
from pathlib import Path

import pytest

from analysis.ratings.importers.listening_server import APPLICATION_ID, USER_VERSION
from analysis.reporting.known_facts import facts_of_plan, facts_of_sessions, fill_from_build
from render.common.errors import InputError


@pytest.fixture
def build(tmp_path):
    for label in ("7.1.4", "binaural"):
        (tmp_path / f"facts-{label}.toml").write_text(f'title = "{label}"\n')
        (tmp_path / f"key-{label}.json").write_text("{}")
    (tmp_path / "facts-ours.toml").write_text('room = "3 m"\n')  # a file of the laboratory
    (tmp_path / "results-binaural.sqlite").write_bytes(b"")
    return tmp_path


def test_the_key_tells_which_export_is_meant(build):
    given = Namespace(build=build, key=build / "key-binaural.json", results=[])
    assert fill_from_build(given) == {"title": "binaural"}
    assert given.results == [build / "results-binaural.sqlite"]
    given = Namespace(build=build, key=build / "key-7.1.4.json", results=[Path("r.csv")])
    assert fill_from_build(given) == {"title": "7.1.4"}
    assert given.results == [Path("r.csv")]
    with pytest.raises(InputError, match=r"exported as 7\.1\.4, binaural; name one with --key"):
        fill_from_build(Namespace(build=build, key=None, results=[]))


def test_a_single_export_needs_no_key_and_a_build_without_one_is_refused(build, tmp_path):
    (build / "facts-binaural.toml").unlink()
    given = Namespace(build=build, key=None, results=[])
    assert fill_from_build(given) == {"title": "7.1.4"}
    assert (given.key, given.results) == (build / "key-7.1.4.json", [])
    with pytest.raises(InputError, match=r"run listening\.export"):
        fill_from_build(Namespace(build=tmp_path / "none", key=None, results=[]))


def test_the_database_tells_the_procedure(tmp_path):
    plan = {"method": "mushra", "replicates": 2, "attributes": ["basic_audio_quality"], "break_after": 8,
            "level_range_db": 4.0}  # fmt: skip
    with sqlite3.connect(tmp_path / "r.sqlite") as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {USER_VERSION}")
        database.execute("CREATE TABLE meta (key, value)")
        database.execute("INSERT INTO meta VALUES ('plan', ?)", (json.dumps(plan),))
    database.close()
    text = facts_of_sessions([tmp_path / "r.sqlite"])["procedure"]
    for said in ("2 rounds", "(basic_audio_quality)", "after every 8 trials", "by 4 dB"):
        assert said in text
    (tmp_path / "r.csv").write_text("listener,item\n")
    assert facts_of_sessions([tmp_path / "r.csv"]) == {}


def test_the_plan_tells_title_and_comparisons_but_not_the_purpose(tmp_path, command):
    plan = ("analysis.plan", "--listeners", 12, "--conditions", "a", "b", "c", "--items", "x")
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert command(*plan, "--title", "A", "--compare", "a", "b", "--margin", 5, "-o", first).returncode == 0
    told = facts_of_plan(first)
    assert told["title"] == "A"
    for said in (
        "a with b (t, holm, alpha 0.05, equivalence within 5 points) by 12 listeners",
        "MISSING: purpose",
    ):
        assert said in told["purpose"]
    assert command(*plan, "-o", second).returncode == 0
    told = facts_of_plan(second)
    assert list(told) == ["purpose"]
    assert "every pair without anchors (t" in told["purpose"]
