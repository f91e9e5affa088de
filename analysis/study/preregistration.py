"""The frozen plan of a test's analysis, and the deviations of the actual analysis from it.

A plan fixes post-screening, confidence intervals, comparisons, test and correction, level, number of listeners,
conditions, items and the digest of every sound file before the first rating is given. It is stored with its own
SHA-256, so a later change is found. That the whole file was not written anew can be proved only by a copy of the
digest that is kept elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.ratings.conditions import ANCHORS
from analysis.ratings.record import canonical, listed
from analysis.statistics.paired_tests import MAX_PAIRS, every_pair
from analysis.study.options import CLAIM_OF_TEST, CORRECTIONS, INTERVALS, SCREENINGS, TESTS, Settings
from render.common.errors import InputError
from render.common.files import read_json, sha256, sha256_of, write_json

SOUND_SUFFIXES = {".wav", ".w64", ".rf64", ".flac", ".caf"}

LARGEST_OFFSET = timedelta(hours=14)
"""How far a local time may be from UTC: the zone database has offsets up to +14:00 (Pacific/Kiritimati)."""

AGES = ("older", "unclear", "younger", "unreadable")
"""What the date of a rating can be when it is compared with that of the plan."""


@dataclass(frozen=True)
class Plan:
    """What is decided before the first rating.

    Attributes
    ----------
    title, frozen
        Title of the test, and when the plan was frozen (ISO 8601).
    listeners
        How many listeners are to rate.
    conditions, items
        What they are to rate; empty if the plan leaves it open.
    screening, ci, margin, draws, seed
        As in `analysis.study.options.Settings`.
    comparisons
        Pairs of conditions to be compared; empty for every pair without anchors.
    test, correction, alpha
        Test of these pairs, adjustment of its p over them, and level of significance.
    stimuli
        Path of every sound file in the package -> its SHA-256.
    leave_out
        Items that are rated but not analysed (`analysis.study.options.Settings`).
    """

    title: str
    frozen: str
    listeners: int
    conditions: tuple[str, ...]
    items: tuple[str, ...]
    screening: str
    ci: str
    comparisons: tuple[tuple[str, str], ...]
    test: str
    correction: str
    alpha: float
    margin: float | None
    draws: int
    seed: int
    stimuli: Mapping[str, str]
    leave_out: tuple[str, ...] = ()

    def pairs(self, conditions: Sequence[str]) -> list[tuple[str, str]]:
        """Return the planned comparisons of which both `conditions` are there.

        If the plan names none, return every pair without anchors, unless these are too many (`every_pair`).
        """
        if not self.comparisons:
            return every_pair([c for c in conditions if c not in ANCHORS])[0]
        return [(a, b) for a, b in self.comparisons if a in conditions and b in conditions]

    @property
    def settings(self) -> Settings:
        """The planned settings of the analysis; the claim is that of the planned test."""
        return Settings(
            self.screening, self.ci, self.draws, self.seed, self.margin, self.leave_out, self.claim or "items"
        )

    @property
    def claim(self) -> str | None:
        """What the planned test supports, one of `analysis.study.options.CLAIMS`; None if it is neither."""
        return CLAIM_OF_TEST.get(self.test)


def check(plan: Plan) -> Plan:
    """Return the plan.

    Raises
    ------
    InputError
        If the plan cannot be carried out.
    """
    choices = {"screening": SCREENINGS, "ci": INTERVALS, "test": TESTS, "correction": CORRECTIONS}
    for name, known in choices.items():
        if getattr(plan, name) not in known:
            raise InputError(f"plan: {name} '{getattr(plan, name)}' is not one of {', '.join(known)}")
    if not all(type(n) is int for n in (plan.listeners, plan.draws, plan.seed)) or not isinstance(
        plan.stimuli, dict
    ):
        raise InputError("plan: listeners, draws and seed must be whole numbers, stimuli an object")
    try:
        frozen = datetime.fromisoformat(plan.frozen)
    except (TypeError, ValueError):
        raise InputError(f"plan: '{plan.frozen}' is not a date") from None
    if frozen.tzinfo is None:
        raise InputError(f"plan: '{plan.frozen}' has no time zone, so nobody can tell what came before it")
    if plan.listeners < 2:
        raise InputError("plan: a test needs at least 2 listeners")
    if not 0 < plan.alpha < 0.5:
        raise InputError(f"plan: alpha {plan.alpha:g} is not between 0 and 0.5")
    if plan.margin is not None and not 0 < plan.margin <= 100:
        raise InputError("plan: the margin must be above 0 and at most 100 points")
    if plan.test == "permutation" and plan.draws < 1000:
        raise InputError("plan: permutation tests need --draws (10000 is usual)")
    _, too_many = every_pair([c for c in plan.conditions if c not in ANCHORS])
    if too_many and not plan.comparisons:
        raise InputError(f"plan: {too_many}")
    if len(plan.comparisons) > MAX_PAIRS:
        raise InputError(f"plan: {len(plan.comparisons)} comparisons; possible are {MAX_PAIRS}")
    for a, b in plan.comparisons:
        if a == b or (plan.conditions and not {a, b} <= set(plan.conditions)):
            raise InputError(f"plan: comparison {a} {b} does not name two different planned conditions")
    if both := sorted(set(plan.items) & set(plan.leave_out)):
        raise InputError(f"plan: items that are planned and left out: {listed(both)}")
    return plan


def write_plan(path: Path, plan: Plan, force: bool = False) -> str:
    """Write a plan with its SHA-256, and return the latter."""
    values = {name: value for name, value in asdict(plan).items() if name != "leave_out" or value}
    digest = sha256_of(values)
    write_json(path, {"plan": values, "sha256": digest}, force=force)
    return digest


def read_plan(path: Path) -> tuple[Plan, list[str]]:
    """Read a plan, and a list that is empty or holds the first deviation: that the digest does not fit.

    Raises
    ------
    InputError
        If the file is not a plan, is damaged, or the plan cannot be carried out.
    """
    content = read_json(path)
    values = content.get("plan") if isinstance(content, dict) else None
    names = [field.name for field in fields(Plan)]
    if not isinstance(values, dict) or {"leave_out", *values} != set(names):
        raise InputError(f"{path}: is not a frozen plan; python -m analysis.plan writes one")
    try:
        listed: dict[str, Any] = {
            name: tuple(canonical(str(value)) for value in _list(name, values.get(name, [])))
            for name in ("conditions", "items", "leave_out")
        }
        listed["comparisons"] = tuple((canonical(str(a)), canonical(str(b))) for a, b in values["comparisons"])
        plan = Plan(**{**values, **listed})
        check(plan)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{path}: damaged plan ({error})") from None
    found = sha256_of(values)
    if found == content.get("sha256"):
        return plan, []
    return plan, [f"the plan was changed after it was frozen: its digest is {found[:12]}, it was frozen as "
                  f"{str(content.get('sha256'))[:12]}"]  # fmt: skip


def _list(name: str, value: object) -> list:
    if not isinstance(value, list):
        raise InputError(f"plan: {name} is not a list")
    return value


def digests(package: Path) -> dict[str, str]:
    """Return the SHA-256 of every sound file in a folder, by its path relative to the folder.

    Raises
    ------
    InputError
        If there is none.
    """
    files = sorted(
        p for p in package.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES and not p.name.startswith(".")
    )
    if not files:
        raise InputError(f"{package}: holds no sound file ({', '.join(sorted(SOUND_SUFFIXES))})")
    return {file.relative_to(package).as_posix(): sha256(file) for file in files}


def deviations(plan: Plan, table: pd.DataFrame, settings: Settings, package: Path | None) -> list[str]:
    """Describe in words what was not done as planned, and what could not be checked.

    Parameters
    ----------
    plan
        The frozen plan.
    table
        Tidy table of ratings before post-screening.
    settings
        Settings of the analysis.
    package
        Folder of the sound files; None if they are not at hand.
    """
    planned = asdict(plan.settings)
    found = [
        f"{name}: planned {_worded(planned[name])}, used {_worded(used)}"
        for name, used in asdict(settings).items()
        if used != planned[name]
    ]
    table = table[~table["item"].isin(settings.leave_out)]
    rated = table["listener"].nunique()
    if rated != plan.listeners:
        found.append(f"listeners: planned {plan.listeners}, {rated} rated")
    for what, names in (("condition", plan.conditions), ("item", plan.items)):
        if names:
            found += _name_deviations(what, set(names), set(table[what]))
    if package and (differ := orders_differ(plan.listeners, package)):
        found.append(differ)
    if missing := [pair for pair in plan.comparisons if not set(pair) <= set(table["condition"])]:
        found.append(f"comparisons that cannot be made: {listed([' - '.join(pair) for pair in missing])}")
    return found + _stimulus_deviations(plan, table, package) + _date_deviations(plan, table)


def orders_differ(listeners: int, package: Path) -> str:
    """Say that a package of `listening.export` has orders of presentation for another number of listeners.

    The text is empty if the numbers are equal, or if the package holds no orders.
    """
    session = package / "session.json"
    content = read_json(session) if session.is_file() else {}
    orders = content.get("orders") if isinstance(content, dict) else None
    if not isinstance(orders, list) or len(orders) == listeners:
        return ""
    return f"orders: {session} holds those of {len(orders)} listeners, {listeners} are planned"


def _worded(setting: object) -> str:
    if isinstance(setting, tuple):
        return listed(setting) or "nothing"
    return str(setting)


def _name_deviations(what: str, planned: set[str], rated: set[str]) -> list[str]:
    found = []
    if planned - rated:
        found.append(f"{what}s planned but not rated: {listed(sorted(planned - rated))}")
    if rated - planned:
        found.append(f"{what}s rated but not planned: {listed(sorted(rated - planned))}")
    return found


def _stimulus_deviations(plan: Plan, table: pd.DataFrame, package: Path | None) -> list[str]:
    if not plan.stimuli:
        return ["stimuli: the plan holds no digest of a sound file, so what was played cannot be checked"]
    found = []
    if package:
        now = digests(package)
        changed = [name for name in now if name in plan.stimuli and now[name] != plan.stimuli[name]]
        gone, added = sorted(set(plan.stimuli) - set(now)), sorted(set(now) - set(plan.stimuli))
        for what, names in (("changed", changed), ("gone", gone), ("added", added)):
            if names:
                found.append(f"sound files {what} since: {listed(names)}")
    if "stimulus_sha256" in table:
        known = set(plan.stimuli.values())
        unknown = table[~table["stimulus_sha256"].isin(known)][["item", "condition"]].drop_duplicates()
        if len(unknown):
            names = [f"{item} / {condition}" for item, condition in unknown.itertuples(index=False)]
            found.append(f"stimuli whose digest the plan does not hold: {listed(names)}")
    elif not package:
        found.append("stimuli: not checked; the ratings carry no stimulus_sha256, and --package was not given")
    return found


def _date_deviations(plan: Plan, table: pd.DataFrame) -> list[str]:
    """Describe ratings that are older than the plan, and those whose dates do not tell.

    A date without a zone may be that of any place, so within `LARGEST_OFFSET` of the plan it tells nothing; a day
    without a time may be any time of the day.
    """
    if "date" not in table:
        return ["dates: not checked; the ratings carry none"]
    frozen = datetime.fromisoformat(plan.frozen)
    counts = table["date"].value_counts()
    kinds = {date: _age(str(date), frozen) for date in counts.index}
    count = {kind: sum(int(counts[date]) for date in counts.index if kinds[date] == kind) for kind in AGES}
    found = []
    if count["older"]:
        found.append(f"{count['older']} ratings are older than the plan, which was frozen on {plan.frozen}")
    if count["unclear"]:
        found.append(
            f"dates: {count['unclear']} ratings cannot be checked against the plan, frozen on {plan.frozen}: "
            "their dates have no time zone (or no time) and are too near to it to tell which came first"
        )
    if count["unreadable"]:
        found.append(f"dates: {count['unreadable']} ratings carry none that can be read")
    return found


def _age(date: str, frozen: datetime) -> str:
    """Compare the date of a rating (ISO 8601) with the time at which the plan was frozen: one of `AGES`."""
    try:
        given = datetime.fromisoformat(date)
    except ValueError:
        return "unreadable"
    has_zone = given.tzinfo is not None
    after = (given if has_zone else given.replace(tzinfo=UTC)) - frozen
    doubt = timedelta() if has_zone else LARGEST_OFFSET
    length = timedelta() if re.search(r"[T ]", date) else timedelta(days=1)
    if after + length + doubt < timedelta():
        return "older"
    return "younger" if after - doubt >= timedelta() else "unclear"
