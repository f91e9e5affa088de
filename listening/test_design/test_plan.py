"""The plan of a listening test: which conditions, which excerpts, which level."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import MANIFEST, BuiltTest
from analysis.ratings.portable_names import is_portable
from listening.test_design.foreground_object import ForegroundObject, is_number, require
from render.common.errors import InputError, did_you_mean
from stimuli.eigenscape.corpus import CLASSES

PLANS = Path(__file__).parents[1] / "plans"
MAX_CONDITIONS = 12  # signals a trial may have, BS.1534-3 clause 5.2
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARAMETERS: dict[str, type] = {"model": str, "codebooks": int, "command": str, "payload": str}


@dataclass(frozen=True)
class FrozenExcerpt:
    """An excerpt that was chosen before any codec was heard.

    Attributes
    ----------
    sha256 : str
        Digest of the recording.
    start, frames : int
        First sample, and number of samples per channel. Plan files store these names, so they stay.
    """

    sha256: str
    start: int
    frames: int

    def __post_init__(self):
        require(isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256), "excerpt: sha256 has 64 digits")
        for name in ("start", "frames"):
            value = getattr(self, name)
            right = type(value) is int and 0 <= value < 2**40
            require(right, f"excerpt: {name} = {value!r} is not a number of samples")


@dataclass(frozen=True)
class Plan:
    """Settings of a test, read from TOML; see ``plans/demo.toml``.

    Attributes
    ----------
    conditions : tuple of str
        Ids of `listening.conditions.registry`; ``href`` must be one of them. A test has 12 at most.
    seconds : float
        Length of an excerpt.
    target_lufs, headroom_dbtp : float
        Loudness of every rendered reference, and the true peak that no condition may pass.
    holdout : int or str
        Number of the recording, in each class of a corpus, that the excerpts come from; or the name of a class
        that was left out as a whole.
    parameters : dict
        Condition id -> parameters: ``model`` and ``codebooks``, or ``command`` and ``payload``.
    objects : tuple of ForegroundObject
    excerpts : dict
        Item id -> frozen excerpt; empty: chosen by `stimuli.excerpts.selection` while building.
    """

    conditions: tuple[str, ...] = ("href", "la", "opus3_160", "prop")
    seconds: float = 10.0
    target_lufs: float = -26.0
    headroom_dbtp: float = -1.0
    holdout: int | str = 8
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: tuple[ForegroundObject, ...] = ()
    excerpts: dict[str, FrozenExcerpt] = field(default_factory=dict)

    def __post_init__(self):
        require(
            isinstance(self.conditions, tuple) and all(_is_id(name) for name in self.conditions),
            'conditions must be a list of ids, like ["href", "la"]',
        )
        for name in ("seconds", "target_lufs", "headroom_dbtp"):
            require(is_number(getattr(self, name)), f"{name} = {getattr(self, name)!r} is not a number")
        require("href" in self.conditions, "conditions need href, the hidden reference (BS.1534-3, clause 5.1)")
        require(len(set(self.conditions)) == len(self.conditions), "conditions must differ")
        require(1 <= self.seconds <= 60, f"seconds = {self.seconds}; possible are 1 to 60")
        require(
            -60 <= self.target_lufs <= -10 and -20 <= self.headroom_dbtp <= 0,
            "possible are target_lufs -60 to -10, headroom_dbtp -20 to 0",
        )
        _check_holdout(self.holdout)
        _check_parameters(self.parameters, self.conditions)
        require(isinstance(self.objects, tuple) and len(self.objects) <= 64, "objects are a list, [[objects]]")
        require(
            isinstance(self.excerpts, dict) and all(_is_id(name) for name in self.excerpts),
            "excerpts are tables, [excerpts.ITEM]",
        )


def _check_holdout(holdout: Any) -> None:
    if isinstance(holdout, str):
        require(
            holdout in CLASSES, f"holdout = {holdout!r}; possible are 1 to 8, or a class: {', '.join(CLASSES)}"
        )
        return
    require(type(holdout) is int, f"holdout = {holdout!r} is neither an integer nor a class")
    require(1 <= holdout <= 8, f"holdout = {holdout}; possible are 1 to 8")


def _check_parameters(parameters: Any, conditions: tuple[str, ...]) -> None:
    require(isinstance(parameters, dict), "parameters are tables, [parameters.CONDITION]")
    for name, given in parameters.items():
        require(name in conditions, f"parameters of {name!r}, which is not a condition of this plan")
        require(isinstance(given, dict), f"parameters of {name} must be a table")
        known(given, _PARAMETERS, f"parameter of {name}")
        for key, value in given.items():
            right = type(value) is _PARAMETERS[key] and value not in ("", 0)
            require(right, f"{key} = {value!r} of {name} is not {_PARAMETERS[key].__name__}")
        require(not ("command" in given and "model" in given), f"{name} has a command and a model; choose one")
        require("command" in given or "payload" not in given, f"{name} has a payload but no command")


def known(given: dict[str, Any], possible: Any, what: str) -> None:
    """Raise `InputError`, with a suggestion, for a key that is not among the possible ones."""
    for key in sorted(set(given) - set(possible)):
        raise InputError(
            f"no such {what}: {key!r}{did_you_mean(key, possible)} (known are {', '.join(sorted(possible))})"
        )


def load_plan(name: str) -> Plan:
    """Read a plan by name (listening/plans/NAME.toml) or path; its files lie relative to it."""
    path = Path(name) if name.endswith(".toml") else PLANS / f"{name}.toml"
    if not path.is_file():
        known_plans = ", ".join(sorted(p.stem for p in PLANS.glob("*.toml")))
        raise InputError(f"{path}: no such plan; known are {known_plans}, or give the path of a .toml file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        for place in _files(values):
            place[0][place[1]] = str(path.parent / place[0][place[1]])
        return plan_from(values)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error


def _files(values: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Where a plan names files."""
    tables = [(table, "model") for table in _tables(values.get("parameters"))]
    tables += [(table, "file") for table in _tables(values.get("objects"))]
    return [(table, key) for table, key in tables if isinstance(table.get(key), str) and table[key]]


