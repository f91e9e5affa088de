"""Choose the excerpts of a test and freeze them in a plan file, before any codec is heard.

    python -m listening.freeze --plan demo --material data/prepared/seed-1 -o my-test.toml
    python -m listening.build --plan my-test.toml --material data/prepared/seed-1 -o out/my-test

The criteria stand in `stimuli.excerpt`; what they measured stands beside each excerpt. A plan with frozen
excerpts builds from these recordings (by their SHA-256) and these samples alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run

if TYPE_CHECKING:
    from listening.plan import Plan


def frozen(plan: Plan, material: Path, workers: int) -> tuple[Plan, dict[str, str]]:
    """Plan with the excerpts of its held-out recordings, and for each item a line about the choice."""
    from dataclasses import replace

    from listening.items import corpus_items
    from listening.plan import FrozenExcerpt
    from render.artefact import sha256
    from render.engine import in_parallel
    from stimuli.excerpt import choose_window

    items = {item.id: item for item in corpus_items(material, plan.holdout)}
    jobs = {name: (item.path, plan.seconds) for name, item in items.items()}
    chosen = dict(progress(in_parallel(choose_window, jobs, workers, ("stimuli.excerpt",)), "choose", len(jobs)))
    excerpts, remarks = {}, {}
    for name, item in items.items():
        window = chosen[name]
        excerpts[name] = FrozenExcerpt(sha256(item.path), window.start, window.frames)
        score = "no choice" if window.score is None else f"criticality {window.score:+.2f}"
        lost = "" if window.anchor_loss is None else f", low anchor loses {window.anchor_loss:.1%} of the loudness"
        met = "" if window.conditions_met else ", hard conditions not met"
        remarks[name] = f"{item.path.name}, {item.material}: {score}{lost}{met}"
    return replace(plan, excerpts=excerpts), remarks


def as_toml(plan: Plan, remarks: dict[str, str]) -> str:
    """TOML text of a plan; `plan_from` reads it back."""
    from dataclasses import asdict

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


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "listening.freeze")
    arguments.add_argument("--plan", default="demo", help="name or path of a plan (default: demo)")
    arguments.add_argument("--material", type=Path, required=True, metavar="DIR", help="prepared recordings")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="PLAN.toml")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="recordings at the same time")
    arguments.add_argument("--force", action="store_true", help="replace a plan that differs")
    given = arguments.parse_args()

    from listening.plan import load_plan
    from render.artefact import whole_file
    from render.errors import InputError

    if given.output.suffix != ".toml":
        raise InputError(f"{given.output}: a plan's name ends in .toml")
    plan, remarks = frozen(_with_whole_paths(load_plan(given.plan)), given.material, max(1, given.workers or 1))
    with whole_file(given.output, given.force) as temporary:
        temporary.write_text(as_toml(plan, remarks), encoding="utf-8")
    for name, remark in remarks.items():
        print(f"{name:>16}  {remark}")
    print(f"{given.output}: {len(remarks)} excerpts frozen")


def _with_whole_paths(plan: Plan) -> Plan:
    """Plan whose files are named from the root: the frozen plan may lie in another folder."""
    from dataclasses import replace

    parameters = {
        name: {key: str(Path(value).absolute()) if key == "model" else value for key, value in table.items()}
        for name, table in plan.parameters.items()
    }
    objects = tuple(replace(one, file=str(Path(one.file).absolute())) for one in plan.objects)
    return replace(plan, parameters=parameters, objects=objects)


if __name__ == "__main__":
    run(main)
