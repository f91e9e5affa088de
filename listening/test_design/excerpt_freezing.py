"""Excerpts that are chosen and frozen in a plan before any codec is heard, and plans as TOML.

`stimuli.excerpts.selection` states the criteria; what they measured is written beside each excerpt. A plan with
frozen excerpts builds from these recordings (by their SHA-256) and these samples alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from listening.test_design.items import corpus_items
from listening.test_design.test_plan import FrozenExcerpt, Plan
from render.common.files import sha256
from render.common.parallel import in_parallel
from render.common.progress import progress
from stimuli.excerpts.selection import choose_window


def freeze_excerpts(plan: Plan, material: Path, workers: int) -> tuple[Plan, dict[str, str]]:
    """Choose the excerpts of a plan in its held-out recordings; also return a line about each choice, by item."""
    items = {item.id: item for item in corpus_items(material, plan.holdout)}
    jobs = {name: (item.path, plan.seconds) for name, item in items.items()}
    chosen = dict(progress(in_parallel(choose_window, jobs, workers), "choose", len(jobs)))
    excerpts, remarks = {}, {}
    for name, item in items.items():
        window = chosen[name]
        excerpts[name] = FrozenExcerpt(sha256(item.path), window.start, window.length)
        score = "no choice" if window.score is None else f"criticality {window.score:+.2f}"
        lost = "" if window.anchor_loss is None else f", low anchor loses {window.anchor_loss:.1%} of the loudness"
        met = "" if window.conditions_met else ", hard conditions not met"
        remarks[name] = f"{item.path.name}, {item.material}: {score}{lost}{met}"
    return replace(plan, excerpts=excerpts), remarks


def as_toml(plan: Plan, remarks: dict[str, str]) -> str:
    """TOML text of a plan; `plan_from` reads it back."""
    values: dict[str, Any] = asdict(plan)
    tables: dict[str, Any] = {name: values.pop(name) for name in ("parameters", "objects", "excerpts")}
    lines = [f"{name} = {_value(value)}" for name, value in values.items()]
    for kind in ("parameters", "excerpts"):
        for name, table in tables[kind].items():
            remark = f"  # {remarks[name]}" if kind == "excerpts" and name in remarks else ""
            lines += ["", f"[{kind}.{name}]{remark}"]
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    for table in tables["objects"]:
        lines += ["", "[[objects]]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """TOML of a number, text or list; JSON's strings, numbers and lists of strings are TOML's, too."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def with_absolute_paths(plan: Plan) -> Plan:
    """Plan whose files have absolute paths, as the frozen plan may lie in another folder."""
    parameters = {
        name: {key: str(Path(value).absolute()) if key == "model" else value for key, value in table.items()}
        for name, table in plan.parameters.items()
    }
    objects = tuple(replace(one, file=str(Path(one.file).absolute())) for one in plan.objects)
    return replace(plan, parameters=parameters, objects=objects)