def _tables(value: object) -> list[dict[str, Any]]:
    among = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [table for table in among if isinstance(table, dict)]


def plan_from(values: dict[str, Any]) -> Plan:
    """Plan from the values of a TOML or JSON file; InputError for an unknown setting."""
    known(values, {f.name for f in fields(Plan)}, "setting")
    conditions = values.get("conditions")
    count = len(conditions) if isinstance(conditions, list) else 0
    require(count <= MAX_CONDITIONS, f"{count} conditions; a trial has 12 at most (BS.1534-3, clause 5.2)")
    settings: dict[str, Any] = dict(values)
    if isinstance(conditions, list):
        settings["conditions"] = tuple(conditions)
    if "objects" in values:
        require(isinstance(values["objects"], list), "objects are a list, [[objects]]")
        settings["objects"] = tuple(_made(ForegroundObject, one, "object") for one in values["objects"])
    if "excerpts" in values:
        require(isinstance(values["excerpts"], dict), "excerpts are tables, [excerpts.ITEM]")
        settings["excerpts"] = {
            item: _made(FrozenExcerpt, one, "excerpt") for item, one in values["excerpts"].items()
        }
    return Plan(**settings)


def plan_of(test: BuiltTest) -> Plan:
    """Return the plan that a test was built from.

    Raises
    ------
    InputError
        If the manifest holds no valid plan, or if an item does not have exactly the conditions of the plan.
    """
    try:
        plan = plan_from(test.plan)
        for item, entry in test.items.items():
            if set(entry["conditions"]) != set(plan.conditions):
                raise InputError(f"item {item} does not have the conditions of the plan")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = error if isinstance(error, ValueError) else "its plan is missing or of the wrong kind"
        raise InputError(f"{test.folder / MANIFEST}: not a manifest of listening.build: {why}") from error
    return plan


def _made(kind: type, values: object, what: str) -> Any:
    require(isinstance(values, dict), f"{what} must be a table")
    known(values, {f.name for f in fields(kind)}, f"setting of an {what}")  # type: ignore[arg-type]
    try:
        return kind(**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"{what}: {str(error).partition(' ')[2]}") from None


def _is_id(name: object) -> bool:
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def item_id(stem: str) -> str:
    """Item id from a file's name: blanks and punctuation become ``_``.

    A name that spreadsheets and casts would change (01, 1e5, nan, MAR1) gets ``item_`` before it.

    Raises
    ------
    InputError
        If what is left is no id: 1 to 64 letters, digits, ``_`` or ``-``. Ids become folder names and
        appear in tables, so nothing else is let through.
    """
    name = re.sub(r"[ .,()+]+", "_", stem).strip("_")
    if name and not is_portable(name):
        name = f"item_{name}"
    if not _is_id(name):
        raise InputError(
            f"{stem!r} cannot become an item name (1 to 64 letters A-Z, digits, _ and -); rename the file"
        )
    return name
