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

from pathlib import Path

from render.common.cli import parser, run


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

    from listening.stimulus_build.executors import engine
    from listening.stimulus_build.test_builder import (
        build,
        refuse_commands,
        warn_of_training_material,
        without,
    )
    from listening.test_design.items import corpus_items, input_items
    from listening.test_design.test_plan import load_plan

    plan = without(load_plan(given.plan), given.skip)
    refuse_commands(plan, given.allow_commands)
    where = engine(given.engine, given.workers, given.output)
    if given.input:
        items = input_items(given.input, given.output / "prepared", where)
    else:
        items = corpus_items(given.material, plan.holdout)
        warn_of_training_material(plan, given.model)
    build(items, plan, given.output, given.model, where)
    print(f"{given.output / 'manifest.json'}: {len(items)} items x {len(plan.conditions)} conditions")


if __name__ == "__main__":
    run(main)
