"""Rating files of Netflix's listening-test-app, in which the raw data of ODAQ are published too: XML."""

from __future__ import annotations

import re
from pathlib import Path
from xml.parsers import expat

from analysis.ratings.record import RatingFile, Record, common_name
from render.common.errors import InputError


def ratings(path: Path, text: str) -> RatingFile:
    """Import one listener's XML: ``MUSHRA/info@subjectName``, ``trials/trial@trialName/testFile@fileName,@score``.

    A sound file is named ``<trial>_<condition>.wav``, or ``<condition>.wav`` (ODAQ). A document type declaration
    is refused before anything in it is expanded, so entity bombs and external entities do no harm.
    """
    records: list[Record] = []
    state = {"root": "", "session": "session", "listener": "", "trial": "", "date": "", "time_ms": ""}
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path}:{parser.CurrentLineNumber}: declares a document type, which a rating file does not have"
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        line = parser.CurrentLineNumber
        if not state["root"]:
            state["root"] = tag
            if not tag.upper().startswith("MUSHRA"):
                raise InputError(
                    f"{path}:{line}: is <{tag[:40]}>, not the <MUSHRA> of a listening-test-app result"
                )
        elif tag == "info":
            state["listener"] = attributes.get("subjectName", "")
            state["session"] = attributes.get("testName") or "session"
            state["date"] = attributes.get("startTime", "")
        elif tag == "trial":
            state["trial"] = attributes.get("trialName", "")
            state["time_ms"] = _milliseconds(attributes.get("trialSeconds", ""))
        elif tag == "testFile":
            trial = state["trial"]
            stem = re.sub(r"\.(wav|flac)$", "", attributes.get("fileName", ""), flags=re.IGNORECASE)
            if trial and stem.startswith(f"{trial}_"):
                stem = stem[len(trial) + 1 :]
            record = Record(
                line=line,
                session=state["session"],
                listener=state["listener"],
                item=trial,
                condition=common_name(stem),
                score=attributes.get("score", ""),
                further=(state["date"], state["time_ms"], attributes.get("plays", "")),
            )
            records.append(record)

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError(
            f"{path}:{error.lineno}: not well-formed XML ({expat.ErrorString(error.code)})"
        ) from error
    return RatingFile("listening-test-app XML", ("date", "time_ms", "plays"), records)


def _milliseconds(seconds: str) -> str:
    """Convert to whole milliseconds; a time that is not a number is returned unchanged."""
    try:
        return str(round(float(seconds) * 1000))
    except (ValueError, OverflowError):
        return seconds
