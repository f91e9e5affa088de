"""Ratings of a listening test in one tidy table, read strictly, whatever program wrote them.

One row is one rating. The columns are always

``session``    name of the test session; sessions named ``simulated-...`` hold no listener's judgement
``listener``   who rated
``item``       what was played
``condition``  how it was processed: ``href`` hidden reference, ``la`` and ``ma`` low and mid anchor, others
``replicate``  1, 2, ... where a listener rated the same cell of the design more than once
``score``      0 to 100

and further columns follow them as text, unchanged. Where a program's file holds them they are named

``time_ms``          how long the listener was on the page of the item
``plays``            how often the stimulus was played
``comment``          what the listener wrote
``date``             when the rating was given or sent
``questionnaire_*``  answers of the listener
``stimulus_sha256``  digest of what was played
``attribute``        what was rated, one of `ATTRIBUTES`; only one of them is read at a time
``transducer``       loudspeakers or headphones
``laboratory``       where it was rated, if in several
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.ratings.csv_text import NUMBER, write_rows
from analysis.ratings.importers.detect import import_file
from analysis.ratings.importers.wide import WIDE
from analysis.ratings.record import ATTRIBUTES, MAX_LISTED, Key, Record, canonical
from render.common.errors import InputError, did_you_mean
from render.common.files import read_json

DESIGN = ("session", "listener", "item", "condition", "replicate")
COLUMNS = (*DESIGN, "score")

SIMULATED = "simulated"
"""Sessions and listeners whose names begin so were simulated; see `Ratings.simulated`."""

MAX_NAME_LENGTH = 200

BLOCK = 4096
"""Number of ratings that are held as records; to hold all of them at once costs a third more time (collection)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Ratings:
    """The ratings of one test.

    Attributes
    ----------
    table
        The tidy table: columns `COLUMNS`, then what else the files held.
    formats
        Formats of the files that were read, sorted.
    unscored
        Places (file:line) where a file has no score: these cells of the design are missing.
    notes
        What had to be decided to read the files, in words.
    """

    table: pd.DataFrame
    formats: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether any rating was simulated: its session or listener is named ``simulated...``."""
        names = [name for column in ("session", "listener") for name in self.table[column].unique()]
        return any(name.lower().startswith(SIMULATED) for name in names)


def read_key(path: Path) -> Key:
    """Read the key that stands beside a blinded package: ``{"items": {item: {stimulus: condition}}}``.

    Raises
    ------
    InputError
        If the file is not JSON of this form, or names one condition of an item twice.
    """
    key = read_json(path)
    items = key.get("items") if isinstance(key, dict) else None
    if not isinstance(items, dict) or not items:
        raise InputError(f"{path}: holds no key ('items' with item -> stimulus -> condition)")
    read = {}
    for item, stimuli in items.items():
        if not isinstance(stimuli, dict) or not all(isinstance(c, str) and c for c in stimuli.values()):
            raise InputError(f"{path}: item '{item}' does not map stimulus names to condition names")
        names = {canonical(stimulus): canonical(condition) for stimulus, condition in stimuli.items()}
        if len(set(names.values())) < len(stimuli):
            raise InputError(f"{path}: item '{item}' has one condition under two stimulus names")
        read[canonical(item)] = names
    if len(read) < len(items):
        raise InputError(f"{path}: two items have one name, with composed and with decomposed characters")
    return read


def read(
    paths: Path | Sequence[Path],
    key: Key | None = None,
    rename: Mapping[str, str] | None = None,
    conditions: Collection[str] = (),
    only: Mapping[str, str] | None = None,
) -> Ratings:
    """Read the ratings of one test from one or more files, each in any known format.

    Parameters
    ----------
    paths
        CSV, XML or JSON files, or databases of ``listening.serve``; the format is recognised by content
        (`analysis.ratings.importers`).
    key
        Undoes the blinding of files that name stimuli instead of conditions.
    rename
        Condition name in the files -> our name, as ``{"Reference": "href"}``.
    conditions
        Columns of wide tables that are conditions; empty to find them (`analysis.ratings.importers.wide`).
    only
        Column -> the value of the ratings that are kept. Where several attributes were rated and none is chosen,
        the first of `ATTRIBUTES` is kept.

    Raises
    ------
    InputError
        With file and line: not a number, outside 0 to 100, rated twice, unknown item, stimulus or condition,
        damaged or hostile files.
    """
    rename = {canonical(name): condition for name, condition in (rename or {}).items()}
    paths = [paths] if isinstance(paths, str | Path) else paths
    files = [_read_file(Path(path), key, rename, conditions, only or {}) for path in paths]
    ratings = files[0] if len(files) == 1 else _merge(files)
    ratings = replace(ratings, notes=(*ratings.notes, *_transducer_notes(ratings.table)))
    if conditions and WIDE not in ratings.formats:
        raise InputError(f"--conditions names columns of a wide table, but the ratings are {ratings.formats[0]}")
    present = set(ratings.table["condition"])
    if unknown := set(rename.values()) - present:
        raise InputError(f"none of the conditions was named as {', '.join(sorted(unknown))}; "
                         f"the conditions are {', '.join(sorted(present))}")  # fmt: skip
    return ratings


def _read_file(
    path: Path, key: Key | None, rename: Mapping[str, str], wide: Collection[str], only: Mapping[str, str]
) -> Ratings:
    """Import a file, check every rating and lay the ratings side by side as columns."""
    file = import_file(path, key, wide)
    fields: list[list] = [[] for _ in Record._fields]
    unscored = []
    records = iter(file.records)
    while block := list(islice(records, BLOCK)):
        scored = [record for record in block if record.score]
        unscored += [f"{path.name}:{record.line}" for record in block if not record.score]
        for field, values in zip(fields, zip(*scored, strict=True), strict=False):
            field += values
    lines, sessions, listeners, items, conditions, scores, replicates, further = fields
    if not lines:
        raise InputError(f"{path}: holds no rating")
    sessions, listeners, items, conditions = (
        _mapped(column, canonical) for column in (sessions, listeners, items, conditions)
    )
    names = (sessions, listeners, items, _mapped(conditions, lambda name: rename.get(name, name)))
    checks = [
        ("score", scores, _score_fault),
        *((what, column, _name_fault) for what, column in zip(DESIGN, names, strict=False)),
        ("replicate", replicates, _replicate_fault),
    ]
    faults = []
    for what, column, fault_of in checks:
        bad = {text: fault for text in set(column) if (fault := fault_of(text))}
        if bad:
            first = next(i for i, text in enumerate(column) if text in bad)
            faults.append((lines[first], f"{what} {bad[column[first]]}"))
    if faults:
        line, fault = min(faults, key=lambda found: found[0])
        raise InputError(f"{path}:{line}: {fault}")
    columns = [*names, map(int, replicates), map(float, scores), *zip(*further, strict=True)]
    titles = (*COLUMNS, *file.further_columns)
    table = pd.DataFrame({title: list(column) for title, column in zip(titles, columns, strict=True)})
    table, notes = _kept(path, table, only)
    lines = [lines[i] for i in table.index]
    table = table.reset_index(drop=True)
    twice = table.duplicated(list(DESIGN))
    if twice.any():
        second = int(np.argmax(twice))
        first = int(np.argmax((table[list(DESIGN)] == table[list(DESIGN)].iloc[second]).all(axis=1)))
        raise InputError(f"{path}:{lines[second]}: {_cell(table.iloc[second])} is already rated in line "
                         f"{lines[first]}; number repeated ratings in a column 'replicate'")  # fmt: skip
    return Ratings(table, (file.format,), tuple(unscored), (*file.notes, *notes))


def _kept(path: Path, table: pd.DataFrame, only: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Leave out what is not to be kept; also say in words what that was."""
    notes = []
    chosen = dict(only)
    if "attribute" in table and "attribute" not in only:
        rated = [name for name in ATTRIBUTES if (table["attribute"] == name).any()]
        if len(rated) > 1 and table["attribute"].isin(ATTRIBUTES).all():
            chosen["attribute"] = rated[0]
            notes.append(
                f"{path.name}: {rated[0]} is analysed alone; rated were also {', '.join(rated[1:])} "
                f"(--only attribute={rated[1]})"
            )
    for column, value in chosen.items():
        if column not in table:
            raise InputError(f"{path}: --only {column}={value}: there is no such column"
                             f"{did_you_mean(column, map(str, table.columns))}")  # fmt: skip
        values = table[column].astype(str)
        if not (values == value).any():
            found = ", ".join(sorted(values.unique())[:MAX_LISTED])
            raise InputError(f"{path}: --only {column}={value}: no rating has it; there are {found}")
        table = table[values == value]
    return table, notes + [f"{path.name}: only ratings with {column} = {value}" for column, value in only.items()]


