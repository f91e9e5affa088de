"""What lies in the folder of a built test and belongs into the report: facts, key and ratings.

`listening.export` writes ``facts-LABEL.toml`` and ``key-LABEL.json`` there, `listening.serve` its database
``results-LABEL.sqlite``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.ratings.importers.listening_server import is_database, session_plan
from analysis.reporting.checklist import read_facts
from render.common.errors import InputError


def known_facts(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what build, plan of the analysis and database tell of the options of `analysis.report`.

    Where a build is named, ``results`` and ``key`` of the options are completed from it (`fill_from_build`).
    """
    facts = fill_from_build(arguments) if arguments.build else {}
    if arguments.plan:
        facts |= facts_of_plan(arguments.plan)
    return facts | facts_of_sessions(arguments.results)


def facts_of_plan(path: Path) -> dict[str, str]:
    """Return what a frozen plan (`analysis.plan`) tells: the title, and what the test is to compare."""
    from analysis.study.preregistration import read_plan  # here, since it loads NumPy

    plan, _ = read_plan(path)
    compared = ", ".join(f"{a} with {b}" for a, b in plan.comparisons) or "every pair without anchors"
    margin = f", equivalence within {plan.margin:g} points" if plan.margin else ""
    purpose = (
        f"Planned on {plan.frozen[:10]}: to compare {compared} ({plan.test}, {plan.correction}, alpha "
        f"{plan.alpha:g}{margin}) by {plan.listeners} listeners. MISSING: purpose and hypotheses"
    )
    return {"title": plan.title, "purpose": purpose} if plan.title else {"purpose": purpose}


def fill_from_build(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the facts of the build, and set ``results`` and ``key`` where the command line does not name them.

    Parameters
    ----------
    arguments
        Options of `analysis.report`: ``build``, ``results`` and ``key``.

    Raises
    ------
    InputError
        If the build was not exported, or several times and the key does not tell which export is meant.
    """
    label = _label(arguments.build, arguments.key)
    arguments.key = arguments.key or arguments.build / f"key-{label}.json"
    ratings = arguments.build / f"results-{label}.sqlite"
    if not arguments.results and ratings.is_file():
        arguments.results = [ratings]
    return read_facts(arguments.build / f"facts-{label}.toml")


def facts_of_sessions(results: Sequence[Path]) -> dict[str, str]:
    """Return how the test ran, where the ratings are a database of `listening.serve`."""
    for path in results:
        if is_database(path):
            return {"procedure": _procedure(session_plan(path))}
    return {}


def _label(build: Path, key: Path | None) -> str:
    """Part of the file names that tells one export of a build from the others, as ``7.1.4``."""
    labels = [path.stem.removeprefix("key-") for path in sorted(build.glob("key-*.json"))]
    labels = [label for label in labels if (build / f"facts-{label}.toml").is_file()]
    if key and key.stem.removeprefix("key-") in labels:
        return key.stem.removeprefix("key-")
    if not labels:
        raise InputError(f"{build}: was not exported yet; run listening.export --build {build} first")
    if len(labels) > 1:
        raise InputError(
            f"{build}: was exported as {', '.join(labels)}; name one with --key {build}/key-LABEL.json"
        )
    return labels[0]


def _procedure(plan: dict[str, Any]) -> str:
    """Describe a session by its plan, whose settings docs/listening-test.md lists."""
    rounds = plan["replicates"]
    breaks = f"a break after every {plan['break_after']} trials" if plan["break_after"] else "no prescribed break"
    return (
        f"Run by listening.serve in the browser: {rounds} round{'s' * (rounds != 1)} of one trial for each item "
        f"and attribute ({', '.join(plan['attributes'])}), {breaks}; training before, its ratings discarded; "
        "stimuli switched by a fade-out and a fade-in of 5 ms each; the listener could change the level by "
        f"{plan['level_range_db']:g} dB up and down"
    )
