"""Rating files in JSON: a list of objects, each with the line on which it begins, all numbers still as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from render.common.errors import InputError

_SEPARATOR = re.compile(r"[\s\[,]*")


def read_objects(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Read a list of objects.

    Numbers are kept as the file writes them, so that each is checked like a cell of a table, with its line: JSON
    knows neither NaN nor a largest number (RFC 8259, section 6).

    Raises
    ------
    InputError
        With file and line: not JSON, not a list of objects, or one name twice in an object.
    """
    decoder = json.JSONDecoder(
        object_pairs_hook=_without_duplicates, parse_int=str, parse_float=str, parse_constant=str
    )
    try:
        content = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a list of ratings ({error})") from error
    if not isinstance(content, list) or not all(isinstance(element, dict) for element in content):
        raise InputError(f"{path}: not a list of tests or ratings, as BeaqleJS and pymushra write it")
    found, line, end = [], 1, 0
    for _ in content:
        start = _after_separators(text, end)
        line += text.count("\n", end, start)
        element, end = decoder.raw_decode(text, start)
        found.append((line, element))
        line += text.count("\n", start, end)
    return found


def plain(path: Path, line: int, name: str, value: object) -> str:
    """Return a value as text, null as an empty one.

    Raises
    ------
    InputError
        If it is a list, an object, true or false.
    """
    if isinstance(value, bool | list | dict):
        raise InputError(f"{path}:{line}: {name[:40]} is neither text nor a number")
    return "" if value is None else str(value)


def _after_separators(text: str, position: int) -> int:
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)
