"""Make every condition of every item of a listening test.

    python -m listening.build --plan demo --material data/prepared/seed-1 -o out/demo
    python -m listening.build --plan demo --input a.wav Tram=rec_0031.wav -o out/input

Writes scenes/<item>/<condition>.w64 (44.1 kHz float, the excerpt with fades), beside it what a codec would
transmit (.opus, .arvq, .pcao) and a record of each file, a contact sheet of each item, and manifest.json with
hashes, parameters, versions, the bit rates measured from the bytes and the measurements of the quality gate. A
stimulus without the properties that its condition promises stops the build. Files that exist and are up to date
are kept: the command can be interrupted and repeated.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Run ``python -m listening.build``."""
    command = parser(__doc__, "listening.build")
    command.add_argument("--plan", default="demo", help="name or path of a plan (default: demo)")
    source = command.add_mutually_exclusive_group()
    source.add_argument(
        "--material",
        type=Path,
        default=Path("data/prepared/seed-1"),
        metavar="DIR",
        help="folder of prepared recordings; items come from the held-out ones (default: data/prepared/seed-1)",
    )
    source.add_argument(
        "--input",
        nargs="+",
        metavar="[NAME=]FILE",
        help="your own files of any rate, third order or higher; each is an item called NAME, or after the file",
    )
    command.add_argument("--model", type=Path, metavar="M", help="model of prop (default: the shipped one)")
    command.add_argument(
        "--skip", action="append", default=[], metavar="ID", help="leave a condition out; opus: all that need it"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="usually out/<plan>")
    command.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    command.add_argument("--engine", metavar="E", help="local:N, inline, dask:ADDRESS or slurm[:PARTITION]")
    command.add_argument("--allow-commands", action="store_true", help="run the command lines in the plan")
    arguments = command.parse_args()

    from listening.stimulus_build import plan_builder
    from listening.stimulus_build.executors import parse_engine
    from listening.test_design.items import corpus_items, named_files
    from listening.test_design.test_plan import load_plan

    plan = plan_builder.without_conditions(load_plan(arguments.plan), arguments.skip)
    plan_builder.refuse_commands(plan, arguments.allow_commands)
    plan_builder.check_conditions(plan, arguments.model)
    engine = parse_engine(arguments.engine, arguments.workers, arguments.output)
    if arguments.input:
        items = plan_builder.prepare_input(named_files(arguments.input), arguments.output / "prepared", engine)
    else:
        items = corpus_items(arguments.material, plan.holdout)
        for sentence in plan_builder.training_overlaps(plan, arguments.model):
            print(f"warning: {sentence}", file=sys.stderr)
    manifest = plan_builder.build_plan(items, plan, arguments.output, arguments.model, engine)
    for line in plan_builder.rate_lines(manifest):
        print(line)
    print(f"{arguments.output / 'manifest.json'}: {len(items)} items x {len(plan.conditions)} conditions")


if __name__ == "__main__":
    run(main)
