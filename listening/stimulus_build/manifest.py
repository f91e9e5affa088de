"""manifest.json of a built test, read as carefully as anything that comes from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from listening.test_design.test_plan import Plan, item_id, plan_from
from render.common.errors import InputError
from render.common.files import read_json

NAME = "manifest.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def scene_file(item: str, condition: str) -> str:
    """Path of a condition's scene, relative to the build's folder."""
    return f"scenes/{item}/{condition}.w64"


def read_manifest(build: Path) -> tuple[Plan, dict[str, dict[str, Any]]]:
    """Plan and items of a build.

    Every item has an id that is safe as the name of a folder, and every condition of the plan, each with the
    file name that `listening.build` gives it: nothing in a manifest leads out of the build's folder.

    Raises
    ------
    InputError
        If there is no manifest, or one that `listening.build` did not write.
    """
    path = build / NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file; run listening.build first")
    manifest = read_json(path)
    try:
        plan, items = plan_from(manifest["plan"]), dict(manifest["items"])
        for item, entry in items.items():
            _check(plan, item, entry)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = error if isinstance(error, ValueError) else "something is missing or of the wrong kind"
        raise InputError(f"{path}: not a manifest of listening.build: {why}") from error
    if not items:
        raise InputError(f"{path}: holds no items")
    return plan, items


def _check(plan: Plan, item: str, entry: dict[str, Any]) -> None:
    if item_id(item) != item or not isinstance(entry["material"], str):
        raise InputError(f"item {item!r}")
    if set(entry["conditions"]) != set(plan.conditions):
        raise InputError(f"item {item} has not the plan's conditions")
    for name, made in entry["conditions"].items():
        if made["file"] != scene_file(item, name):
            raise InputError(f"file {made['file']!r} of {item}, {name}; should be {scene_file(item, name)}")
        if not _SHA256.fullmatch(made["sha256"]):
            raise InputError(f"hash of {item}, {name}")
