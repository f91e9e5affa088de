"""Rating files that are no tables: XML of listening-test-app (and of ODAQ's raw data), JSON of BeaqleJS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from analysis.ratings.record import Record
from render.common.errors import InputError

APP_EXTRA = ("date", "time_ms", "plays")
"""Further columns of a listening-test-app result."""

BEAQLE_EXTRA = ("time_ms",)
"""Further column of a BeaqleJS result."""

REFERENCE_NAMES = {"reference", "ref", "hidden_reference", "hidden reference", "href"}
ANCHOR_NAMES = {
    "35anchor": "la",
    "anchor35": "la",
    "lp35": "la",
    "7anchor": "ma",
    "anchor70": "ma",
    "lp70": "ma",
}


def common_name(condition: str) -> str:
    """Our id of a hidden reference or anchor under the names that other programs give it, else the name."""
    plain = condition.lower()
    if plain in REFERENCE_NAMES or plain.startswith("reference_"):
        return "href"
    return ANCHOR_NAMES.get(plain, condition)


def listening_test_app(path: Path, text: str) -> Iterator[Record]:
    """One listener's XML: ``MUSHRA/info@subjectName``, ``trials/trial@trialName/testFile@fileName,@score``.

    A file is named ``<trial>_<condition>.wav``, or ``<condition>.wav`` (ODAQ). A document type is
    refused before anything of it is expanded, so that neither entity bombs nor external entities are ever read.
    """
    found: list[Record] = []
    state = {"root": "", "session": "session", "listener": "", "trial": "", "date": "", "time_ms": ""}
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(f"{path}:{parser.CurrentLineNumber}: declares a document type; a rating file has none")

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
            name, trial = attributes.get("fileName", ""), state["trial"]
            stem = re.sub(r"\.(wav|flac)$", "", name, flags=re.IGNORECASE)
            if trial and stem.startswith(f"{trial}_"):
                stem = stem[len(trial) + 1 :]
            record = Record(
                line,
                state["session"],
                state["listener"],
                trial,
                common_name(stem),
                attributes.get("score", ""),
                extra=(state["date"], state["time_ms"], attributes.get("plays", "")),
            )
            found.append(record)

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError(
            f"{path}:{error.lineno}: not well-formed XML ({expat.ErrorString(error.code)})"
        ) from error
    yield from found


def _milliseconds(seconds: str) -> str:
    """Whole milliseconds; a time that is no number stays as it is."""
    try:
        return str(round(float(seconds) * 1000))
    except (ValueError, OverflowError):
        return seconds


def beaqle(path: Path, text: str) -> Iterator[Record]:
    """One listener's JSON: a list of ``{"TestID": item, "Runtime": ms, "rating": {condition: score}}``.

    The listener is who signed the submission, else the file's name. A test without ``rating`` was not put to
    this listener (BeaqleJS: MaxTestsPerRun).
    """
    try:
        tests = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=str)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a BeaqleJS result ({error})") from error
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise InputError(f"{path}: not a BeaqleJS result (a list of tests)")
    lines = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(r'"TestID"\s*:', text)]
    rated = [test for test in tests if "TestID" in test]
    name = next((str(t["UserName"]) for t in tests if t.get("UserName")), path.stem)
    for line, test in zip(lines, rated, strict=False):
        rating = test.get("rating", {})
        if not isinstance(rating, dict):
            raise InputError(f"{path}:{line}: test '{str(test['TestID'])[:40]}' has no ratings")
        for condition, score in rating.items():
            if isinstance(score, bool | list | dict):
                raise InputError(f"{path}:{line}: score of '{condition[:40]}' is not a number")
            text_score = "" if score is None else str(score)
            yield Record(
                line, "session", name, str(test["TestID"]), common_name(condition), text_score,
                extra=(str(test.get("Runtime", "")),),
            )  # fmt: skip


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)
