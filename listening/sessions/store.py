"""The database of a test: one SQLite file that holds every event before it is acknowledged.

Write-ahead log, synchronous=FULL: a transaction that has returned survives a killed process and a failure of the
power. One server at a time holds the file; others read it at any time, as
`analysis.ratings.importers.listening_server` does.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.ratings.importers.listening_server import APPLICATION_ID, USER_VERSION
from listening.sessions.ratings import TABLES
from render.common.errors import InputError

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value);
CREATE TABLE listener (
    id TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL, token TEXT UNIQUE NOT NULL, secret BLOB NOT NULL,
    created INTEGER NOT NULL, withdrawn INTEGER, note TEXT NOT NULL DEFAULT ''
);
CREATE TABLE window (
    listener TEXT NOT NULL REFERENCES listener, window TEXT NOT NULL, opened_ms INTEGER NOT NULL,
    last INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (listener, window)
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, listener TEXT NOT NULL REFERENCES listener, window TEXT NOT NULL, seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, type TEXT NOT NULL, page INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (listener, window, seq)
);
CREATE TABLE answer (
    listener TEXT NOT NULL REFERENCES listener, field TEXT NOT NULL, value, PRIMARY KEY (listener, field)
);
"""


Execute = Callable[..., Any]
"""``execute`` of a connection in a transaction."""


class StorageError(Exception):
    """Nothing of a transaction could be stored; what was stored before is unharmed."""


@dataclass(frozen=True)
class Listener:
    """Row of the table `listener`."""

    id: str
    number: int
    token: str
    secret: bytes
    withdrawn: int | None

    def __post_init__(self):
        if not (isinstance(self.token, str) and isinstance(self.secret, bytes)):
            raise TypeError("a listener has no token or secret")


@dataclass(frozen=True)
class Window:
    """Row of the table `window`: a browser window, and the last event that is stored of it."""

    listener: str
    window: str
    opened_ms: int
    last: int


class Store:
    """The open database of a running test.

    Parameters
    ----------
    path : Path
        Made if there is none.
    meta : dict
        What the database holds of the test; ``test`` must be that of a database that exists.

    Raises
    ------
    InputError
        If another server has the database, or the file is none, of another version or of another test.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any]):
        self.path = path
        self._lock = _locked(path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            if self._is_empty():
                self._create(meta)
            else:
                self._check(meta["test"])
        except (sqlite3.Error, StorageError, UnicodeDecodeError) as error:
            self.close()
            raise InputError(
                f"{path}: is no database of a listening test, or cannot be written ({error})"
            ) from error
        except BaseException:
            self.close()
            raise

    def _is_empty(self) -> bool:
        """Whether the database is new, or its server was killed before it made the tables."""
        [(tables,)] = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        [(application,)] = self._connection.execute("PRAGMA application_id").fetchall()
        return tables == 0 and application == 0

    def _create(self, meta: Mapping[str, Any]) -> None:
        """Make all tables in one transaction, so that no database is left without its meta."""
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self.transaction() as execute:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                execute(statement)
            for table, columns in TABLES.items():
                execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            for key, value in meta.items():
                execute("INSERT INTO meta VALUES (?, ?)", (key, value))
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {USER_VERSION}")

    def _check(self, test: str) -> None:
        path = self.path
        [(application,)] = self._connection.execute("PRAGMA application_id").fetchall()
        [(version,)] = self._connection.execute("PRAGMA user_version").fetchall()
        if application != APPLICATION_ID:
            raise InputError(f"{path}: is a database of another program; name another file")
        if version != USER_VERSION:
            raise InputError(
                f"{path}: is of version {version}, this program writes version {USER_VERSION}; go on with the "
                "program that began it, or name another file"
            )
        found = self.meta("test")
        if found != test:
            raise InputError(
                f"{path}: holds the results of another test (another package or plan: its id is {found!s:.12}, "
                f"this test's {test:.12}); name another file"
            )

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Yield ``execute``; commit at the end, or leave the database as it was.

        Raises
        ------
        StorageError
            If the disk is full or cannot be written to.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # a disk that does not write may have ended the transaction itself
                self._connection.execute("ROLLBACK")
            if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise StorageError(str(error)) from error
            raise

    def fold_log(self) -> None:
        """Write what is in the log into the file itself, so that a copy of the file alone holds it.

        Nobody waits for readers; what cannot be written stays in the log, and nothing is lost.
        """
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def meta(self, key: str) -> Any:
        """Value of a key of the test; None if there is none."""
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
        return found[0][0] if found else None

    def listeners(self) -> list[Listener]:
        """All listeners, withdrawn ones too."""
        rows = self._connection.execute(
            "SELECT id, number, token, secret, withdrawn FROM listener ORDER BY number"
        )
        return [Listener(*row) for row in rows]

    def windows(self) -> list[Window]:
        """All windows, the one opened last at the end."""
        rows = self._connection.execute(
            "SELECT listener, window, opened_ms, last FROM window ORDER BY opened_ms, rowid"
        )
        return [Window(*row) for row in rows]

    def events(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Listener, time of receipt and event, in the order in which they were stored."""
        rows = self._connection.execute(
            "SELECT listener, received_ms, seq, at_ms, type, page, body FROM event ORDER BY id"
        )
        for listener, received_ms, seq, at_ms, kind, page, body in rows:
            try:
                own = json.loads(body)
            except ValueError as error:
                raise InputError(
                    f"{self.path}: event {seq} of listener {listener} is damaged ({error})"
                ) from error
            yield listener, received_ms, {"seq": seq, "at_ms": at_ms, "type": kind, "page": page, **own}

    def close(self) -> None:
        """Close the database and let another server have it."""
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)  # last, since it drops SQLite's own locks of the file in this process (fcntl(2))
            self._lock = -1


def insert_events(
    execute: Execute, listener: str, window: str, received_ms: int, events: Iterable[Mapping[str, Any]]
) -> None:
    """Insert events of one window, and note the last one."""
    last = 0
    for event in events:
        own = {name: value for name, value in event.items() if name not in ("seq", "at_ms", "type", "page")}
        last = event["seq"]
        row = (listener, window, last, int(event["at_ms"]), received_ms, event["type"], event["page"])
        execute(
            "INSERT INTO event (listener, window, seq, at_ms, received_ms, type, page, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, json.dumps(own, ensure_ascii=False, separators=(",", ":"))),
        )
    execute("UPDATE window SET last = ? WHERE listener = ? AND window = ?", (last, listener, window))


def insert_rows(execute: Execute, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows of results."""
    columns = TABLES[table]
    for row in rows:
        execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
            [row[column] for column in columns],
        )


def _locked(path: Path) -> int:
    """Descriptor of the file, made with mode 0600, that this process alone holds locked until it is closed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; name a file for the results") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(
            f"{path}: another server is running with it; stop that one, or name another file"
        ) from error
    return descriptor
