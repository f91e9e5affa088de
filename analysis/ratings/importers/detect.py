"""Recognise the program that wrote a rating file by the file's content, and import its ratings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from analysis.ratings.csv_text import read_table, read_text
from analysis.ratings.importers import beaqle, listening_server, listening_test_app, tables, webmushra, wide
from analysis.ratings.record import Key, RatingFile
from render.common.errors import InputError
from render.common.files import sha256


def import_file(path: Path, key: Key | None, conditions: Collection[str] = ()) -> RatingFile:
    """Recognise the format of a file and import its ratings, all values still as text.

    Parameters
    ----------
    path
        CSV, XML or JSON file, or database of ``listening.serve``.
    key
        Blinding key, for files that name stimuli instead of conditions.
    conditions
        Columns of a wide table that hold the scores of a condition; empty if they are to be found.

    Raises
    ------
    InputError
        With file and line: no known format fits, or the file does not keep to its format.
    """
    if listening_server.is_database(path):
        return listening_server.ratings(path, key)
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "<":
        return listening_test_app.ratings(path, text)
    if start in ("[", "{"):
        return webmushra.pymushra_json(path, text, key) or beaqle.ratings(path, text)
    raw = read_table(path, text)
    if not raw.header:
        raise InputError(f"{path}: is empty")
    names = {name.lower() for name in raw.header}
    if {"session_test_id", "trial_id", "rating_stimulus", "rating_score"} <= names:
        return webmushra.webmushra(raw.named(), key)
    if {"responses_stimulus", "responses_score", "wm_id"} <= names:
        return webmushra.pymushra(raw.named(), key)
    if names & {"difference_grade", "plays_reference"}:
        raise InputError(
            f"{path}:{raw.line}: holds results of BS.1116, AB or ABX, which are no scores from 0 to "
            "100; analysis.comparison analyses them"
        )
    if names & {"sound filename", "tags"}:
        return tables.golisten(raw)
    table = raw.named()
    columns = tables.columns_by_role(table)
    if {"listener", "item", "condition", "score"} <= columns.keys():
        return tables.long(table, columns, key)
    if {"listener", "item"} <= columns.keys():
        return wide.by_condition(table, columns, conditions)
    if "listener" in columns:
        return wide.by_file(table, columns, conditions)
    raise InputError(
        f"{path}:{table.line}: the rating format is not known; our CSV has the columns "
        "session,listener,item,condition,score (or stimulus in place of condition, joined with --key)"
    )


def source_digest(path: Path) -> str:
    """SHA-256 of a rating file; of a database, of the ratings in it."""
    return listening_server.digest(path) if listening_server.is_database(path) else sha256(path)
