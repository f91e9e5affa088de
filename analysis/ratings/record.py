"""A rating as a file holds it, and what every importer does with rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from render.common.errors import InputError


class Record(NamedTuple):
    """One rating as an importer found it: everything still text, with the place it stands at."""

    line: int
    session: str
    listener: str
    item: str
    condition: str
    score: str
    replicate: str = "1"
    extra: tuple[str, ...] = ()


Key = Mapping[str, Mapping[str, str]]
"""The blinding key: item -> name of the stimulus -> condition."""


Row = tuple[int, list[str]]


def full(path: Path, body: Iterator[Row], width: int) -> Iterator[Row]:
    """Pass rows of the header's width on and refuse others."""
    for line, row in body:
        if len(row) != width:
            raise InputError(f"{path}:{line}: has {len(row)} cells, the header has {width}")
        yield line, row


def unblind(path: Path, line: int, key: Key, item: str, stimulus: str | None, condition: str) -> str:
    """Condition of a stimulus by the key; a condition that the file itself names must agree with it."""
    if item not in key:
        raise InputError(f"{path}:{line}: item '{item}' is not in the key, which has {', '.join(sorted(key))}")
    if stimulus is None:
        if condition not in key[item].values():
            raise InputError(f"{path}:{line}: condition '{condition}' of item '{item}' is not in the key")
        return condition
    if stimulus not in key[item]:
        raise InputError(
            f"{path}:{line}: stimulus '{stimulus}' of item '{item}' is not in the key (another package's?)"
        )
    if condition and condition != key[item][stimulus]:
        raise InputError(
            f"{path}:{line}: stimulus '{stimulus}' is '{key[item][stimulus]}' by the key, not '{condition}'"
        )
    return key[item][stimulus]