def _transducer_notes(table: pd.DataFrame) -> list[str]:
    """Warn of ratings by loudspeakers and by headphones in one table: BS.1534-3 allows one kind in a test."""
    if "transducer" not in table:
        return []
    counts = table[table["transducer"] != ""].groupby("transducer")["listener"].nunique()
    if len(counts) < 2:
        return []
    listed = ", ".join(f"{name} ({count} listeners)" for name, count in counts.items())
    return [
        f"DIFFERENT TRANSDUCERS ARE POOLED: {listed}. A test has one kind (BS.1534-3): analyse each "
        f"alone with --only transducer={counts.index[0]}"
    ]


def _merge(files: Sequence[Ratings]) -> Ratings:
    table = pd.concat([file.table for file in files], ignore_index=True)
    for column in [name for name in table.columns if name not in COLUMNS]:
        table[column] = table[column].fillna("")  # what only some of the files hold
    if (twice := table.duplicated(list(DESIGN), keep=False)).any():
        raise InputError(f"{_cell(table[twice].iloc[0])} is rated in more than one of the files")
    formats = {name for file in files for name in file.formats}
    return Ratings(
        table,
        tuple(sorted(formats)),
        tuple(place for file in files for place in file.unscored),
        tuple(note for file in files for note in file.notes),
    )


