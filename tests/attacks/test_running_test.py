"""Events, packages and databases of a listening test that an attacker has written."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from analysis.ratings.table import read
from listening.sessions.outcomes import Refused, Stored
from listening.sessions.package import read_package
from render.common.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_targets import begun_test, listener_events, small_package


@pytest.fixture
def answered(tmp_path):
    """Function that stores the events up to one of a type, changed, and returns the answer to it."""
    test, listener = begun_test(tmp_path)

    def answer(kind, **changes):
        events = listener_events()
        at = next(place for place, event in enumerate(events) if event["type"] == kind)
        assert test.append(listener, "w", events[:at]) == Stored(at)
        found = test.append(listener, "w", [events[at] | changes])
        json.dumps([test.session(listener), test.overview()], allow_nan=False)
        return found

    yield answer
    test.close()


NESTED = json.loads("[" * 300 + "]" * 300)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("answer", {"value": 10**400}),
        ("answer", {"value": float("inf")}),
        ("answer", {"value": float("nan")}),
        ("answer", {"field": ["age"]}),
        ("language", {"language": ["en"]}),
        ("language", {"language": {}}),
        ("device", {"transducer": []}),
        ("device", {"max_channels": 2**63}),
        ("device", {"output_map": NESTED * 20}),
        ("device", {"browser": "x" * 5000}),
        ("rate", {"score": 10**400}),
        ("rate", {"slot": True}),
        ("rate", {"slot": 2**70}),
        ("play", {"position": -(10**400)}),
        ("comment", {"text": "\ud800"}),
        ("comment", {"text": "a\0b"}),
        ("comment", {"text": "x" * 10_001}),
        ("done", {"page": 2**70}),
        ("done", {"at_ms": 2**70}),
        ("done", {"type": NESTED}),
        ("done", {"more": 1}),
    ],
)
def test_impossible_events_are_refused_in_words(answered, kind, changes):
    answer = answered(kind, **changes)
    assert isinstance(answer, Refused)
    assert 0 < len(answer.why) < 300


@pytest.mark.parametrize(
    "name", ["../x.wav", "/etc/passwd", "a\0b.wav", "\ud800.wav", "link.wav", 3, None, [], ""]
)
def test_a_package_names_files_of_its_own_only(tmp_path, name):
    package = tmp_path / "package"
    session = small_package(package)
    (tmp_path / "x.wav").write_bytes((package / "audio" / "reference.wav").read_bytes())
    (package / "link.wav").symlink_to(tmp_path / "x.wav")
    (package / "session.json").write_text(json.dumps(session))
    read_package(package)
    item = session["items"][0] | {"reference": name}
    for changed in (session | {"items": [item]}, session | {"signals": [name]}):
        (package / "session.json").write_text(json.dumps(changed))
        with pytest.raises(InputError):
            read_package(package)


def test_a_database_with_values_of_another_kind_is_refused(tmp_path):
    test, listener = begun_test(tmp_path)
    test.append(listener, "w", listener_events())
    test.close()
    key = {"x": {"1a1a1a1a": "href", "2b2b2b2b": "la"}}
    assert sorted(read(tmp_path / "x.sqlite", key).table["score"]) == [20.5, 100]
    whole = (tmp_path / "x.sqlite").read_bytes()
    for change in (
        "UPDATE rating SET item = 3", "UPDATE rating SET listener = NULL", "UPDATE rating SET stimulus = x'ff'",
        "UPDATE rating SET score = 'x'", "UPDATE rating SET score = 9e999", "UPDATE meta SET value = '[]'",
        "UPDATE meta SET value = x'ff'", "UPDATE meta SET value = NULL", "DELETE FROM meta", "DROP TABLE rating",
        "ALTER TABLE rating DROP COLUMN item",
    ):  # fmt: skip
        (tmp_path / "x.sqlite").write_bytes(whole)
        with closing(sqlite3.connect(tmp_path / "x.sqlite")) as file, file:
            file.execute(change)
        with pytest.raises(InputError, match=r"x\.sqlite:"):
            read(tmp_path / "x.sqlite", key)
