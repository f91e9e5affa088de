"""Rating tables: our own, others with one rating per row, and the exports of GoListen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from analysis.ratings.csv_text import CsvTable
from analysis.ratings.record import Key, RatingFile, Record, Unblinding
from render.common.errors import InputError

OWN_COLUMNS = ("session", "listener", "item", "condition", "score", "replicate")

HEADINGS = {
    "session": {"session", "session_id", "test", "run"},
    "listener": {"listener", "listener_id", "subject", "subject_id", "participant", "participant_id",
                 "assessor", "rater", "user", "user_id", "worker", "workerid", "worker_id", "listeners",
                 "listener_ids", "subjects", "subject_ids", "participants", "participant_ids", "assessors",
                 "raters"},
    "item": {"item", "item_id", "trial", "trial_id", "track", "song", "clip", "excerpt", "sample", "scene"},
    "condition": {"condition", "cond", "system", "method", "algorithm", "codec", "model", "stimulus", "conditions",
                  "systems", "methods", "stimuli", "signal", "signals"},
    "score": {"score", "rating", "mushra", "rating_score", "scores", "ratings"},
}  # fmt: skip
"""Role of a column -> headings under which tables of other origin keep it."""

SIGNALS = ("signal", "signals")
"""Headings of conditions that are those of items if another column names conditions."""

SEPARATORS = "_-. "
"""What stands between item and condition in the name of a file."""

SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")


def columns_by_role(table: CsvTable) -> dict[str, int]:
    """Return the column of each role of `HEADINGS` that the header names; our own heading precedes its synonyms.

    Raises
    ------
    InputError
        If two columns could have the same role.
    """
    names = [name.lower() for name in table.header]
    columns: dict[str, int] = {}
    for role, headings in HEADINGS.items():
        found = [i for i, name in enumerate(names) if name == role] or [
            i for i, name in enumerate(names) if name in headings
        ]
        found = _without_signal(names, role, found)
        if role == "item" and not found and sum(name in HEADINGS["condition"] for name in names) > 1:
            found = [i for i, name in enumerate(names) if name in SIGNALS]
        if len(found) > 1:
            first, second = names[found[0]], names[found[1]]
            raise InputError(f"{table.path}: columns '{first}' and '{second}' may both be the {role}")
        if found:
            columns[role] = found[0]
    return columns


def _without_signal(names: Sequence[str], role: str, found: list[int]) -> list[int]:
    """Leave a column 'signal' to the items if another one names conditions: tables use the word for either."""
    if role != "condition" or len(found) < 2 or any(name in HEADINGS["item"] for name in names):
        return found
    return [i for i in found if names[i] not in SIGNALS]


def long(table: CsvTable, columns: Mapping[str, int], key: Key | None) -> RatingFile:
    """Import a table with one rating per row, or with lists of conditions and scores in the cells of a row.

    All other columns of our own tables are kept as further columns, those of others as
    ``questionnaire_<heading>``.
    """
    path, names = table.path, [name.lower() for name in table.header]
    own = {"score", "listener"} <= set(names)
    blinded = names[columns["condition"]] == "stimulus"
    if own and blinded and key is None:
        raise InputError(f"{path}: names stimuli, not conditions; give the package's key with --key")
    if own:
        kept = {i: name for i, name in enumerate(names) if name not in OWN_COLUMNS}
    else:
        roles = {*columns.values(), names.index("replicate") if "replicate" in names else -1}
        kept = {i: f"questionnaire_{name}" for i, name in enumerate(names) if i not in roles}
    return RatingFile("long CSV", tuple(kept.values()), _long_records(table, names, columns, key, list(kept)))


def _long_records(
    table: CsvTable, names: list[str], columns: Mapping[str, int], key: Key | None, others: Sequence[int]
) -> Iterator[Record]:
    path, blinded = table.path, names[columns["condition"]] == "stimulus"
    stimulus = names.index("stimulus") if "stimulus" in names else None
    replicate = names.index("replicate") if "replicate" in names else None
    session = columns.get("session")
    of_listener, of_item, of_condition, of_score = (
        columns[role] for role in ("listener", "item", "condition", "score")
    )
    unblinding = Unblinding(path, key) if key is not None else None
    for line, row in table.rows():
        item, condition, score = row[of_item], row[of_condition], row[of_score]
        if unblinding:
            item, named = unblinding.item(line, item), "" if blinded else condition
            condition = unblinding.condition(line, item, None if stimulus is None else row[stimulus], named)
        record = Record(
            line,
            "session" if session is None else row[session],
            row[of_listener],
            item,
            condition,
            table.number(score),
            "1" if replicate is None else row[replicate],
            tuple([row[i] for i in others]) if others else (),
        )
        if score[:1] == "[":
            yield from _split_lists(path, record)
        else:
            yield record


def _split_lists(path: Path, record: Record) -> list[Record]:
    """Split a row whose score cell holds a list, as ``[10, 20]``, as do the cells of its conditions or listeners.

    A cell of listener, item or condition that is no list holds for all scores.
    """
    scores = _parse_list(path, record.line, record.score)
    lists = {"score": scores}
    for field in ("listener", "item", "condition"):
        cell = getattr(record, field)
        if cell[:1] == "[":
            lists[field] = _parse_list(path, record.line, cell)
            if len(lists[field]) != len(scores):
                raise InputError(f"{path}:{record.line}: {len(lists[field])} {field}s, but {len(scores)} scores")
    if len(lists) == 1:
        raise InputError(f"{path}:{record.line}: has a list of scores, but none of listeners, items or conditions")
    return [
        record._replace(**dict(zip(lists, values, strict=True))) for values in zip(*lists.values(), strict=True)
    ]


# One element of a list and what ends it: 'text' or "text" with backslash escapes, or a bare number.
_ELEMENT = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([\w.+-]+))\s*([],])""", re.DOTALL)


