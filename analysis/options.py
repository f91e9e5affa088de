"""What every command that analyses a test shares: its options, and how they become results."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.plan import INTERVALS, SCREENINGS, Plan, deviations, read_plan
from render.errors import InputError

if TYPE_CHECKING:
    from analysis.results import Results

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


def add_options(command: argparse.ArgumentParser, files: str = "+") -> None:
    """Add the rating files and every option that decides how they are analysed."""
    command.add_argument("results", nargs=files, type=Path, metavar="RESULTS", help="rating file(s) of one test")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--reference", metavar="NAME", help="the hidden reference's name in RESULTS, if not href")
    command.add_argument("--low-anchor", metavar="NAME", help="the 3.5 kHz anchor's name, if not la")
    command.add_argument("--mid-anchor", metavar="NAME", help="the 7 kHz anchor's name, if not ma")
    command.add_argument("--ci", choices=INTERVALS,
                         help="95 %% intervals of the means: all ratings taken as independent (as often "
                         "published), listener means (default), listeners and items both random")  # fmt: skip
    command.add_argument("--screening", choices=SCREENINGS, help="post-screening (default: bs1534-3)")
    command.add_argument("--draws", type=int, metavar="N",
                         help="draws of bootstraps and permutations (10000 is usual; default: none)")  # fmt: skip
    command.add_argument("--seed", type=int, help="seed of the draws (default: 1)")
    command.add_argument("--margin", type=float, metavar="POINTS",
                         help="test whether pairs are equivalent, and a no worse than b, by POINTS")  # fmt: skip
    command.add_argument("--plan", type=Path, metavar="PLAN.json",
                         help="run this frozen plan (analysis.plan) and list every deviation from it")  # fmt: skip
    command.add_argument("--package", type=Path, metavar="DIR", help="compare the sound files in DIR with it")


def one_thread() -> None:
    """Keep numpy, not loaded yet, to one thread: on matrices as small as ours threads only wait."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def analysed(arguments: argparse.Namespace) -> Analysed:
    """Read and analyse what the options of `add_options` say; options go before the plan, which notes it."""
    one_thread()
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

    from analysis.ratings import read, read_key
    from analysis.results import analyse
    from render.artefact import sha256

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
