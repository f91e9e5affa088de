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

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from listening.engine import Engine
    from listening.items import Item
    from listening.plan import Plan

# imported once, for all processes of the command
PRELOAD = ("listening.making", "listening.conditions", "listening.contact_sheet", "listening.quality_gate")


def build(
    items: list[Item], plan: Plan, out: Path, model: Path | None, engine: Engine, strict: bool = True
) -> None:
    """Make all items and write the manifest; unless `strict`, it tells what is not as declared."""
    from listening.foreground import check
    from listening.making import LIBRARIES, build_item, condition_of
    from listening.manifest import NAME
    from render.artefact import versions, write_json

    check(plan.objects)
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
    write_json(out / NAME, manifest, force=True)
    _print_rates(manifest)


def _libraries(plan: Plan) -> dict[str, Any]:
    """Libraries outside of Python that made conditions of this plan: version and path."""
    from listening import opus
    from listening.conditions import uses_opus

    if not any(uses_opus(name, plan.parameters.get(name)) for name in plan.conditions):
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
    from listening.conditions import uses_opus

    def goes(name: str) -> bool:
        return name in skipped or ("opus" in skipped and uses_opus(name, plan.parameters.get(name)))

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

    def is_one(name: str) -> bool:
        given = plan.parameters.get(name, {})
        return "model" in given or ("command" not in given and name.partition("_")[0] == "prop")

    return [name for name in plan.conditions if is_one(name)]


def warn_of_training_material(plan: Plan, model: Path | None) -> None:
    """Say on stderr where the excerpts come from recordings that the codec was trained with."""
    import sys

    from listening.proposed import card_of, shipped_model
    from stimuli.corpus import HOLDOUT

    for name in proposed_conditions(plan):
        given = plan.parameters.get(name, {})
        path = Path(given["model"]) if "model" in given else model or shipped_model()
        holdout = card_of(path).get("holdout", HOLDOUT)
        if plan.holdout != holdout:
            print(
                f"warning: {name}: the plan's excerpts come from {plan.holdout!r}, and {path.name} was trained "
                f"with {holdout!r} held out: it may have heard them",
                file=sys.stderr,
            )


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "listening.build")
    arguments.add_argument("--plan", default="demo", help="name or path of a plan (default: demo)")
    source = arguments.add_mutually_exclusive_group()
    source.add_argument(
        "--material",
        type=Path,
        default=Path("data/prepared/seed-1"),
        metavar="DIR",
        help="folder of prepared recordings; items come from the held-out ones (default: data/prepared/seed-1)",
    )
    source.add_argument("--input", type=Path, nargs="+", metavar="FILE", help="your own files, one item each")
    arguments.add_argument("--model", type=Path, metavar="M", help="model of prop (default: the shipped one)")
    arguments.add_argument(
        "--skip", action="append", default=[], metavar="ID", help="leave a condition out; opus: all that need it"
    )
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="usually out/<plan>")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    arguments.add_argument("--engine", metavar="E", help="local:N, inline, dask:ADDRESS or slurm[:PARTITION]")
    arguments.add_argument("--allow-commands", action="store_true", help="run the command lines in the plan")
    given = arguments.parse_args()

    from listening.engine import engine
    from listening.items import corpus_items, input_items
    from listening.plan import load_plan

    plan = without(load_plan(given.plan), given.skip)
    refuse_commands(plan, given.allow_commands)
    codecs = ("codec.inference",) if proposed_conditions(plan) else ()
    where = engine(given.engine, given.workers, given.output, codecs + PRELOAD)
    if given.input:
        items = input_items(given.input, given.output / "prepared", where)
    else:
        items = corpus_items(given.material, plan.holdout)
        warn_of_training_material(plan, given.model)
    build(items, plan, given.output, given.model, where)
    print(f"{given.output / 'manifest.json'}: {len(items)} items x {len(plan.conditions)} conditions")


if __name__ == "__main__":
    run(main)
