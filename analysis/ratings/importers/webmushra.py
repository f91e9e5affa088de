"""Rating files of webMUSHRA, and of pymushra, the server that many run it with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.ratings.record import Key, Record, Row, full, unblind
from render.common.errors import InputError

WEBMUSHRA_NAMES = {"reference": "href", "anchor35": "la", "anchor70": "ma"}
"""Names that webMUSHRA gives to the conditions it adds itself."""


def further_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Columns that `webmushra` yields beside the ratings, for a header."""
    return *(f"questionnaire_{name}" for name in _questions(names)), "time_ms", "comment"


def _questions(names: Sequence[str]) -> Sequence[str]:
    """Columns of webMUSHRA's questionnaire: between the first and the last six (five before session_uuid)."""
    return names[1 : names.index("session_uuid") if "session_uuid" in names else names.index("trial_id")]


def webmushra(path: Path, names: list[str], body: Iterator[Row], key: Key | None) -> Iterator[Record]:
    """Long table of webMUSHRA, of any generation.

    The program writes the header when it creates the file and never again, so that the number of columns
    changes within a file when the questionnaire is edited. The questionnaire stands between the first column
    and the last six; those are therefore counted from the right. Files older than ``session_uuid`` tell
    listeners apart by their answers only: there a new listener begins where the answers change or a stimulus
    comes again.
    """
    right = {name: i - len(names) for i, name in enumerate(names)}
    has_uuid = right.get("session_uuid") == right["trial_id"] - 1
    fewest = 1 - (right["session_uuid"] if has_uuid else right["trial_id"])
    questions, times = len(_questions(names)), [right.get(name, 0) for name in ("rating_time", "rating_comment")]
    answers: list[str] = []
    rated: set[tuple[str, str]] = set()
    count = 0
    for line, row in body:
        if len(row) < fewest:
            raise InputError(f"{path}:{line}: has {len(row)} cells; webMUSHRA writes at least {fewest}")
        item, stimulus = row[right["trial_id"]], row[right["rating_stimulus"]]
        if has_uuid:
            listener = row[right["session_uuid"]]
        else:
            if row[: right["trial_id"]] != answers or (item, stimulus) in rated:
                answers, rated, count = row[: right["trial_id"]], set(), count + 1
            rated.add((item, stimulus))
            listener = f"{count:02d}"
        condition = _webmushra_condition(path, line, key, item, stimulus)
        # The answers of a row that the header does not fit cannot be told from one another.
        answers_given = row[1 : 1 + questions] if len(row) == len(names) else [""] * questions
        extra = (*answers_given, *(row[i] if i else "" for i in times))
        yield Record(line, row[0], listener, item, condition, row[right["rating_score"]], extra=extra)


_PYMUSHRA_EXTRA = {"responses_time": "time_ms", "responses_comment": "comment", "wm_date": "date"}


def pymushra(
    path: Path, names: list[str], body: Iterator[Row], key: Key | None
) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Export of pymushra: its further columns and ratings; the columns' order changes from file to file."""
    asked = {n: "questionnaire_" + n.removeprefix("questionaire_") for n in names if n.startswith("questionaire_")}
    extra = {n: (asked | _PYMUSHRA_EXTRA)[n] for n in names if n in asked or n in _PYMUSHRA_EXTRA}
    extra.pop("questionaire_uuid", None)
    others = [names.index(name) for name in extra]
    return tuple(extra.values()), _pymushra_rows(path, names, body, key, others)


def _pymushra_rows(
    path: Path, names: list[str], body: Iterator[Row], key: Key | None, others: list[int]
) -> Iterator[Record]:
    """Trials of kind mushra; the file holds those of every kind of test."""
    at = {name: i for i, name in enumerate(names)}
    answers = [i for i, name in enumerate(names) if name.startswith("questionaire_")]
    for line, row in full(path, body, len(names)):
        if "wm_type" in at and row[at["wm_type"]] != "mushra":
            continue
        uuid = at.get("questionaire_uuid")
        listener = row[uuid] if uuid is not None else " ".join(row[i] for i in answers)
        item, stimulus = row[at["wm_id"]], row[at["responses_stimulus"]]
        session = row[at["wm_testid"]] if "wm_testid" in at else "session"
        condition = _webmushra_condition(path, line, key, item, stimulus)
        further = tuple([row[i] for i in others])
        yield Record(line, session, listener, item, condition, row[at["responses_score"]], extra=further)


def _webmushra_condition(path: Path, line: int, key: Key | None, item: str, stimulus: str) -> str:
    if stimulus in WEBMUSHRA_NAMES:
        return WEBMUSHRA_NAMES[stimulus]
    return stimulus if key is None else unblind(path, line, key, item, stimulus, "")
