"""From a plan and its items to a built listening test: which conditions are made, and the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import MANIFEST
from listening.conditions.foreground import check_objects
from listening.conditions.registry import condition, is_proposed_codec, kind_of, needs_libopus
from listening.conditions.rvqgan import model_card, shipped_model
from listening.opus_codec.codec import library_path, version
from listening.stimulus_build.cache_key import LIBRARIES
from listening.stimulus_build.executors import Engine
from listening.test_design.items import Item, item_of
from listening.test_design.test_plan import Plan
from render.common.errors import InputError
from render.common.files import versions, write_json
from render.common.parallel import workers_need
from render.common.progress import progress
from stimuli.eigenscape.corpus import HOLDOUT
from stimuli.preparation.conversion import prepare_file


def prepare_input(files: list[tuple[str, Path]], folder: Path, engine: Engine) -> list[Item]:
    """Prepare a user's own files (third order, 44.1 kHz, 16 bit) into `folder`; `files` are items and their files.

    Raises
    ------
    InputError
        If two files would give items of one name (letter case does not count: some file systems ignore it), or a
        file can't be prepared.
    """
    targets: dict[str, Path] = {}
    for name, path in files:
        if name.lower() in map(str.lower, targets):
            raise InputError(f"{path}: a second item {name!r}; rename one of the files, or give it as NAME=FILE")
        targets[name] = folder / f"{name}.wav"
    jobs = {name: (path, target) for (_, path), (name, target) in zip(files, targets.items(), strict=True)}
    for _ in progress(engine.run(prepare_file, jobs), "prepare recording", len(jobs)):
        pass
    return [item_of(name, target) for name, target in targets.items()]


def check_conditions(plan: Plan, model: Path | None) -> None:
    """Raise `InputError` if anything is missing that a condition of a plan needs."""
    check_objects(plan.objects)
    workers_need("listening.stimulus_build.item_builder")
    workers_need("listening.stimulus_build.code_of_keys")
    for name in plan.conditions:
        condition(name, model, plan.parameters.get(name))
        if kind_of(name, plan.parameters.get(name))[0].needs_codec:
            workers_need("codec.coding.model")


def build_plan(
    items: list[Item],
    plan: Plan,
    out: Path,
    model: Path | None,
    engine: Engine,
    strict: bool = True,
    contact_sheets: bool = True,
) -> dict[str, Any]:
    """Build all stimuli of a plan, write the manifest and return it.

    Parameters
    ----------
    items : list of Item
    plan : Plan
    out : Path
        Folder of the build.
    model : Path or None
        Model file of the proposed codec where the plan names none; None: the shipped one.
    engine : Engine
        Where the work is done, one job for each item.
    strict : bool
        Whether a stimulus without the properties that its condition promises stops the build.
    contact_sheets : bool
        Whether one is drawn for each item.

    Raises
    ------
    InputError
        If anything that a condition needs is missing, which is found before the work begins; see also
        `item_builder.build_item`.
    """
    check_conditions(plan, model)
    if plan.excerpts and (unknown := set(plan.excerpts) - {item.id for item in items}):
        raise InputError(
            f"plan: excerpts of {', '.join(sorted(unknown))} are frozen, but these items were not given"
        )
    jobs = {item.id: (item, plan, out, model, strict, contact_sheets) for item in items}
    entries = dict(progress(engine.run(_build_item, jobs), "make all conditions of item", len(items)))
    manifest = {
        "plan": asdict(plan),
        "versions": versions(*LIBRARIES),
        "libraries": _libraries(plan),
        "items": {item.id: entries[item.id] for item in items},
    }
    write_json(out / MANIFEST, manifest, force=True)
    return manifest


def _build_item(*arguments: Any) -> dict[str, Any]:
    """`item_builder.build_item`, which only workers import: what draws and measures takes 1 s."""
    from listening.stimulus_build.item_builder import build_item

    return build_item(*arguments)


def _libraries(plan: Plan) -> dict[str, Any]:
    """Libraries outside of Python that the conditions of a plan use: version and path."""
    if not any(needs_libopus(name, plan.parameters.get(name)) for name in plan.conditions):
        return {}
    return {"libopus": {"version": version(), "path": library_path()}}


def rate_lines(manifest: dict[str, Any]) -> Iterator[str]:
    """Measured bit rate of each condition that has a payload, mean and range over the items, one line each."""
    items = manifest["items"].values()
    for name in manifest["plan"]["conditions"]:
        rates = [item["conditions"][name]["kbps"] for item in items if "kbps" in item["conditions"][name]]
        if rates:
            mean = sum(rates) / len(rates)
            yield f"{name:>12}: {mean:6.1f} kbit/s measured ({min(rates):.1f} to {max(rates):.1f})"


def without_conditions(plan: Plan, skipped: list[str]) -> Plan:
    """Plan without the conditions in `skipped`: ids, or ``opus`` for all that need libopus.

    Raises
    ------
    InputError
        If the plan has no such condition.
    """
    for name in skipped:
        if name != "opus" and name not in plan.conditions:
            raise InputError(f"--skip {name}: not a condition of the plan, which has {', '.join(plan.conditions)}")
    left_out = set(skipped)
    if "opus" in skipped:
        left_out |= {name for name in plan.conditions if needs_libopus(name, plan.parameters.get(name))}
    return replace(
        plan,
        conditions=tuple(name for name in plan.conditions if name not in left_out),
        parameters={name: given for name, given in plan.parameters.items() if name not in left_out},
    )


def refuse_commands(plan: Plan, allowed: bool) -> None:
    """Raise `InputError` if a plan would run command lines without the user's consent: plans come from others."""
    commands = {name: given["command"] for name, given in plan.parameters.items() if "command" in given}
    if commands and not allowed:
        name, command = next(iter(commands.items()))
        raise InputError(f"plan: {name} would run {command!r} on this machine; --allow-commands permits it")


def training_overlaps(plan: Plan, model: Path | None) -> Iterator[str]:
    """Sentences about models that may have been trained with the recordings which the excerpts come from.

    A model's card names the recordings that were held out of its training.
    """
    for name in plan.conditions:
        given = plan.parameters.get(name, {})
        if not is_proposed_codec(name, given):
            continue
        path = Path(given["model"]) if "model" in given else model or shipped_model()
        holdout = model_card(path).get("holdout", HOLDOUT)
        if plan.holdout != holdout:
            yield (
                f"{name}: the plan's excerpts come from {plan.holdout!r}, and {path.name} was trained "
                f"with {holdout!r} held out: it may have heard them"
            )
