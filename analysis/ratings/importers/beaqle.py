"""Rating files of BeaqleJS: the JSON that one listener's browser submits."""

from __future__ import annotations

from pathlib import Path

from analysis.ratings.importers.json_text import plain, read_objects
from analysis.ratings.record import RatingFile, Record, common_name
from render.common.errors import InputError


def ratings(path: Path, text: str) -> RatingFile:
    """Import one listener's result: a list of ``{"TestID": item, "Runtime": ms, "rating": {condition: score}}``.

    The listener is the ``UserName`` of the submission, else the file's name; what else the listener told is kept
    as ``questionnaire_<name>``. A test without ``rating`` was not presented to this listener (BeaqleJS:
    MaxTestsPerRun).
    """
    tests = read_objects(path, text)
    listener = next((plain(path, line, "UserName", test["UserName"]) for line, test in tests
                     if test.get("UserName")), path.stem)  # fmt: skip
    told = {f"questionnaire_{name}": plain(path, line, name, value) for line, test in tests if "TestID" not in test
            for name, value in test.items() if name not in ("UserName", "rating")}  # fmt: skip
    records = []
    for line, test in tests:
        if "TestID" not in test:
            if "rating" in test:
                raise InputError(f"{path}:{line}: a test without TestID")
            continue  # what the listener told about himself
        item = plain(path, line, "TestID", test["TestID"])
        scores = test.get("rating", {})
        if not isinstance(scores, dict):
            raise InputError(f"{path}:{line}: test '{item[:40]}' has no ratings")
        for condition, score in scores.items():
            if isinstance(score, bool | list | dict):
                raise InputError(f"{path}:{line}: score of '{condition[:40]}' is not a number")
            record = Record(
                line=line,
                session="session",
                listener=listener,
                item=item,
                condition=common_name(condition),
                score=plain(path, line, condition, score),
                further=(plain(path, line, "Runtime", test.get("Runtime")), *told.values()),
            )
            records.append(record)
    return RatingFile("BeaqleJS JSON", ("time_ms", *told), records)
