"""Results of a test as tables for other programs: our CSV, webMUSHRA's, and every event.

The database is only read, in one state, also while the server runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.ratings.csv_text import write_rows
from analysis.ratings.importers.listening_server import opened
from analysis.ratings.record import Unblinding
from listening.sessions.pages import REFERENCE, Key
from listening.sessions.ratings import TABLE_OF
from render.common.errors import InputError

EVENT_COLUMNS = ("listener", "window", "seq", "at_ms", "received_ms", "type", "page", "body")

WEBMUSHRA_CONDITIONS = {"href": "reference", "la": "anchor35", "ma": "anchor70"}
"""Our conditions, and the names under which webMUSHRA keeps its own."""


@dataclass(frozen=True)
class Results:
    """What a database holds.

    Attributes
    ----------
    path : Path
    method : str
    rows : list of dict
        Of the table of the method, with ``questionnaire_*``.
    events : list of tuple
        Columns as `EVENT_COLUMNS`.
    withdrawn : tuple of str
        Withdrawn listeners, whether or not they were left out.
    """

    path: Path
    method: str
    rows: list[dict[str, Any]]
    events: list[tuple[Any, ...]]
    withdrawn: tuple[str, ...]


def read_results(path: Path, with_withdrawn: bool = False) -> Results:
    """Read a database, without withdrawn listeners unless they are wanted.

    Raises
    ------
    InputError
        If it is no database of a listening test, or of another version.
    """
    kept = "1" if with_withdrawn else "listener.withdrawn IS NULL"
    with opened(path) as database:
        [(plan,)] = database.execute("SELECT value FROM meta WHERE key = 'plan'").fetchall()
        method = json.loads(plan)["method"]
        table = TABLE_OF[method]
        rows = _dicts(database, f"SELECT {table}.* FROM {table} JOIN listener ON listener.id = listener "  # noqa: S608
                                f"WHERE {kept} ORDER BY {table}.rowid")  # fmt: skip
        events = database.execute(
            f"SELECT {', '.join('event.' + name for name in EVENT_COLUMNS)} FROM event "  # noqa: S608
            f"JOIN listener ON listener.id = event.listener WHERE {kept} ORDER BY event.id"
        ).fetchall()
        answers = database.execute("SELECT listener, field, value FROM answer").fetchall()
        withdrawn = database.execute(
            "SELECT id FROM listener WHERE withdrawn IS NOT NULL ORDER BY number"
        ).fetchall()
    fields = sorted({field for _, field, _ in answers})
    given = {(listener, field): value for listener, field, value in answers}
    for row in rows:
        row |= {f"questionnaire_{field}": given.get((row["listener"], field)) for field in fields}
    return Results(path, method, rows, events, tuple(name for (name,) in withdrawn))


def _dicts(database: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    cursor = database.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def write_csv(path: Path, results: Results, key: Key | None, force: bool = False) -> int:
    """Write one row for each rating, grade or choice; with the key also its condition. Return their number."""
    rows = _with_conditions(results, key)
    if not rows:
        raise InputError(f"{results.path}: holds no finished trial yet")
    first = [name for name in _FIRST if name in rows[0]]
    if all(row["replicate"] == 1 for row in rows):
        rows = [{name: value for name, value in row.items() if name != "replicate"} for row in rows]
    header = first + [name for name in rows[0] if name not in first]
    write_rows(path, header, ([row[name] for name in header] for row in rows), force)
    return len(rows)


_FIRST = (
    "session", "listener", "item", "condition", "stimulus", "condition_a", "condition_b", "a", "b", "x", "choice",
    "correct", "score", "grade", "reference_grade", "difference_grade",
)  # fmt: skip


def _with_conditions(results: Results, key: Key | None) -> list[dict[str, Any]]:
    """Rows with the conditions that the key tells; the open reference is the hidden one's condition."""
    if key is None:
        return [dict(row) for row in results.rows]
    unblinding = Unblinding(results.path, key)

    def condition(line: int, row: Mapping[str, Any], name: str) -> str:
        return "href" if row[name] == REFERENCE else unblinding.condition(line, row["item"], row[name])

    named = (
        {"a": "condition_a", "b": "condition_b"}
        if TABLE_OF[results.method] == "choice"
        else {"stimulus": "condition"}
    )
    result = []
    for line, row in enumerate(results.rows, start=1):
        item = unblinding.item(line, row["item"])
        own = row | {"item": item}
        result.append(own | {title: condition(line, own, name) for name, title in named.items()})
    return result


def write_webmushra(path: Path, results: Results, key: Key | None, force: bool = False) -> int:
    """Write the table that webMUSHRA keeps of a MUSHRA test. Return the number of ratings.

    Raises
    ------
    InputError
        If the test is another, or has replicates or several attributes, which that table cannot hold.
    """
    rows = _with_conditions(results, key)
    if results.method != "mushra":
        raise InputError(f"{results.path}: holds a test by {results.method}; webMUSHRA's table is for mushra")
    if not rows:
        raise InputError(f"{results.path}: holds no finished trial yet")
    if len({(row["attribute"], row["replicate"]) for row in rows}) > 1:
        raise InputError(
            f"{results.path}: webMUSHRA's table holds neither replicates nor attributes; use --format csv"
        )
    asked = [name for name in rows[0] if name.startswith("questionnaire_")]
    header = (
        "session_test_id", *(name.removeprefix("questionnaire_") for name in asked), "session_uuid", "trial_id",
        "rating_stimulus", "rating_score", "rating_time", "rating_comment",
    )  # fmt: skip
    table = [
        (
            row["session"], *(row[name] for name in asked), row["listener"], row["item"],
            WEBMUSHRA_CONDITIONS.get(row["condition"], row["condition"]) if key else row["stimulus"],
            row["score"], row["time_ms"], row["comment"],
        )
        for row in rows
    ]  # fmt: skip
    write_rows(path, header, table, force)
    return len(rows)


def write_events(path: Path, results: Results, force: bool = False) -> int:
    """Write every event in the order in which it was stored. Return their number."""
    write_rows(path, EVENT_COLUMNS, results.events, force)
    return len(results.events)
