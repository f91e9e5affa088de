"""The plan of a listening test: which conditions, which excerpts, which level."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from render.errors import InputError

PLANS = Path(__file__).parent / "plans"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Plan:
    """Settings of a test, read from TOML; see ``plans/demo.toml``.

    Attributes
    ----------
    conditions : tuple of str
        Ids of `listening.conditions`; ``href`` must be one of them.
    seconds : float
        Length of an excerpt.
    target_lufs, headroom_dbtp : float
        Loudness of every rendered reference, and the true peak that no condition may pass.
    holdout : int
        Number of the recording, in each class of a corpus, that the excerpts come from.
    """

    conditions: tuple[str, ...] = ("href", "la", "opus3_160", "prop")
    seconds: float = 10.0
    target_lufs: float = -26.0
    headroom_dbtp: float = -1.0
    holdout: int = 8

    def __post_init__(self):
        if not isinstance(self.conditions, tuple) or not all(_is_id(name) for name in self.conditions):
            raise InputError('plan: conditions must be a list of ids, like ["href", "la"]')
        for name in ("seconds", "target_lufs", "headroom_dbtp", "holdout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name == "holdout" else int | float):
                raise InputError(f"plan: {name} = {value!r} is no {'integer' if name == 'holdout' else 'number'}")
        if "href" not in self.conditions:
            raise InputError("plan: conditions need href, the hidden reference (BS.1534-3, clause 5.1)")
        if len(set(self.conditions)) != len(self.conditions) or len(self.conditions) > 12:
            raise InputError("plan: conditions must differ, and be 12 at most (BS.1534-3, clause 5.2)")
        if not 1 <= self.seconds <= 60:
            raise InputError(f"plan: seconds = {self.seconds}; possible are 1 to 60")
        if not -60 <= self.target_lufs <= -10 or not -20 <= self.headroom_dbtp <= 0:
            raise InputError("plan: possible are target_lufs -60 to -10, headroom_dbtp -20 to 0")
        if not 1 <= self.holdout <= 8:
            raise InputError(f"plan: holdout = {self.holdout}; possible are 1 to 8")


def load_plan(name: str) -> Plan:
    """Read a plan by name (listening/plans/NAME.toml) or path."""
    path = Path(name) if name.endswith(".toml") else PLANS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PLANS.glob("*.toml")))
        raise InputError(f"{path}: no such plan; known are {known}, or give the path of a .toml file")
    try:
        return plan_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error


def plan_from(values: dict[str, Any]) -> Plan:
    """Plan from the values of a TOML or JSON file; InputError for a setting that there is not."""
    known = {f.name for f in fields(Plan)}
    if unknown := set(values) - known:
        raise InputError(f"no such setting: {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Plan(**settings)


def _is_id(name: object) -> bool:
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def item_id(stem: str) -> str:
    """Item id from a file's name: blanks and punctuation become ``_``.

    Raises
    ------
    InputError
        If what is left is no id: 1 to 64 letters, digits, ``_`` or ``-``. Ids become folder names and
        appear in tables, so nothing else is let through.
    """
    name = re.sub(r"[ .,()+]+", "_", stem).strip("_")
    if not _is_id(name):
        raise InputError(
            f"{stem!r} cannot become an item name (1 to 64 letters A-Z, digits, _ and -); rename the file"
        )
    return name