def _mapped(column: list[str], function: Callable[[str], str]) -> list[str]:
    """Apply a function to every distinct name of a column once."""
    changed = {name: new for name in set(column) if (new := function(name)) != name}
    return [changed.get(name, name) for name in column] if changed else column


def _score_fault(text: str) -> str:
    if not NUMBER.fullmatch(text):
        point = text.replace(",", ".", 1)
        remedy = f"write {point}" if NUMBER.fullmatch(point) else "leave it empty if this was not rated"
        return f"'{_printable(text)}' is not a number; {remedy}"
    return "" if 0 <= float(text) <= 100 else f"{_printable(text)} is outside 0 to 100"


def _name_fault(name: str) -> str:
    if not name:
        fault = "is empty"
    elif len(name) > MAX_NAME_LENGTH:
        fault = f"is longer than {MAX_NAME_LENGTH} characters"
    elif _CONTROL.search(name):
        fault = "holds control characters"
    else:
        return ""
    return f"'{_printable(name)}' {fault}"


def _replicate_fault(text: str) -> str:
    valid = text.isascii() and text.isdecimal() and 1 <= int(text) <= 999
    return "" if valid else f"'{_printable(text)}' is not a number from 1 to 999"


def _printable(text: str) -> str:
    return _CONTROL.sub("?", text if len(text) <= 40 else text[:40] + "...")


def _cell(row: pd.Series) -> str:
    return f"listener '{row['listener']}', item '{row['item']}', condition '{row['condition']}'"


def write(path: Path, table: pd.DataFrame, force: bool = False, blinded: bool = False) -> None:
    """Write a tidy table as our CSV; `read` returns the same table.

    With `blinded` the column ``condition`` holds names of stimuli and is headed ``stimulus``.

    Raises
    ------
    InputError
        If a file with other content exists and `force` is not set.
    """
    header = [c for c in ("session", "listener", "item", "condition", "score") if c in table]
    if (table["replicate"] != 1).any():
        header.append("replicate")
    header += [str(c) for c in table.columns if c not in COLUMNS]
    text = {c: table[c].tolist() for c in header} | {
        "score": [repr(s).removesuffix(".0") for s in table["score"].tolist()]
    }
    title = ["stimulus" if blinded and c == "condition" else c for c in header]
    write_rows(path, title, zip(*([str(v) for v in text[c]] for c in header), strict=True), force=force)
