"""Rating files of webMUSHRA, and of pymushra, a server that often hosts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from analysis.ratings.csv_text import CsvTable, Row
from analysis.ratings.importers.json_text import plain, read_objects
from analysis.ratings.record import Key, RatingFile, Record, Unblinding
from render.common.errors import InputError

OWN_CONDITIONS = {"reference": "href", "anchor35": "la", "anchor70": "ma"}
"""Names that webMUSHRA gives to the conditions that it adds itself, and ours."""

_LAST_COLUMNS = (
    "session_uuid", "trial_id", "rating_stimulus", "rating_score", "rating_time", "rating_comment",
)  # fmt: skip

_PYMUSHRA_FURTHER = {"responses_time": "time_ms", "responses_comment": "comment", "wm_date": "date"}


def webmushra(table: CsvTable, key: Key | None) -> RatingFile:
    """Import the long table of any version of webMUSHRA.

    webMUSHRA writes the header when it creates the file and never again, so the number of columns changes within
    a file when the questionnaire is edited. The questionnaire stands between the first column and the last six;
    the latter are therefore counted from the right, unless a spreadsheet has put the columns into another order:
    then every row must fit the header. Files older than ``session_uuid`` tell listeners apart by
    their answers only: in them a new listener begins where the answers change or a stimulus comes again.
    """
    names = [name.lower() for name in table.header]
    column = {name: i - len(names) for i, name in enumerate(names)}
    tail = [name for name in _LAST_COLUMNS if name in column]
    as_written = names[0] == "session_test_id" and names[-len(tail) :] == tail
    asked = [i - len(names) for i, name in enumerate(names) if name not in ("session_test_id", *_LAST_COLUMNS)]
    further = (*(f"questionnaire_{names[i]}" for i in asked), "time_ms", "comment")
    uuid = column.get("session_uuid")
    of_item, of_stimulus, of_score = (column[name] for name in ("trial_id", "rating_stimulus", "rating_score"))
    min_cells = len(tail) + 1 if as_written else len(names)
    time_and_comment = [column.get(name) for name in ("rating_time", "rating_comment")]
    before: list[str] = []
    rated: set[tuple[str, str]] = set()
    count = 0
    unblinding = Unblinding(table.path, key) if key is not None else None
    records = []
    for line, row in table.rows(ragged=as_written):
        if len(row) < min_cells:
            raise InputError(f"{table.path}:{line}: has {len(row)} cells; webMUSHRA writes at least {min_cells}")
        item, stimulus = row[of_item], row[of_stimulus]
        if uuid is not None:
            listener = row[uuid]
        else:
            answers = row[:of_item] if as_written else [row[column["session_test_id"]], *(row[i] for i in asked)]
            if answers != before or (item, stimulus) in rated:
                before, rated, count = answers, set(), count + 1
            rated.add((item, stimulus))
            listener = f"{count:02d}"
        # in a row that the header does not fit nobody can tell which answer belongs to which question
        given = [row[i] for i in asked] if len(row) == len(names) else [""] * len(asked)
        item, condition = _names(unblinding, line, item, stimulus)
        record = Record(
            line=line,
            session=row[0] if as_written else row[column["session_test_id"]],
            listener=listener,
            item=item,
            condition=condition,
            score=table.number(row[of_score]),
            further=(*given, *("" if i is None else row[i] for i in time_and_comment)),
        )
        records.append(record)
    return RatingFile("webMUSHRA", further, records)


def pymushra(table: CsvTable, key: Key | None) -> RatingFile:
    """Import an export of pymushra, the order of whose columns changes from file to file.

    The export holds the trials of every kind of test; those of kind ``mushra`` are read. Listeners are told
    apart by their UUID, in exports without one by their answers.
    """
    return _pymushra(table.path, table.header, _with_points(table), key)


def _with_points(table: CsvTable) -> Iterator[Row]:
    """Yield the rows with a decimal point in the scores."""
    score = [name.lower() for name in table.header].index("responses_score")
    for line, row in table.rows():
        row[score] = table.number(row[score])
        yield line, row


def pymushra_json(path: Path, text: str, key: Key | None) -> RatingFile | None:
    """Import the JSON export of pymushra, one object for each rating; return None if the text is not one."""
    ratings = read_objects(path, text)
    if not any("responses_stimulus" in rating for _, rating in ratings):
        return None
    header = list(dict.fromkeys(name for _, rating in ratings for name in rating))
    if len(set(map(str.lower, header))) < len(header):
        raise InputError(f"{path}: pymushra's export with one name in capitals and in small letters")
    if lacking := {"responses_stimulus", "responses_score", "wm_id"} - set(map(str.lower, header)):
        raise InputError(f"{path}: pymushra's export without {', '.join(sorted(lacking))}")
    rows = ((line, [plain(path, line, name, rating.get(name)) for name in header]) for line, rating in ratings)
    return _pymushra(path, header, rows, key)


def _pymushra(path: Path, header: Sequence[str], rows: Iterable[Row], key: Key | None) -> RatingFile:
    names = [name.lower() for name in header]
    asked = {n: "questionnaire_" + n.removeprefix("questionaire_") for n in names if n.startswith("questionaire_")}
    renamed = asked | _PYMUSHRA_FURTHER
    further = {n: renamed[n] for n in names if n in renamed and n != "questionaire_uuid"}
    column = {name: i for i, name in enumerate(names)}
    answers = [i for i, name in enumerate(names) if name.startswith("questionaire_")]
    others = [names.index(name) for name in further]
    uuid = column.get("questionaire_uuid")
    unblinding = Unblinding(path, key) if key is not None else None
    records = []
    for line, row in rows:
        if "wm_type" in column and row[column["wm_type"]] != "mushra":
            continue
        item, condition = _names(unblinding, line, row[column["wm_id"]], row[column["responses_stimulus"]])
        record = Record(
            line=line,
            session=row[column["wm_testid"]] if "wm_testid" in column else "session",
            listener=row[uuid] if uuid is not None else " ".join(row[i] for i in answers),
            item=item,
            condition=condition,
            score=row[column["responses_score"]],
            further=tuple([row[i] for i in others]),
        )
        records.append(record)
    return RatingFile("pymushra", tuple(further.values()), records)


def _names(unblinding: Unblinding | None, line: int, item: str, stimulus: str) -> tuple[str, str]:
    """Item and condition; the key does not hold the stimuli that webMUSHRA adds itself."""
    if unblinding:
        item = unblinding.item(line, item)
    if stimulus in OWN_CONDITIONS:
        return item, OWN_CONDITIONS[stimulus]
    return item, unblinding.condition(line, item, stimulus) if unblinding else stimulus
