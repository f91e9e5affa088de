"""Wide tables: a row for each listener, or listener and item, and a column for each condition or rated file.

What the other columns hold nobody says. A column is taken for ratings only if nothing speaks against it; its name
and what is left out are reported, what is doubtful is refused, and ``--conditions`` overrides all of this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import fsum

from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.ratings.csv_text import NUMBER, CsvTable, Row
from analysis.ratings.importers.tables import HEADINGS, SEPARATORS, SOUND_SUFFIXES, split_names
from analysis.ratings.record import RatingFile, Record, canonical, common_name
from render.common.errors import InputError, did_you_mean

# Headings, in lower case without spaces and punctuation, under which no condition stands
NO_CONDITION = {
    "age", "sex", "gender", "order", "rank", "position", "index", "row", "number", "no", "nr", "id", "uuid",
    "mean", "average", "avg", "median", "sum", "total", "std", "sd", "stdev", "var", "variance", "min", "max",
    "range", "count", "n", "time", "timems", "times", "timestamp", "duration", "start", "end", "date", "day",
    "name", "email", "country", "language", "experience", "headphones", "device", "browser", "os", "volume",
    "level", "room", "site", "lab", "group", "version", "seed", "block", "page", "attempt", "plays", "clicks",
    "comment", "comments", "note", "notes", "remark", "remarks", "weight", "testid",
} | {heading.replace("_", "") for headings in HEADINGS.values() for heading in headings}  # fmt: skip

WIDE = "wide CSV"
"""Name of the format."""

MIN_EVIDENCE = 3
"""Fewest rows by whose values a column is doubted."""

REMEDY = "name the columns that are conditions with --conditions"


def by_condition(table: CsvTable, columns: Mapping[str, int], conditions: Collection[str] = ()) -> RatingFile:
    """Import a table with a row for each listener and item and a column for each condition."""
    rows = list(table.rows())
    taken, left = _columns(table, columns, rows, conditions)
    if not conditions:
        _refuse_doubtful(table, columns, rows, taken)
    names = [(None, table.header[i]) for i in taken]
    return _ratings(table, columns, rows, taken, left, names)


def by_file(table: CsvTable, columns: Mapping[str, int], conditions: Collection[str] = ()) -> RatingFile:
    """Import a table with a row for each listener and a column for each ``item_condition``."""
    rows = list(table.rows())
    if conditions:
        others = _without_roles(table, columns)
        split = {i: found for i in others if (found := _ends_in(table.header[i], conditions))}
        _check_named(table, conditions, {condition for _, condition in split.values()})
        taken, names = list(split), list(split.values())
        return _ratings(table, columns, rows, taken, [i for i in others if i not in split], names)
    taken, left = _columns(table, columns, rows, ())
    if whole := [name for i in taken if not set(name := table.header[i]) & set(SEPARATORS)]:
        raise InputError(f"{table.path}:{table.line}: columns that do not split into item and condition (as "
                         f"item_condition): {', '.join(whole)}; {REMEDY}")  # fmt: skip
    try:
        names = split_names(table.path, table.line, [table.header[i] for i in taken])
    except InputError as error:
        raise InputError(f"{error}; {REMEDY}") from None
    return _ratings(table, columns, rows, taken, left, names)


def _ratings(
    table: CsvTable,
    columns: Mapping[str, int],
    rows: Sequence[Row],
    taken: Sequence[int],
    left: Sequence[int],
    names: Sequence[tuple[str | None, str]],
) -> RatingFile:
    """Return the ratings of the columns `taken`, whose `names` are item (None: the row's) and condition.

    The columns `left` are kept as ``questionnaire_<heading>``.
    """
    replicate = _replicate(table)
    records = []
    for line, row in rows:
        session = row[columns["session"]] if "session" in columns else "session"
        number = row[replicate] if replicate is not None else "1"
        further = tuple([row[i] for i in left])
        for i, (item, condition) in zip(taken, names, strict=True):
            of_item = row[columns["item"]] if item is None else item
            score = table.number(row[i])
            records.append(
                Record(line, session, row[columns["listener"]], of_item, condition, score, number, further)
            )
    conditions = dict.fromkeys(condition for _, condition in names)
    note = f"{table.path.name}: columns taken as conditions: {', '.join(conditions)}"
    note += f"; columns left out: {', '.join(table.header[i] for i in left)}" if left else "; none is left out"
    return RatingFile(WIDE, tuple(f"questionnaire_{table.header[i].lower()}" for i in left), records, (note,))


def _columns(
    table: CsvTable, columns: Mapping[str, int], rows: Sequence[Row], conditions: Collection[str]
) -> tuple[list[int], list[int]]:
    """Return the columns that hold scores, and those that do not: by `conditions`, else by heading and content."""
    others = _without_roles(table, columns)
    if conditions:
        _check_named(table, conditions, [canonical(table.header[i]) for i in others])
        named = {canonical(name) for name in conditions}
        taken = [i for i in others if canonical(table.header[i]) in named]
    else:
        taken = [i for i in others if _is_known(table.header[i]) or _may_hold_scores(table, rows, i)]
    if not taken:
        raise InputError(f"{table.path}:{table.line}: no column holds the scores of a condition; {REMEDY}")
    return taken, sorted(set(others) - set(taken))


def _without_roles(table: CsvTable, columns: Mapping[str, int]) -> list[int]:
    roles = {columns.get("session"), columns.get("listener"), columns.get("item"), _replicate(table)}
    return [i for i in range(len(table.header)) if i not in roles]


def _replicate(table: CsvTable) -> int | None:
    return next((i for i, name in enumerate(table.header) if name.lower() == "replicate"), None)


def _check_named(table: CsvTable, conditions: Collection[str], found: Collection[str]) -> None:
    for name in conditions:
        if canonical(name) not in found:
            raise InputError(
                f"{table.path}:{table.line}: --conditions {name}: there is no such column"
                f"{did_you_mean(canonical(name), found)}"
            )


def _is_known(heading: str) -> bool:
    return common_name(heading) in REFERENCE_AND_ANCHORS


def _may_hold_scores(table: CsvTable, rows: Sequence[Row], column: int) -> bool:
    """Whether heading and cells of a column are those of a condition.

    Raises
    ------
    InputError
        If it holds numbers and other text, or a number that is no score.
    """
    name = table.header[column]
    if "".join(filter(str.isalnum, name.lower())) in NO_CONDITION:
        return False
    cells = [(line, table.number(row[column])) for line, row in rows if row[column]]
    is_number = [NUMBER.fullmatch(cell) is not None for _, cell in cells]
    if not any(is_number):
        return False
    for (line, cell), number in zip(cells, is_number, strict=True):
        if not number or not 0 <= float(cell) <= 100:
            fault = "is outside 0 to 100" if number else "is not a number; leave a cell empty if it was not rated"
            raise InputError(f"{table.path}:{line}: '{cell[:40]}' in column '{name}' {fault}; if the column "
                             f"holds no scores, {REMEDY}")  # fmt: skip
    return True


def _refuse_doubtful(
    table: CsvTable, columns: Mapping[str, int], rows: Sequence[Row], taken: Sequence[int]
) -> None:
    """Refuse columns of numbers from 0 to 100 whose values are a listener's or an item's, a count, or a mean."""
    scores = {i: [float(table.number(row[i])) if row[i] else None for _, row in rows] for i in taken
              if not _is_known(table.header[i])}  # fmt: skip
    session = columns.get("session")
    of_listener = _groups([(row[columns["listener"]], "" if session is None else row[session]) for _, row in rows])
    of_item = _groups([row[columns["item"]] for _, row in rows])
    doubts: dict[int, str] = {}
    for i, values in scores.items():
        if _constant(values, of_listener):
            doubts[i] = "one value for each listener"
        elif _constant(values, of_item):
            doubts[i] = "one value for each item"
        elif _counts(values, of_listener) or _counts(values, [range(len(rows))]):
            doubts[i] = "it counts"
    rest = {i: values for i, values in scores.items() if i not in doubts}
    doubts |= dict.fromkeys(_means(rest), "the mean of the others")
    if doubts:
        listed = ", ".join(f"'{table.header[i]}' ({why})" for i, why in sorted(doubts.items()))
        raise InputError(f"{table.path}:{table.line}: columns that may not be conditions: {listed}; {REMEDY}")


def _groups(labels: Sequence[object]) -> list[list[int]]:
    """Return the rows of each label, of those that have several; none if they are too few to tell anything."""
    groups: dict[object, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(label, []).append(row)
    several = [rows for rows in groups.values() if len(rows) > 1]
    return several if sum(map(len, several)) >= MIN_EVIDENCE else []


def _constant(values: Sequence[float | None], groups: Sequence[Sequence[int]]) -> bool:
    return bool(groups) and all(len({values[row] for row in rows}) == 1 for rows in groups)


def _counts(values: Sequence[float | None], groups: Sequence[Sequence[int]]) -> bool:
    """Whether the values of every group are n, n + 1, n + 2, ... in some order."""
    for rows in groups:
        numbers = sorted(v for row in rows if (v := values[row]) is not None)
        if len(numbers) < len(rows) or any(b - a != 1 for a, b in pairwise(numbers)):
            return False
    return sum(map(len, groups)) >= MIN_EVIDENCE


def _means(columns: Mapping[int, Sequence[float | None]]) -> list[int]:
    """Return the columns that are, as rounded there, the mean of all the others in every row."""
    rows = [[value for value in row if value is not None] for row in zip(*columns.values(), strict=True)]
    if len(columns) < 3 or len(rows) < MIN_EVIDENCE:
        return []
    found = []
    sums = [(fsum(row), len(row)) for row in rows]
    for i, values in columns.items():
        decimals = max(len(f"{value:.9g}".partition(".")[2]) for value in values if value is not None)
        tolerance = 0.5 * 10**-decimals + 1e-6
        if all(
            value is not None and count > 1 and abs(value - (total - value) / (count - 1)) <= tolerance
            for value, (total, count) in zip(values, sums, strict=True)
        ):
            found.append(i)
    return found


def _ends_in(name: str, conditions: Collection[str]) -> tuple[str, str] | None:
    """Split a name into item and the longest of `conditions` that it ends in, behind one of ``_-. ``."""
    stem = canonical(name)
    if stem.lower().endswith(SOUND_SUFFIXES):
        stem = stem.rpartition(".")[0]
    for condition in sorted(map(canonical, conditions), key=len, reverse=True):
        item = stem.removesuffix(condition)
        if stem != item and len(item) > 1 and item[-1] in SEPARATORS:
            return item[:-1], condition
    return None
