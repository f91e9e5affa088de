"""Results of BS.1116, AB and ABX tests, from a database of ``listening.serve`` or its CSV.

The columns are those of docs/listening-results.md. Rows of one attribute and one transducer are analysed together,
those of several never.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from analysis.ratings.csv_text import NUMBER, read_table, read_text
from analysis.ratings.importers.listening_server import is_database, opened
from analysis.ratings.record import REFERENCE_NAMES, Key, Unblinding
from render.common.errors import InputError

METHODS = {"bs1116": "grade", "ab": "choice", "abx": "choice"}
"""Method -> its table in the database."""

SIMULATED = "simulated"

_NEEDED = {
    "bs1116": ("session", "listener", "item", "difference_grade"),
    "ab": ("session", "listener", "item", "a", "b", "choice"),
    "abx": ("session", "listener", "item", "a", "b", "choice", "correct"),
}


@dataclass(frozen=True)
class Comparison:
    """One finished trial.

    Attributes
    ----------
    line : int
        Where it stands in the file.
    group : tuple of str
        Attribute and transducer.
    listener, item : str
    first, second : str
        Conditions: the object and the reference (BS.1116), or the two that were compared, in alphabetical order.
    value : float
        BS.1116: the difference grade. AB: 1 if the first was preferred, 0 if the second, 0.5 if neither. ABX: 1 if
        X was recognised, else 0.
    """

    line: int
    group: tuple[str, str]
    listener: str
    item: str
    first: str
    second: str
    value: float


@dataclass(frozen=True)
class Comparisons:
    """The trials of one test.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    trials : list of Comparison
    simulated : bool
        Whether a session or listener is named ``simulated...``.
    source, sha256 : str
        Name of the file, and digest of the trials in it.
    notes : tuple of str
    """

    method: str
    trials: list[Comparison]
    simulated: bool
    source: str
    sha256: str
    notes: tuple[str, ...]


def read_comparisons(path: Path, key: Key | None = None) -> Comparisons:
    """Read the results of a test; of a database without withdrawn listeners.

    Raises
    ------
    InputError
        If the file holds no such test, lacks the conditions (give the key), or a value cannot be.
    """
    method, rows, notes = _of_database(path) if is_database(path) else _of_csv(path)
    if not rows:
        raise InputError(f"{path}: holds no finished trial yet")
    if lacking := [name for name in _NEEDED[method] if name not in rows[0][1]]:
        raise InputError(f"{path}: lacks the columns {', '.join(lacking)} of docs/listening-results.md")
    unblinding = Unblinding(path, key) if key is not None else None
    trials = [_trial(path, line, method, row, unblinding) for line, row in rows]
    names = {row[name].lower() for _, row in rows for name in ("session", "listener")}
    simulated = any(name.startswith(SIMULATED) for name in names)
    digest = hashlib.sha256(json.dumps([astuple(trial) for trial in trials]).encode()).hexdigest()
    return Comparisons(method, trials, simulated, path.name, digest, tuple(notes))


def _of_database(path: Path) -> tuple[str, list[tuple[int, dict[str, str]]], list[str]]:
    with opened(path) as database:
        [(plan,)] = database.execute("SELECT value FROM meta WHERE key = 'plan'").fetchall()
        method = json.loads(plan)["method"]
        if method not in METHODS:
            raise InputError(f"{path}: holds a test by the method {method}; analysis.mushra analyses it")
        table = METHODS[method]
        cursor = database.execute(
            f"SELECT {table}.* FROM {table} JOIN listener ON listener.id = {table}.listener "  # noqa: S608
            f"WHERE listener.withdrawn IS NULL ORDER BY {table}.rowid"
        )
        rows = _texts(cursor)
        gone = database.execute("SELECT id FROM listener WHERE withdrawn IS NOT NULL ORDER BY number").fetchall()
    left_out = [f"withdrawn and left out: {', '.join(name for (name,) in gone)}"] if gone else []
    return method, list(enumerate(rows, start=1)), left_out


def _texts(cursor: sqlite3.Cursor) -> list[dict[str, str]]:
    names = [column[0] for column in cursor.description]
    return [{n: "" if v is None else str(v) for n, v in zip(names, row, strict=True)} for row in cursor]


def _of_csv(path: Path) -> tuple[str, list[tuple[int, dict[str, str]]], list[str]]:
    table = read_table(path, read_text(path)).named()
    columns = set(table.header)
    if {"session", "listener", "item", "difference_grade"} <= columns:
        method = "bs1116"
    elif {"session", "listener", "item", "a", "b", "choice"} <= columns:
        method = "ab"
    else:
        raise InputError(
            f"{path}: is no table of BS.1116, AB or ABX by listening.results, with session, listener, item and "
            "difference_grade, or a, b and choice"
        )
    rows = [(line, dict(zip(table.header, cells, strict=True))) for line, cells in table.rows()]
    if method == "ab" and any(row.get("correct") for _, row in rows):
        method = "abx"
    return method, rows, []


def _trial(
    path: Path, line: int, method: str, row: Mapping[str, str], unblinding: Unblinding | None
) -> Comparison:
    group = (row.get("attribute", ""), row.get("transducer", ""))
    item = unblinding.item(line, row["item"]) if unblinding else row["item"]

    def condition(name: str, told: str) -> str:
        if row.get(told):
            return row[told]
        if row.get(name, "").lower() in REFERENCE_NAMES:
            return "href"
        if name not in row:
            raise InputError(f"{path}:{line}: neither {name} nor {told} tells what was heard")
        if unblinding is None:
            raise InputError(f"{path}: names stimuli, not conditions; give the package's key with --key")
        return unblinding.condition(line, item, row[name])

    def among(name: str, allowed: Iterable[str]) -> str:
        if row[name] not in allowed:
            raise InputError(f"{path}:{line}: {name} is '{row[name]}'; possible are {', '.join(allowed)}")
        return row[name]

    if method == "bs1116":
        if not NUMBER.fullmatch(row["difference_grade"]) or abs(float(row["difference_grade"])) > 4:
            raise InputError(
                f"{path}:{line}: difference_grade is '{row['difference_grade']}'; possible are -4 to 4"
            )
        made = condition("stimulus", "condition")
        return Comparison(line, group, row["listener"], item, made, "href", float(row["difference_grade"]))
    first, second = condition("a", "condition_a"), condition("b", "condition_b")
    if method == "abx":
        value = float(among("correct", ("0", "1")))
    else:
        value = {"a": 1.0, "b": 0.0, "same": 0.5}[among("choice", ("a", "b", "same"))]
    if first > second:
        first, second = second, first
        value = 1 - value if method == "ab" else value
    return Comparison(line, group, row["listener"], item, first, second, value)
