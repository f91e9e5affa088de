"""Rating files of the programs that listening tests are run with, recognised by their content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from analysis.ratings.record import Key, Record, Row, full, unblind
from render.common.errors import InputError

OURS = ("session", "listener", "item", "condition", "score", "replicate")

HEADINGS = {
    "session": {"session", "session_id", "test", "run"},
    "listener": {"listener", "listener_id", "subject", "subject_id", "participant", "participant_id",
                 "assessor", "rater", "user", "user_id", "worker", "workerid", "worker_id"},
    "item": {"item", "item_id", "trial", "trial_id", "track", "song", "clip", "excerpt", "sample", "scene"},
    "condition": {"condition", "cond", "system", "method", "algorithm", "codec", "model", "stimulus"},
    "score": {"score", "rating", "mushra", "rating_score"},
}  # fmt: skip
"""Headings under which tables in the wild keep our columns."""


def _decimal_points(body: Iterator[Row], delimiter: str) -> Iterator[Row]:
    """Read 87,5 as 87.5 where the comma cannot be a delimiter, as spreadsheets write it in half of Europe."""
    for line, row in body:
        if delimiter != ",":
            row = [c.replace(",", ".") if c.replace(",", "", 1).isdecimal() else c for c in row]
        yield line, row


def _roles(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Column of each of our roles, by its heading; our own heading goes before its synonyms."""
    at: dict[str, int] = {}
    for role, headings in HEADINGS.items():
        found = [i for i, name in enumerate(names) if name == role] or [
            i for i, name in enumerate(names) if name in headings
        ]
        if len(found) > 1:
            raise InputError(f"{path}: columns '{names[found[0]]}' and '{names[found[1]]}' may both be the {role}")
        if found:
            at[role] = found[0]
    return at


def _long(
    path: Path,
    names: list[str],
    at: dict[str, int],
    body: Iterator[Row],
    key: Key | None,
    extra: tuple[str, ...],
) -> Iterator[Record]:
    """One rating a row, or lists of conditions and scores in the cells of a row."""
    if len(set(names)) < len(names):
        raise InputError(f"{path}: a column is named twice: {', '.join(n for n in names if names.count(n) > 1)}")
    blinded = names[at["condition"]] == "stimulus"
    if blinded and key is None and "score" in names and "listener" in names:
        raise InputError(f"{path}: names stimuli, not conditions; give the package's key with --key")
    stimulus = names.index("stimulus") if "stimulus" in names else None
    session, replicate = at.get("session"), names.index("replicate") if "replicate" in names else None
    others = [names.index(name) for name in extra]
    for line, row in full(path, body, len(names)):
        item, condition = row[at["item"]], "" if blinded else row[at["condition"]]
        if key is not None:
            condition = unblind(path, line, key, item, None if stimulus is None else row[stimulus], condition)
        elif blinded:
            condition = row[at["condition"]]
        record = Record(
            line,
            row[session] if session is not None else "session",
            row[at["listener"]],
            item,
            condition,
            row[at["score"]],
            row[replicate] if replicate is not None else "1",
            tuple([row[i] for i in others]),
        )
        if record.score.startswith("["):
            yield from _listed(path, record)
        else:
            yield record


def _listed(path: Path, record: Record) -> Iterator[Record]:
    """Split a row whose condition and score cells hold lists, as ``['A', 'B']`` and ``[10, 20]``."""
    conditions, scores = (_list(path, record.line, cell) for cell in (record.condition, record.score))
    if len(conditions) != len(scores):
        raise InputError(f"{path}:{record.line}: {len(conditions)} conditions, but {len(scores)} scores")
    for condition, score in zip(conditions, scores, strict=True):
        yield record._replace(condition=condition, score=score)


