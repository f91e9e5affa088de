"""One rating as a file holds it, and the names and the blinding key that all importers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from render.common.errors import InputError

Key = Mapping[str, Mapping[str, str]]
"""The blinding key: item -> name of the stimulus -> condition."""

REFERENCE_NAMES = {"reference", "ref", "hidden_reference", "hidden reference", "href"}
ANCHOR_NAMES = {
    "35anchor": "la",
    "anchor35": "la",
    "lp35": "la",
    "7anchor": "ma",
    "anchor70": "ma",
    "lp70": "ma",
}


class Record(NamedTuple):
    """One rating as an importer found it: every value is still text; `line` says where it stands."""

    line: int
    session: str
    listener: str
    item: str
    condition: str
    score: str
    replicate: str = "1"
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class RatingFile:
    """A rating file whose format has been recognised.

    Attributes
    ----------
    format
        Name of the format, as summaries and reports print it.
    further_columns
        Names of the values in `Record.further`.
    records
        The ratings in the order of the file.
    """

    format: str
    further_columns: tuple[str, ...]
    records: list[Record]


def common_name(condition: str) -> str:
    """Return ``href``, ``la`` or ``ma`` for the names that other programs give them, else the name itself."""
    plain = condition.lower()
    if plain in REFERENCE_NAMES or plain.startswith("reference_"):
        return "href"
    return ANCHOR_NAMES.get(plain, condition)


def unblind(path: Path, line: int, key: Key, item: str, stimulus: str | None, condition: str) -> str:
    """Look up the condition of a stimulus.

    Parameters
    ----------
    path, line
        Where the rating stands, for error messages.
    stimulus
        Name of the stimulus; None if the file names conditions.
    condition
        Condition that the file itself names, else empty.

    Raises
    ------
    InputError
        If the key does not hold the item, stimulus or condition, or contradicts the file.
    """
    if item not in key:
        raise InputError(f"{path}:{line}: item '{item}' is not in the key, which has {', '.join(sorted(key))}")
    if stimulus is None:
        if condition not in key[item].values():
            raise InputError(f"{path}:{line}: condition '{condition}' of item '{item}' is not in the key")
        return condition
    if stimulus not in key[item]:
        raise InputError(
            f"{path}:{line}: stimulus '{stimulus}' of item '{item}' is not in the key; "
            "the key may belong to another package"
        )
    if condition and condition != key[item][stimulus]:
        raise InputError(
            f"{path}:{line}: stimulus '{stimulus}' is '{key[item][stimulus]}' by the key, not '{condition}'"
        )
    return key[item][stimulus]
