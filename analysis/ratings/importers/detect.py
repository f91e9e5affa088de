"""Recognise the program that wrote a rating file by the file's content, and read its ratings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.ratings.csv_text import delimiter_of, read_text, rows
from analysis.ratings.importers import documents, webmushra
from analysis.ratings.importers.tables import (
    OURS,
    _decimal_points,
    _golisten,
    _long,
    _roles,
    _wide_conditions,
    _wide_files,
)
from analysis.ratings.record import Key, Record
from render.common.errors import InputError


def records(path: Path, key: Key | None) -> tuple[str, tuple[str, ...], Iterator[Record]]:
    """Recognise a file; return its format's name, the names of its further columns and its ratings."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "<":
        return "listening-test-app XML", documents.APP_EXTRA, documents.listening_test_app(path, text)
    if start in ("[", "{"):
        return "BeaqleJS JSON", documents.BEAQLE_EXTRA, documents.beaqle(path, text)
    body = _decimal_points(rows(path, text), delimiter_of(text))
    try:
        line, header = next(body)
    except StopIteration:
        raise InputError(f"{path}: is empty") from None
    names = [name.lower() for name in header]
    has = set(names)
    if "session_test_id" in has and {"trial_id", "rating_stimulus", "rating_score"} <= has:
        return "webMUSHRA", webmushra.further_columns(names), webmushra.webmushra(path, names, body, key)
    if {"responses_stimulus", "responses_score", "wm_id"} <= has:
        return "pymushra", *webmushra.pymushra(path, names, body, key)
    if has & {"sound filename", "tags"}:
        return "GoListen", ("date",), _golisten(path, line, header, body)
    at = _roles(path, names)
    if {"listener", "item", "condition", "score"} <= at.keys():
        extra = tuple(n for n in names if n not in OURS) if "score" in has and "listener" in has else ()
        return "long CSV", extra, _long(path, names, at, body, key, extra)
    if {"listener", "item"} <= at.keys():
        return "wide CSV", (), _wide_conditions(path, header, at, body)
    if "listener" in at and "item" not in at:
        return "wide CSV", (), _wide_files(path, line, header, at, body)
    raise InputError(
        f"{path}:{line}: no known rating format; our CSV has the columns "
        "session,listener,item,condition,score (or stimulus in place of condition, joined with --key)"
    )
