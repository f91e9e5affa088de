"""One rating as a file holds it, and the names and the blinding key that all importers share."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from analysis.ratings.portable_names import as_read, may_change
from render.common.errors import InputError

MAX_LISTED = 10
"""Largest number of names that an error message lists; further ones are only counted."""


def listed(names: Sequence[str]) -> str:
    """List names, further ones than `MAX_LISTED` by their number."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


Key = Mapping[str, Mapping[str, str]]
"""The blinding key: item -> name of the stimulus -> condition."""

ATTRIBUTES = ("basic_audio_quality", "timbral_quality", "localization_quality", "environment_quality")
"""What is rated in a trial: BS.1534-3, with the attributes of advanced sound systems."""

REFERENCE_NAMES = {"reference", "ref", "hidden_reference", "hidden reference", "href"}
ANCHOR_NAMES = {
    "35anchor": "la",
    "anchor35": "la",
    "lp35": "la",
    "7anchor": "ma",
    "anchor70": "ma",
    "lp70": "ma",
}


def canonical(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which names are compared.

    macOS writes é as e and an accent, other systems as one character; both are the same name (Unicode Standard
    Annex 15: canonically equivalent).
    """
    return unicodedata.normalize("NFC", name)


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
        The ratings in the order of the file, which can be iterated once.
    notes
        What the importer had to decide, in words, for the reader of the results.
    """

    format: str
    further_columns: tuple[str, ...]
    records: Iterable[Record]
    notes: tuple[str, ...] = ()


def common_name(condition: str) -> str:
    """Return ``href``, ``la`` or ``ma`` for the names that other programs give them, else the name itself."""
    plain = condition.lower()
    if plain in REFERENCE_NAMES or plain.startswith("reference_"):
        return "href"
    return ANCHOR_NAMES.get(plain, condition)


class Unblinding:
    """The join of a rating file with the key.

    A name that a spreadsheet has changed, as 06820837 to 6820837, is recognised if it can have been only one of
    the key's names.

    Parameters
    ----------
    path
        The rating file, for error messages.
    key
        The blinding key.
    """

    def __init__(self, path: Path, key: Key):
        self._path, self._key = path, key
        self._items = _Names(key)
        self._stimuli = {item: _Names(stimuli) for item, stimuli in key.items()}

    def item(self, line: int, item: str) -> str:
        """Return the key's name of an item.

        Raises
        ------
        InputError
            If the key does not hold it.
        """
        known = self._items.find(item)
        if known is None:
            raise InputError(
                f"{self._path}:{line}: item '{item}' is not in the key, which has {', '.join(sorted(self._key))}"
                f"{self._items.how_changed()}"
            )
        return known

    def condition(self, line: int, item: str, stimulus: str | None, condition: str = "") -> str:
        """Look up the condition of a stimulus.

        Parameters
        ----------
        line
            Where the rating stands, for error messages.
        item
            As `item` returns it.
        stimulus
            Name of the stimulus; None if the file names conditions.
        condition
            Condition that the file itself names, else empty.

        Raises
        ------
        InputError
            If the key does not hold the stimulus or condition, or contradicts the file.
        """
        stimuli, place = self._key[item], f"{self._path}:{line}"
        condition = canonical(condition)
        if stimulus is None:
            if condition not in stimuli.values():
                raise InputError(f"{place}: condition '{condition}' of item '{item}' is not in the key")
            return condition
        known = self._stimuli[item].find(stimulus)
        if known is None:
            raise InputError(
                f"{place}: stimulus '{stimulus}' of item '{item}' is not in the key; the key may belong to "
                f"another package{self._stimuli[item].how_changed()}"
            )
        if condition and condition != stimuli[known]:
            raise InputError(f"{place}: stimulus '{stimulus}' is '{stimuli[known]}' by the key, not '{condition}'")
        return stimuli[known]


class _Names:
    """Names of the key, found also where a program has taken them for numbers or truth values."""

    def __init__(self, names: Iterable[str]):
        self._names = list(names)
        self._by_value: dict[float | bool | str, list[str]] = {}
        for name in self._names:
            self._by_value.setdefault(as_read(name), []).append(name)

    def find(self, name: str) -> str | None:
        """Return the only one that a name in a file may have been; None if it is not one alone."""
        possible = self._by_value.get(as_read(canonical(name)), [])
        return possible[0] if len(possible) == 1 else None

    def how_changed(self) -> str:
        """Clause of an error message: the names that a program may have changed, if there are any."""
        frail = [name for name in self._names if may_change(name)]
        if not frail:
            return ""
        return (
            "; or a spreadsheet or another program has changed it, since these names of the key can be taken for "
            f"numbers, dates or truth values: {listed(frail)}; enter them as text"
        )
