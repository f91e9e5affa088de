"""Rating files of webMUSHRA, and of pymushra, a server that often hosts it."""

from __future__ import annotations

from analysis.ratings.csv_text import CsvTable
from analysis.ratings.record import Key, RatingFile, Record, Unblinding
from render.common.errors import InputError

OWN_CONDITIONS = {"reference": "href", "anchor35": "la", "anchor70": "ma"}
"""Names that webMUSHRA gives to the conditions that it adds itself, and ours."""

_PYMUSHRA_FURTHER = {"responses_time": "time_ms", "responses_comment": "comment", "wm_date": "date"}


def webmushra(table: CsvTable, key: Key | None) -> RatingFile:
    """Import the long table of any version of webMUSHRA.

    webMUSHRA writes the header when it creates the file and never again, so the number of columns changes within
    a file when the questionnaire is edited. The questionnaire stands between the first column and the last six;
    the latter are therefore counted from the right. Files older than ``session_uuid`` tell listeners apart by
    their answers only: in them a new listener begins where the answers change or a stimulus comes again.
    """
    names = [name.lower() for name in table.header]
    # the questionnaire ends before session_uuid, in older files before trial_id
    questions = names[1 : names.index("session_uuid" if "session_uuid" in names else "trial_id")]
    further = (*(f"questionnaire_{name}" for name in questions), "time_ms", "comment")
    right = {name: i - len(names) for i, name in enumerate(names)}
    has_uuid = right.get("session_uuid") == right["trial_id"] - 1
    min_cells = 1 - (right["session_uuid"] if has_uuid else right["trial_id"])
    time_and_comment = [right.get(name) for name in ("rating_time", "rating_comment")]
    answers: list[str] = []
    rated: set[tuple[str, str]] = set()
    count = 0
    unblinding = Unblinding(table.path, key) if key is not None else None
    records = []
    for line, row in table.rows(ragged=True):
        if len(row) < min_cells:
            raise InputError(f"{table.path}:{line}: has {len(row)} cells; webMUSHRA writes at least {min_cells}")
        item, stimulus = row[right["trial_id"]], row[right["rating_stimulus"]]
        if has_uuid:
            listener = row[right["session_uuid"]]
        else:
            if row[: right["trial_id"]] != answers or (item, stimulus) in rated:
                answers, rated, count = row[: right["trial_id"]], set(), count + 1
            rated.add((item, stimulus))
            listener = f"{count:02d}"
        # in a row that the header does not fit nobody can tell which answer belongs to which question
        given = row[1 : 1 + len(questions)] if len(row) == len(names) else [""] * len(questions)
        item, condition = _names(unblinding, line, item, stimulus)
        record = Record(
            line=line,
            session=row[0],
            listener=listener,
            item=item,
            condition=condition,
            score=row[right["rating_score"]],
            further=(*given, *("" if i is None else row[i] for i in time_and_comment)),
        )
        records.append(record)
    return RatingFile("webMUSHRA", further, records)


def pymushra(table: CsvTable, key: Key | None) -> RatingFile:
    """Import an export of pymushra, the order of whose columns changes from file to file.

    The export holds the trials of every kind of test; those of kind ``mushra`` are read. Listeners are told
    apart by their UUID, in exports without one by their answers.
    """
    names = [name.lower() for name in table.header]
    asked = {n: "questionnaire_" + n.removeprefix("questionaire_") for n in names if n.startswith("questionaire_")}
    renamed = asked | _PYMUSHRA_FURTHER
    further = {n: renamed[n] for n in names if n in renamed and n != "questionaire_uuid"}
    column = {name: i for i, name in enumerate(names)}
    answers = [i for i, name in enumerate(names) if name.startswith("questionaire_")]
    others = [names.index(name) for name in further]
    uuid = column.get("questionaire_uuid")
    unblinding = Unblinding(table.path, key) if key is not None else None
    records = []
    for line, row in table.rows():
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
