"""Freeze the plan of a test's analysis before the first rating, so that the results can be held against it.

The plan fixes post-screening, confidence intervals, comparisons, test and correction, level, number of listeners,
conditions, items and the digest of every sound file. `analysis.mushra --plan` and `analysis.report --plan` run it
and list every deviation. The digest that is printed here belongs where others can see it (a registry, a mail): it
proves later that the plan is the one of that day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from analysis.study.options import CORRECTIONS, INTERVALS, SCREENINGS, TESTS
from render.common.cli import parser, run


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.plan")
    command.add_argument("--title", default="")
    command.add_argument("--listeners", type=int, required=True, metavar="N", help="how many will rate")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="take conditions and items from this key")
    command.add_argument("--conditions", nargs="+", default=[], metavar="C", help="as they stand in the ratings")
    command.add_argument("--items", nargs="+", default=[], metavar="I")
    command.add_argument(
        "--package", type=Path, metavar="DIR", help="record the digests of the sound files in DIR"
    )
    command.add_argument("--screening", choices=SCREENINGS, default="bs1534-3")
    command.add_argument("--ci", choices=INTERVALS, default="listener")
    command.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="compare A with B; may be repeated (default: every pair without anchors)",
    )
    command.add_argument("--test", choices=TESTS, default="t")
    command.add_argument("--correction", choices=CORRECTIONS, default="holm")
    command.add_argument("--alpha", type=float, default=0.05)
    command.add_argument("--margin", type=float, metavar="POINTS", help="margin of equivalence")
    command.add_argument("--draws", type=int, default=0, metavar="N", help="of bootstraps and permutations")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("-o", "--output", type=Path, default=Path("plan.json"), metavar="PLAN.json")
    command.add_argument("--force", action="store_true", help="replace a plan that differs")
    arguments = command.parse_args()

    from analysis.study.preregistration import Plan, check, digests, write_plan

    conditions, items = tuple(arguments.conditions), tuple(arguments.items)
    if arguments.key:
        from analysis.ratings.table import condition_order, read_key

        key = read_key(arguments.key)
        items = items or tuple(sorted(key))
        named = {condition for stimuli in key.values() for condition in stimuli.values()}
        conditions = conditions or tuple(condition_order(named))
    plan = check(Plan(
        arguments.title, datetime.now(UTC).isoformat(timespec="seconds"), arguments.listeners, conditions, items,
        arguments.screening, arguments.ci, tuple((a, b) for a, b in arguments.compare), arguments.test,
        arguments.correction, arguments.alpha, arguments.margin, arguments.draws, arguments.seed,
        digests(arguments.package) if arguments.package else {},
    ))  # fmt: skip
    digest = write_plan(arguments.output, plan, arguments.force)
    print(f"wrote {arguments.output}, frozen on {plan.frozen}\nsha256 {digest}")
    if not plan.stimuli:
        print("note: no --package, so the plan does not say what will be played")


if __name__ == "__main__":
    run(main)
