"""From the options of a command to the results of a test, with where they come from and how they were planned."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from analysis.ratings.table import read, read_key
from analysis.study.analysis import Results, analyse
from analysis.study.preregistration import Plan, deviations, read_plan
from render.common.errors import InputError
from render.common.files import sha256

DEFAULTS = {"screening": "bs1534-3", "ci": "listener", "draws": 0, "seed": 1, "margin": None}
"""Settings where neither the command line nor a plan gives one."""


@dataclass(frozen=True)
class Analysed:
    """Results of a test with where they come from, and how they were planned."""

    results: Results
    sources: tuple[tuple[str, str], ...]
    formats: tuple[str, ...]
    plan: Plan | None
    deviations: tuple[str, ...]


def analysed(arguments: argparse.Namespace) -> Analysed:
    """Read and analyse what the options of `add_options` say; options go before the plan, which notes it."""
    if arguments.package and not arguments.plan:
        raise InputError("--package is compared with a plan; give --plan too")
    plan, found = read_plan(arguments.plan) if arguments.plan else (None, [])
    settings: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        given = getattr(arguments, name)
        settings[name] = given if given is not None else getattr(plan, name) if plan else default
    if not 0 <= settings["draws"] <= 1_000_000 or settings["seed"] < 0:
        raise InputError("--draws must be from 0 to 1000000 and --seed not negative")
    if settings["margin"] is not None and not 0 < settings["margin"] <= 100:
        raise InputError("--margin must be above 0 and at most 100 points")

    names = {arguments.reference: "href", arguments.low_anchor: "la", arguments.mid_anchor: "ma"}
    names.pop(None, None)
    key = read_key(arguments.key) if arguments.key else None
    ratings = read(arguments.results, key, names)
    if plan:
        found += deviations(plan, ratings, settings, arguments.package)
    return Analysed(
        results=analyse(ratings, **settings, plan=plan),
        sources=tuple((path.name, sha256(path)) for path in arguments.results),
        formats=tuple(ratings.attrs["formats"]),
        plan=plan,
        deviations=tuple(found),
    )
