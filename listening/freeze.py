"""Choose the excerpts of a test and freeze them in a plan file, before any codec is heard.

    python -m listening.freeze --plan demo --material data/prepared/seed-1 -o my-test.toml
    python -m listening.build --plan my-test.toml --material data/prepared/seed-1 -o out/my-test

`stimuli.excerpts.selection` states the criteria; what they measured is written beside each excerpt. A plan with
frozen excerpts builds from these recordings (by their SHA-256) and these samples alone.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


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

    from listening.test_design.excerpt_freezing import as_toml, freeze_excerpts, with_absolute_paths
    from listening.test_design.test_plan import load_plan
    from render.common.errors import InputError
    from render.common.files import whole_file

    if given.output.suffix != ".toml":
        raise InputError(f"{given.output}: the name of a plan ends in .toml")
    plan = with_absolute_paths(load_plan(given.plan))
    plan, remarks = freeze_excerpts(plan, given.material, max(1, given.workers or 1))
    with whole_file(given.output, given.force) as temporary:
        temporary.write_text(as_toml(plan, remarks), encoding="utf-8")
    for name, remark in remarks.items():
        print(f"{name:>16}  {remark}")
    print(f"{given.output}: {len(remarks)} excerpts frozen")


if __name__ == "__main__":
    run(main)
