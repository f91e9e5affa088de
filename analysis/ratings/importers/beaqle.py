"""Rating files of BeaqleJS: the JSON that one listener's browser submits."""

from __future__ import annotations

import json
import re
from pathlib import Path

from analysis.ratings.record import RatingFile, Record, common_name
from render.common.errors import InputError


def ratings(path: Path, text: str) -> RatingFile:
    """Import one listener's result: a list of ``{"TestID": item, "Runtime": ms, "rating": {condition: score}}``.

    The listener is the ``UserName`` of the submission, else the file's name. A test without ``rating`` was not
    presented to this listener (BeaqleJS: MaxTestsPerRun).
    """
    try:
        tests = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=str)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a BeaqleJS result ({error})") from error
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise InputError(f"{path}: not a BeaqleJS result (a list of tests)")
    lines = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(r'"TestID"\s*:', text)]
    with_id = [test for test in tests if "TestID" in test]
    listener = next((str(test["UserName"]) for test in tests if test.get("UserName")), path.stem)
    records = []
    for line, test in zip(lines, with_id, strict=False):
        scores = test.get("rating", {})
        if not isinstance(scores, dict):
            raise InputError(f"{path}:{line}: test '{str(test['TestID'])[:40]}' has no ratings")
        for condition, score in scores.items():
            if isinstance(score, bool | list | dict):
                raise InputError(f"{path}:{line}: score of '{condition[:40]}' is not a number")
            record = Record(
                line=line,
                session="session",
                listener=listener,
                item=str(test["TestID"]),
                condition=common_name(condition),
                score="" if score is None else str(score),
                further=(str(test.get("Runtime", "")),),
            )
            records.append(record)
    return RatingFile("BeaqleJS JSON", ("time_ms",), records)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)
