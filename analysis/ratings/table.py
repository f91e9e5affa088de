"""Ratings of a listening test in one tidy table, read strictly, whatever program wrote them.

One row is one rating. The columns are always

``session``    name of the test session; sessions named ``simulated-...`` hold no listener's judgement
``listener``   who rated
``item``       what was played
``condition``  how it was processed: ``href`` hidden reference, ``la`` and ``ma`` low and mid anchor, others
``replicate``  1, 2, ... where a listener rated the same cell of the design more than once
``score``      0 to 100

and further columns follow them as text, untouched. Where a program's file holds them they are named

``time_ms``          how long the listener was on the page of the item
``plays``            how often the stimulus was played
``comment``          what the listener wrote
``date``             when the rating was given or sent
``questionnaire_*``  answers of the listener
``stimulus_sha256``  digest of what was played
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.csv_text import write_rows
from analysis.ratings.importers import detect
from analysis.ratings.record import Key, Record
from render.common.errors import InputError
from render.common.files import read_json

DESIGN = ("session", "listener", "item", "condition", "replicate")
COLUMNS = (*DESIGN, "score")
SIMULATED = "simulated"
"""Sessions and listeners whose names begin so were simulated; see `is_simulated`."""

MAX_BLANKS = 10
"""Places of cells without a score that are named; the others are counted."""

MAX_DESIGN_CELLS = 50_000_000
"""Cells (listener x item x condition) up to which the analysis is held in memory."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_key(path: Path) -> Key:
    """Read the key that stands beside a blinded package: ``{"items": {item: {stimulus: condition}}}``."""
    key = read_json(path)
    items = key.get("items") if isinstance(key, dict) else None
    if not isinstance(items, dict) or not items:
        raise InputError(f"{path}: holds no key ('items' with item -> stimulus -> condition)")
    for item, stimuli in items.items():
        if not isinstance(stimuli, dict) or not all(isinstance(c, str) and c for c in stimuli.values()):
            raise InputError(f"{path}: item '{item}' does not map stimulus names to condition names")
        if len(set(stimuli.values())) < len(stimuli):
            raise InputError(f"{path}: item '{item}' has one condition under two stimulus names")
    return items


