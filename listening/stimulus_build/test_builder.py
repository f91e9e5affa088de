"""Make every condition of every item of a listening test.

    python -m listening.build --plan demo --material data/prepared -o out/demo
    python -m listening.build --plan demo --input a.wav b.wav -o out/input

Writes scenes/<item>/<condition>.w64 (44.1 kHz float, excerpt with fades), beside it what a codec would
transmit (.opus, .arvq, .pcao), a record of each file, a contact sheet of each item, and manifest.json with
hashes, parameters, versions, the bit rates measured from the bytes and what the quality gate measured. A
stimulus that is not what its condition declares stops the build. What is already there and unchanged is
kept: the command can be interrupted and repeated.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import MANIFEST
from listening.conditions.foreground import check_objects
from listening.conditions.registry import is_proposed_codec, needs_libopus
from listening.conditions.rvqgan import model_card, shipped_model
from listening.opus_codec import codec as opus
from listening.stimulus_build.executors import Engine
from listening.stimulus_build.item_builder import LIBRARIES, build_item, condition_of
from listening.test_design.items import Item
from listening.test_design.test_plan import Plan
from render.common.errors import InputError
from render.common.files import versions, write_json
from render.common.progress import progress
from stimuli.eigenscape.corpus import HOLDOUT


def build(
    items: list[Item], plan: Plan, out: Path, model: Path | None, engine: Engine, strict: bool = True
) -> None:
    """Make all items and write the manifest; unless `strict`, it tells what is not as declared."""
    check_objects(plan.objects)
    for name in plan.conditions:
        condition_of(plan, name, model)  # what is missing is said before the work begins
    if plan.excerpts and (unknown := set(plan.excerpts) - {item.id for item in items}):
        raise InputError(f"plan: excerpts of {', '.join(sorted(unknown))} are frozen, but no such items given")
    jobs = {item.id: (item, plan, out, model, strict) for item in items}
    made = engine.run(build_item, jobs)
    done = dict(progress(made, "make all conditions of item", len(items)))
    manifest = {
        "plan": asdict(plan),
        "versions": versions(*LIBRARIES),
        "libraries": _libraries(plan),
        "items": {item.id: done[item.id] for item in items},
    }
    write_json(out / MANIFEST, manifest, force=True)
    _print_rates(manifest)


def _libraries(plan: Plan) -> dict[str, Any]:
    """Libraries outside of Python that made conditions of this plan: version and path."""
    if not any(needs_libopus(name, plan.parameters.get(name)) for name in plan.conditions):
        return {}
    return {"libopus": {"version": opus.version(), "path": opus.library_path()}}


def _print_rates(manifest: dict[str, Any]) -> None:
    """Print the bit rates measured from the payloads' bytes, mean and range over the items."""
    items = manifest["items"].values()
    for name in manifest["plan"]["conditions"]:
        rates = [item["conditions"][name]["kbps"] for item in items if "kbps" in item["conditions"][name]]
        if rates:
            mean = sum(rates) / len(rates)
            print(f"{name:>12}: {mean:6.1f} kbit/s measured ({min(rates):.1f} to {max(rates):.1f})")


def without(plan: Plan, skipped: list[str]) -> Plan:
    """Plan without some conditions: ids, or ``opus`` for all that need libopus."""

    def goes(name: str) -> bool:
        return name in skipped or ("opus" in skipped and needs_libopus(name, plan.parameters.get(name)))

    for name in skipped:
        if name != "opus" and name not in plan.conditions:
            raise InputError(f"--skip {name}: no condition of the plan, which has {', '.join(plan.conditions)}")
    kept = tuple(name for name in plan.conditions if not goes(name))
    parameters = {name: given for name, given in plan.parameters.items() if name in kept}
    return replace(plan, conditions=kept, parameters=parameters)


def refuse_commands(plan: Plan, allowed: bool) -> None:
    """Refuse to run a plan's command lines unless the user said so: plans come from others."""
    commands = {name: given["command"] for name, given in plan.parameters.items() if "command" in given}
    if commands and not allowed:
        name, command = next(iter(commands.items()))
        raise InputError(f"plan: {name} would run {command!r} on this machine; --allow-commands lets it")


def proposed_conditions(plan: Plan) -> list[str]:
    """Conditions of a plan that are the proposed codec."""
    return [name for name in plan.conditions if is_proposed_codec(name, plan.parameters.get(name))]


def warn_of_training_material(plan: Plan, model: Path | None) -> None:
    """Say on stderr where the excerpts come from recordings that the codec was trained with."""
    for name in proposed_conditions(plan):
        given = plan.parameters.get(name, {})
        path = Path(given["model"]) if "model" in given else model or shipped_model()
        holdout = model_card(path).get("holdout", HOLDOUT)
        if plan.holdout != holdout:
            print(
                f"warning: {name}: the plan's excerpts come from {plan.holdout!r}, and {path.name} was trained "
                f"with {holdout!r} held out: it may have heard them",
                file=sys.stderr,
            )