def _parse_list(path: Path, line: int, cell: str) -> list[str]:
    """Parse a list as Python or JSON prints it; it may hold texts and numbers only, and no other lists."""
    elements: list[str] = []
    position = 1
    while cell.startswith("[") and position < len(cell) and (match := _ELEMENT.match(cell, position)):
        quoted = match[1] if match[1] is not None else match[2]
        elements.append(match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        position = match.end()
        if match[4] == "]" and position == len(cell):
            return elements
    raise InputError(f"{path}:{line}: a cell is not a list of names or numbers")


def golisten(table: CsvTable) -> RatingFile:
    """Import an export of GoListen: a row for each anonymous listener, a column for each sound file.

    Up to three rows of headings precede the ratings. The files are named in the row 'Sound filename', and in
    exports older than that heading in the first row that names sound files. Columns without a file hold times
    and answers to questions; the answers are kept as ``questionnaire_<question>``, or its number if it has no
    heading.
    """
    headings = table.rows(ragged=True)
    while not (first := _first_file_column(table.header)):
        line, header = next(headings, (0, []))
        if not header:
            raise InputError(f"{table.path}: has no row 'Sound filename'")
        table = replace(table, line=line, header=header)
    files = [i for i in range(first, len(table.header)) if table.header[i]]
    names = split_names(table.path, table.line, [table.header[i] for i in files])
    questions = [""] * len(table.header)
    count = 0
    records = []
    answers: list[list[str]] = []
    for line, row in table.rows():
        if count == 0 and not any(re.search("[0-9]", row[i]) for i in files):
            questions = [new or old for new, old in zip(row, questions, strict=True)]
            continue  # another row of headings
        answers.append(row)
        count += 1
        for i, (item, condition) in zip(files, names, strict=True):
            score = table.number(row[i])
            records.append(
                Record(line, row[0] or "session", f"{count:02d}", item, condition, score, further=(row[1],))
            )
    asked = [i for i in range(2, len(questions)) if i not in files and not questions[i].lower().startswith("time")
             and any(row[i] for row in answers)]  # fmt: skip
    titles = [
        f"questionnaire_{questions[i]}" if questions[i] else f"questionnaire_{n}" for n, i in enumerate(asked, 1)
    ]
    if len(set(titles)) < len(titles):
        titles = [f"questionnaire_{n}" for n in range(1, len(asked) + 1)]
    for n, record in enumerate(records):
        row = answers[n // len(files)]
        records[n] = record._replace(further=(*record.further, *(row[i] for i in asked)))
    return RatingFile("GoListen", ("date", *titles), records)


def _first_file_column(header: list[str]) -> int:
    """Return the column from which on a row of GoListen names files; 0 if it does not."""
    names = [name.lower() for name in header]
    if "sound filename" in names:
        return names.index("sound filename") + 1
    return 2 if not any(names[:2]) and any(name.endswith(SOUND_SUFFIXES) for name in names) else 0


def split_names(path: Path, line: int, files: Sequence[str]) -> list[tuple[str, str]]:
    """Split names into item and condition, at one of `SEPARATORS`, so that they fill a complete grid.

    Raises
    ------
    InputError
        With file and line, if no separator splits all names so.
    """
    stems = [PurePosixPath(f).stem if f.lower().endswith(SOUND_SUFFIXES) else f for f in files]
    separators = [[i for i, character in enumerate(stem) if character in SEPARATORS] for stem in stems]
    count = min(map(len, separators), default=0)
    for nth in [*range(count), *range(-count, 0)]:
        names = [(stem[: at[nth]], stem[at[nth] + 1 :]) for stem, at in zip(stems, separators, strict=True)]
        items, conditions = ({name[side] for name in names} for side in (0, 1))
        if len(conditions) > 1 and len(set(names)) == len(names) == len(items) * len(conditions):
            return names
    raise InputError(f"{path}:{line}: the columns' names do not split into item and condition (as item_condition)")