def read(
    paths: Path | Sequence[Path], key: Key | None = None, rename: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read the ratings of one test from one or more files, each in any known format.

    Parameters
    ----------
    paths
        CSV, XML or JSON files; the format is recognised by content.
    key
        Undoes the blinding of files that name stimuli instead of conditions.
    rename
        Condition name in the files -> our name, as ``{"Reference": "href"}``.

    Returns
    -------
    DataFrame
        The tidy table: columns `COLUMNS`, then what else the files held. ``attrs["formats"]`` names what
        the files were recognised as, ``attrs["blanks"]`` the first places (file:line) without a score and
        ``attrs["blank"]`` their number: those cells of the design are missing.

    Raises
    ------
    InputError
        With file and line: not a number, outside 0 to 100, rated twice, unknown item, stimulus or condition,
        damaged or hostile files.
    """
    tables, formats = [], []
    blanks: list[str] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        form, extra, records = detect.records(Path(path), key)
        if rename:
            records = (r._replace(condition=rename.get(r.condition, r.condition)) for r in records)
        tables.append(_tidy(Path(path), records, extra, blanks))
        formats.append(form)
    table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    for column in [c for c in table.columns if c not in COLUMNS and len(tables) > 1]:
        table[column] = table[column].fillna("")  # what only some of the files hold
    if len(tables) > 1 and (twice := table.duplicated(list(DESIGN), keep=False)).any():
        raise InputError(f"{_cell(table[twice].iloc[0])} is rated in more than one of the files")
    if rename and (unknown := set(rename.values()) - set(table["condition"])):
        raise InputError(f"no condition of these ratings was named as {', '.join(sorted(unknown))}; "
                         f"the conditions are {', '.join(sorted(set(table['condition'])))}")  # fmt: skip
    table.attrs |= {"formats": sorted(set(formats)), "blank": len(blanks), "blanks": blanks[:MAX_BLANKS]}
    return table


def _tidy(path: Path, records: Iterable[Record], extra: Sequence[str], blanks: list[str]) -> pd.DataFrame:
    """Check every record and lay them side by side as columns; places without a score go to `blanks`."""
    lines: list[int] = []
    columns: list[list] = [[] for _ in (*COLUMNS, *extra)]
    names: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for record in records:
        line = record.line
        if not record.score:
            blanks.append(f"{path.name}:{line}")
            continue  # not rated: a missing cell of the design
        if record.score not in numbers:
            numbers[record.score] = _score(path, record)
        lines.append(line)
        for column, what, name in zip(columns, DESIGN[:4], record[1:5], strict=False):
            column.append(names.get(name) or names.setdefault(name, _name(path, line, what, name)))
        if not (record.replicate.isascii() and record.replicate.isdigit() and 1 <= int(record.replicate) <= 999):
            raise InputError(
                f"{path}:{line}: replicate '{_short(record.replicate)}' is not a number from 1 to 999"
            )
        columns[4].append(int(record.replicate))
        columns[5].append(numbers[record.score])
        for column, cell in zip(columns[6:], record.extra, strict=True):
            column.append(cell)
    if not lines:
        raise InputError(f"{path}: holds no rating")
    table = pd.DataFrame(dict(zip((*COLUMNS, *extra), columns, strict=True)))
    twice = table.duplicated(list(DESIGN))
    if twice.any():
        at = int(np.argmax(twice))
        same = (table[list(DESIGN)] == table[list(DESIGN)].iloc[at]).all(axis=1)
        first = lines[int(np.argmax(same))]
        raise InputError(f"{path}:{lines[at]}: {_cell(table.iloc[at])} is already rated in line {first}; "
                         "number repeated ratings in a column 'replicate'")  # fmt: skip
    return table


def _score(path: Path, record: Record) -> float:
    if not _NUMBER.fullmatch(record.score):
        raise InputError(f"{path}:{record.line}: score '{_short(record.score)}' is not a number")
    value = float(record.score)
    if not 0 <= value <= 100:
        raise InputError(f"{path}:{record.line}: score {_short(record.score)} is outside 0 to 100")
    return value


def _name(path: Path, line: int, what: str, name: str) -> str:
    if not name or len(name) > 200 or _CONTROL.search(name):
        fault = (
            "is empty"
            if not name
            else "is longer than 200 characters"
            if len(name) > 200
            else "holds control characters"
        )
        raise InputError(f"{path}:{line}: {what} '{_short(name)}' {fault}")
    return name


def _short(text: str) -> str:
    return _CONTROL.sub("?", text if len(text) <= 40 else text[:40] + "...")


def _cell(row: pd.Series) -> str:
    return f"listener '{row['listener']}', item '{row['item']}', condition '{row['condition']}'"


def write(path: Path, ratings: pd.DataFrame, force: bool = False, blinded: bool = False) -> None:
    """Write a tidy table as our CSV; `read` gives the same table back.

    With `blinded` the column ``condition`` holds names of stimuli and is headed so.
    """
    header = [c for c in ("session", "listener", "item", "condition", "score") if c in ratings]
    if (ratings["replicate"] != 1).any():
        header.append("replicate")
    header += [str(c) for c in ratings.columns if c not in COLUMNS]
    text = {c: ratings[c].tolist() for c in header} | {
        "score": [repr(s).removesuffix(".0") for s in ratings["score"].tolist()]
    }
    title = ["stimulus" if blinded and c == "condition" else c for c in header]
    write_rows(path, title, zip(*([str(v) for v in text[c]] for c in header), strict=True), force=force)


def is_simulated(ratings: pd.DataFrame) -> bool:
    """Whether any rating was simulated: its session or listener is named ``simulated...``."""
    return any(name.lower().startswith(SIMULATED) for c in ("session", "listener") for name in ratings[c].unique())


@dataclass(frozen=True)
class Cells:
    """The ratings as a cube, repeated ratings of a cell averaged; NaN where a cell was not rated."""

    listeners: tuple[str, ...]
    items: tuple[str, ...]
    conditions: tuple[str, ...]
    scores: Float64[np.ndarray, "listener item condition"]

    @property
    def complete(self) -> bool:
        """Whether every listener rated every condition of every item."""
        return not np.isnan(self.scores).any()


def cells(ratings: pd.DataFrame) -> Cells:
    """Arrange ratings by listener, item and condition (in the order of `condition_order`)."""
    listeners, items = sorted(ratings["listener"].unique()), sorted(ratings["item"].unique())
    conditions = condition_order(ratings["condition"].unique())
    shape = len(listeners), len(items), len(conditions)
    if np.prod(shape, dtype=float) > MAX_DESIGN_CELLS:
        raise InputError(f"{shape[0]} listeners x {shape[1]} items x {shape[2]} conditions are too many; "
                         "are the columns listener, item and condition what they should be?")  # fmt: skip
    at = np.ravel_multi_index(
        tuple(pd.Index(names).get_indexer(pd.Index(ratings[column])) for names, column in
              ((listeners, "listener"), (items, "item"), (conditions, "condition"))),
        shape,
    )  # fmt: skip
    size = int(np.prod(shape))
    count = np.bincount(at, minlength=size)
    total = np.bincount(at, weights=ratings["score"].to_numpy(float), minlength=size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return Cells(tuple(listeners), tuple(items), tuple(conditions), mean.reshape(shape))


def missing(cube: Cells) -> Iterator[tuple[str, str, str]]:
    """Yield listener, item and condition of every cell of the complete design that nobody rated."""
    for listener, item, condition in np.argwhere(np.isnan(cube.scores)):
        yield cube.listeners[listener], cube.items[item], cube.conditions[condition]


def condition_order(conditions: Iterable[str]) -> list[str]:
    """Order as in the paper's figure: anchors, systems in natural order of their names, hidden reference."""
    ends = {"la": 0, "ma": 1, "href": 3}

    def natural(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name.lower())]

    return sorted(set(conditions), key=lambda c: (ends.get(c, 2), natural(c), c))


def labels(conditions: Iterable[str]) -> dict[str, str]:
    """Names of conditions in tables and figures: the paper's for its four, other lower-case ids in capitals."""
    known = {"href": "H-REF", "la": "LA", "ma": "MA", "opus3_160": "OPUS", "prop": "PROP"}
    return {c: known.get(c, c.upper() if re.fullmatch("[a-z0-9_-]+", c) else c) for c in conditions}