# One element of a list and what ends it: 'text' or "text" with backslash escapes, or a bare number.
_ELEMENT = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([\w.+-]+))\s*([],])""", re.DOTALL)


def _list(path: Path, line: int, cell: str) -> list[str]:
    """Elements of a list as Python or JSON prints it; nothing but texts and numbers, one level deep."""
    found: list[str] = []
    at = 1
    while cell.startswith("[") and at < len(cell) and (match := _ELEMENT.match(cell, at)):
        quoted = match[1] if match[1] is not None else match[2]
        found.append(match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        at = match.end()
        if match[4] == "]" and at == len(cell):
            return found
    raise InputError(f"{path}:{line}: a cell is no list of names or numbers")


def _wide_conditions(path: Path, header: list[str], at: dict[str, int], body: Iterator[Row]) -> Iterator[Record]:
    """A row for each listener and item, a column for each condition."""
    conditions = [i for i in range(len(header)) if i not in at.values()]
    for line, row in full(path, body, len(header)):
        session = row[at["session"]] if "session" in at else "session"
        for i in conditions:
            yield Record(line, session, row[at["listener"]], row[at["item"]], header[i], row[i])


def _wide_files(
    path: Path, line: int, header: list[str], at: dict[str, int], body: Iterator[Row]
) -> Iterator[Record]:
    """A row for each listener, a column for each item and condition, named as ``item_condition``."""
    columns = [i for i in range(len(header)) if i not in at.values()]
    grid = split_names(path, line, [header[i] for i in columns])
    for number, row in full(path, body, len(header)):
        session = row[at["session"]] if "session" in at else "session"
        for i, (item, condition) in zip(columns, grid, strict=True):
            yield Record(number, session, row[at["listener"]], item, condition, row[i])


def _golisten(path: Path, line: int, header: list[str], body: Iterator[Row]) -> Iterator[Record]:
    """GoListen: a row for each nameless listener, files as columns, up to three rows of headings.

    Files stand in the row 'Sound filename'; in exports before that title, in the first row that names sounds.
    Columns without a file are answers to questions and times.
    """
    while not (mark := _mark_of_files(header)):
        try:
            line, header = next(body)
        except StopIteration:
            raise InputError(f"{path}: has no row 'Sound filename'") from None
    columns = [i for i in range(mark, len(header)) if header[i]]
    grid = split_names(path, line, [header[i] for i in columns])
    count = 0
    for number, row in full(path, body, len(header)):
        if count == 0 and not any(character.isdigit() for i in columns for character in row[i]):
            continue  # a further row of headings
        count += 1
        for i, (item, condition) in zip(columns, grid, strict=True):
            yield Record(number, row[0] or "session", f"{count:02d}", item, condition, row[i], extra=(row[1],))


def _mark_of_files(header: list[str]) -> int:
    """Column from which on a row of GoListen names files; 0 where it does not."""
    names = [name.lower() for name in header]
    if "sound filename" in names:
        return names.index("sound filename") + 1
    return 2 if not any(names[:2]) and any(name.endswith(SOUNDS) for name in names) else 0


SOUNDS = (".wav", ".flac", ".mp3", ".ogg")


def split_names(path: Path, line: int, files: Sequence[str]) -> list[tuple[str, str]]:
    """Split names as ``item_condition`` (separated by one of ``_-. ``) so that they fill a complete grid."""
    stems = [PurePosixPath(f).stem if f.lower().endswith(SOUNDS) else f for f in files]
    breaks = [[i for i, character in enumerate(stem) if character in "_-. "] for stem in stems]
    fewest = min(map(len, breaks), default=0)
    for nth in [*range(fewest), *range(-fewest, 0)]:
        pairs = [(stem[: at[nth]], stem[at[nth] + 1 :]) for stem, at in zip(stems, breaks, strict=True)]
        items, conditions = ({pair[side] for pair in pairs} for side in (0, 1))
        if len(conditions) > 1 and len(set(pairs)) == len(pairs) == len(items) * len(conditions):
            return pairs
    raise InputError(f"{path}:{line}: the columns' names do not split into item and condition (as item_condition)")
