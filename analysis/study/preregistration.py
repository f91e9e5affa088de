"""Freeze the plan of a test's analysis before the first rating, so that the results can be held against it.

The plan fixes post-screening, confidence intervals, comparisons, test and correction, level, number of listeners,
conditions, items and the digest of every sound file. `analysis.mushra --plan` and `analysis.report --plan` run it
and list every deviation. The digest that is printed here belongs where others can see it (a registry, a mail): it
proves later that the plan is the one of that day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.study.options import CORRECTIONS, INTERVALS, SCREENINGS, TESTS
from render.common.errors import InputError
from render.common.files import read_json, sha256, sha256_of, write_json

SOUNDS = {".wav", ".w64", ".rf64", ".flac", ".caf"}


MAX_LISTED = 10


@dataclass(frozen=True)
class Plan:
    """What is decided before the first rating. Empty conditions or items are left open."""

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

    def pairs(self, conditions: Sequence[str]) -> list[tuple[str, str]]:
        """Comparisons of the plan that `conditions` allow; where it names none, every pair without anchors."""
        pairs = self.comparisons or combinations([c for c in conditions if c not in ("la", "ma")], 2)
        return [(a, b) for a, b in pairs if a in conditions and b in conditions]


def check(plan: Plan) -> Plan:
    """Refuse a plan that cannot be carried out."""
    choices = {"screening": SCREENINGS, "ci": INTERVALS, "test": TESTS, "correction": CORRECTIONS}
    for name, known in choices.items():
        if getattr(plan, name) not in known:
            raise InputError(f"plan: {name} '{getattr(plan, name)}' is none of {', '.join(known)}")
    if not all(type(n) is int for n in (plan.listeners, plan.draws, plan.seed)) or not isinstance(
        plan.stimuli, dict
    ):
        raise InputError("plan: listeners, draws and seed must be whole numbers, stimuli an object")
    try:
        datetime.fromisoformat(plan.frozen)
    except (TypeError, ValueError):
        raise InputError(f"plan: '{plan.frozen}' is no date") from None
    if plan.listeners < 2:
        raise InputError("plan: a test needs at least 2 listeners")
    if not 0 < plan.alpha < 0.5:
        raise InputError(f"plan: alpha {plan.alpha:g} is not between 0 and 0.5")
    if plan.margin is not None and not 0 < plan.margin <= 100:
        raise InputError("plan: the margin must be above 0 and at most 100 points")
    if plan.test == "permutation" and plan.draws < 1000:
        raise InputError("plan: permutation tests need --draws (10000 is usual)")
    for a, b in plan.comparisons:
        if a == b or (plan.conditions and not {a, b} <= set(plan.conditions)):
            raise InputError(f"plan: comparison {a} {b} is not of two planned conditions")
    return plan


def write_plan(path: Path, plan: Plan, force: bool = False) -> str:
    """Write a plan with its SHA-256, which is returned."""
    digest = sha256_of(asdict(plan))
    write_json(path, {"plan": asdict(plan), "sha256": digest}, force=force)
    return digest


def read_plan(path: Path) -> tuple[Plan, list[str]]:
    """Read a plan; a digest that does not fit is the first deviation."""
    content = read_json(path)
    values = content.get("plan") if isinstance(content, dict) else None
    names = [field.name for field in fields(Plan)]
    if not isinstance(values, dict) or set(values) != set(names):
        raise InputError(f"{path}: is no frozen plan; python -m analysis.plan writes one")
    try:
        listed: dict[str, Any] = {name: tuple(map(str, values[name])) for name in ("conditions", "items")}
        listed["comparisons"] = tuple((str(a), str(b)) for a, b in values["comparisons"])
        plan = Plan(**{**values, **listed})
        check(plan)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{path}: damaged plan ({error})") from None
    found = sha256_of(values)
    if found == content.get("sha256"):
        return plan, []
    return plan, [f"the plan was changed after it was frozen: its digest is {found[:12]}, it was frozen as "
                  f"{str(content.get('sha256'))[:12]}"]  # fmt: skip


def digests(package: Path) -> dict[str, str]:
    """SHA-256 of every sound file in a folder, by its path in there."""
    files = sorted(p for p in package.rglob("*") if p.suffix.lower() in SOUNDS and not p.name.startswith("."))
    if not files:
        raise InputError(f"{package}: holds no sound file ({', '.join(sorted(SOUNDS))})")
    return {file.relative_to(package).as_posix(): sha256(file) for file in files}


def deviations(plan: Plan, ratings: pd.DataFrame, used: Mapping[str, Any], package: Path | None) -> list[str]:
    """What was done otherwise than planned, in words; also what could not be checked.

    Parameters
    ----------
    plan
        The frozen plan.
    ratings
        Tidy table before post-screening.
    used
        Settings of the analysis by the names of the plan's fields.
    package
        Folder of the sound files, if it is there to be compared.
    """
    found = []
    for name, value in used.items():
        if value != getattr(plan, name):
            found.append(f"{name}: planned {getattr(plan, name)}, used {value}")
    rated = ratings["listener"].nunique()
    if rated != plan.listeners:
        found.append(f"listeners: planned {plan.listeners}, {rated} rated")
    for what, planned in (("condition", plan.conditions), ("item", plan.items)):
        names = set(ratings[what])
        if planned:
            found += _differences(what, set(planned) - names, names - set(planned))
    if missing := [pair for pair in plan.comparisons if not set(pair) <= set(ratings["condition"])]:
        found.append(f"comparisons that cannot be made: {_listed(' - '.join(pair) for pair in missing)}")
    return found + _of_stimuli(plan, ratings, package) + _of_dates(plan, ratings)


def _differences(what: str, lacking: set[str], further: set[str]) -> list[str]:
    found = [f"{what}s planned but not rated: {_listed(sorted(lacking))}"] if lacking else []
    return found + ([f"{what}s rated but not planned: {_listed(sorted(further))}"] if further else [])


def _of_stimuli(plan: Plan, ratings: pd.DataFrame, package: Path | None) -> list[str]:
    if not plan.stimuli:
        return ["stimuli: the plan holds no digest of a sound file, so what was played cannot be checked"]
    found = []
    if package:
        now = digests(package)
        lacking, further = set(plan.stimuli) - set(now), set(now) - set(plan.stimuli)
        changed = [name for name in now if name in plan.stimuli and now[name] != plan.stimuli[name]]
        found += [f"sound files changed since: {_listed(changed)}"] if changed else []
        found += [f"sound files gone since: {_listed(sorted(lacking))}"] if lacking else []
        found += [f"sound files added since: {_listed(sorted(further))}"] if further else []
    if "stimulus_sha256" in ratings:
        known = set(plan.stimuli.values())
        played = ratings[~ratings["stimulus_sha256"].isin(known)][["item", "condition"]].drop_duplicates()
        if len(played):
            names = [f"{item} / {condition}" for item, condition in played.itertuples(index=False)]
            found.append(f"stimuli whose digest the plan does not hold: {_listed(names)}")
    elif not package:
        found.append("stimuli: not checked; the ratings carry no stimulus_sha256, and --package was not given")
    return found


def _of_dates(plan: Plan, ratings: pd.DataFrame) -> list[str]:
    """Ratings given before the plan was frozen, as far as their dates can be read."""
    if "date" not in ratings:
        return ["dates: not checked; the ratings carry none"]
    given = pd.to_datetime(ratings["date"], utc=True, errors="coerce", format="ISO8601")
    early = int((given < pd.Timestamp(plan.frozen)).sum())
    unread = int(given.isna().sum())
    found = [f"{early} ratings are older than the plan, which was frozen on {plan.frozen}"] if early else []
    return found + ([f"dates: {unread} ratings carry none that can be read"] if unread else [])


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
