"""The database of ``listening.serve``: ratings of a test that has ended, or that is running now.

The columns of its tables are described in docs/listening-results.md.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from analysis.ratings.record import Key, RatingFile, Record, Unblinding
from render.common.errors import InputError

APPLICATION_ID = 0x484F414C
"""Of the SQLite file ("HOAL"), by which the database is recognised."""

USER_VERSION = 1

FORMAT = "listening.serve"

_HEADER = b"SQLite format 3\0"
_NAMES = ("session", "listener", "item", "stimulus")
_DESIGN = (*_NAMES, "score", "replicate")


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database.

    Not for the process that serves it: closing the file would drop SQLite's locks of it there (fcntl(2)).
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False  # whoever reads it says why


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading, in one state: what a server writes meanwhile is not seen, and it may go on.

    The database is not changed. Where no log lies beside it no server runs, and it is read as it is, so that no
    empty log is left behind.

    Raises
    ------
    InputError
        If it is no database of a listening test, or of another version.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    how = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
        ) as found:
            found.execute("BEGIN")
            [(application,)] = found.execute("PRAGMA application_id").fetchall()
            [(version,)] = found.execute("PRAGMA user_version").fetchall()
            if application != APPLICATION_ID:
                raise InputError(f"{path}: is a database, but not one of listening.serve")
            if version != USER_VERSION:
                raise InputError(
                    f"{path}: is of version {version}, this program reads version {USER_VERSION}; use "
                    "the one that wrote it"
                )
            yield found
    except InputError:
        raise
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:  # damage, and values of another kind
        raise InputError(f"{path}: is no database that can be read ({error})") from error


def ratings(path: Path, key: Key | None) -> RatingFile:
    """Import the ratings of a MUSHRA test, without those of withdrawn listeners.

    Raises
    ------
    InputError
        If the database is of another program or method, or the key is missing or of another package.
    """
    with opened(path) as database:
        _check_method(path, database)
        rated, withdrawn, answers = _rated(database), _withdrawn(database), _answers(database)
    if key is None:
        raise InputError(f"{path}: names stimuli, not conditions; give the package's key with --key")
    own = [name for name in (rated[0] if rated else {}) if name not in _DESIGN]
    fields = sorted({field for given in answers.values() for field in given})
    further = (*own, "stimulus", *(f"questionnaire_{field}" for field in fields))
    records, unblinding = [], Unblinding(path, key)
    for line, row in enumerate(rated, start=1):
        item = unblinding.item(line, row["item"])
        given = answers.get(row["listener"], {})
        texts = [row[name] for name in own] + [row["stimulus"]] + [given.get(field) for field in fields]
        record = Record(
            line,
            row["session"],
            row["listener"],
            item,
            unblinding.condition(line, item, row["stimulus"]),
            repr(row["score"]),
            str(row["replicate"]),
            tuple("" if text is None else str(text) for text in texts),
        )
        records.append(record)
    notes = [f"{path.name}: withdrawn and left out: {', '.join(withdrawn)}"] if withdrawn else []
    return RatingFile(FORMAT, further, records, tuple(notes))


def digest(path: Path) -> str:
    """SHA-256 of the ratings, in the order in which they were given.

    The file itself tells nothing of its state: the newest ratings stand in the log beside it.
    """
    with opened(path) as database:
        rows = [list(row.values()) for row in _rated(database)]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def session_plan(path: Path) -> dict[str, Any]:
    """Settings of the session, as `listening.sessions.plan` defines them."""
    with opened(path) as database:
        return _plan(database)


def _plan(database: sqlite3.Connection) -> dict[str, Any]:
    [(plan,)] = database.execute("SELECT value FROM meta WHERE key = 'plan'").fetchall()
    return json.loads(plan)


def _check_method(path: Path, database: sqlite3.Connection) -> None:
    method = _plan(database)["method"]
    if method != "mushra":
        raise InputError(
            f"{path}: holds a test by the method {method}, whose results are no scores from 0 to 100; "
            "analysis.comparison analyses it"
        )


def _rated(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """Rows of the table of ratings, of listeners that were not withdrawn."""
    cursor = database.execute(
        "SELECT rating.* FROM rating JOIN listener ON listener.id = rating.listener "
        "WHERE listener.withdrawn IS NULL ORDER BY rating.rowid"
    )
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    if not all(isinstance(row[name], str) for row in rows for name in _NAMES):
        raise TypeError(f"a rating lacks one of {', '.join(_NAMES)}")
    return rows


def _withdrawn(database: sqlite3.Connection) -> list[str]:
    return [
        name for (name,) in database.execute("SELECT id FROM listener WHERE withdrawn IS NOT NULL ORDER BY number")
    ]


def _answers(database: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for listener, field, value in database.execute("SELECT listener, field, value FROM answer"):
        result.setdefault(listener, {})[field] = value
    return result
