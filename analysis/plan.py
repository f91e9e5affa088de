"""Freeze the plan of a test's analysis before the first rating, so that the results can be checked against it.

    python -m analysis.plan --key out/demo/key-7.1.4.json --listeners 12 -o out/plan.json

The plan fixes post-screening, confidence intervals, comparisons, test and correction, level, number of listeners,
conditions, items and the digest of every sound file. `analysis.mushra --plan` and `analysis.report --plan` run it
and list every deviation. Put the digest that is printed here where others can see it (a registry, an e-mail): it
proves later that the plan is the one of that day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from analysis.study.options import (
    CLAIM_OF_TEST,
    CORRECTIONS,
    INTERVAL_OF_CLAIM,
    INTERVALS,
    SCREENINGS,
    TEST_OF_CLAIM,
    TESTS,
    add_claim,
    add_leave_out,
    claim_and_interval,
)
from render.common.cli import parser, run
from render.common.errors import InputError, did_you_mean


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.plan")
    command.add_argument("--title", default="")
    command.add_argument("--listeners", type=int, required=True, metavar="N", help="how many will rate")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="take conditions and items from this key")
    command.add_argument("--conditions", nargs="+", default=[], metavar="C", help="as they stand in the ratings")
    command.add_argument("--items", nargs="+", default=[], metavar="I")
    add_leave_out(command)
    command.add_argument(
        "--package", type=Path, metavar="DIR", help="record the digests of the sound files in DIR"
    )
    command.add_argument("--screening", choices=SCREENINGS, default="bs1534-3")
    add_claim(command)
    command.add_argument("--ci", choices=INTERVALS, help="intervals of the means (default: the claim's)")
    command.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("A", "B"),
        help="compare A with B; may be repeated (default: every pair without anchors)",
    )
    command.add_argument(
        "--test", choices=TESTS, help="of the comparisons (default: t, crossed for --claim material)"
    )
    command.add_argument("--correction", choices=CORRECTIONS, default="holm")
    command.add_argument("--alpha", type=float, default=0.05)
    command.add_argument("--margin", type=float, metavar="POINTS", help="margin of equivalence")
    command.add_argument("--draws", type=int, default=0, metavar="N", help="of bootstraps and permutations")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("-o", "--output", type=Path, default=Path("plan.json"), metavar="PLAN.json")
    command.add_argument("--force", action="store_true", help="replace a plan that differs")
    arguments = command.parse_args()

    from analysis.ratings.conditions import condition_order
    from analysis.ratings.record import canonical
    from analysis.ratings.table import read_key
    from analysis.statistics.paired_tests import PERMUTATION_REMARK
    from analysis.study.preregistration import Plan, check, digests, orders_differ, write_plan

    given = CLAIM_OF_TEST.get(arguments.test)
    if arguments.claim and given and given != arguments.claim:
        raise InputError(f"--test {arguments.test} supports the claim {given}, not --claim {arguments.claim}")
    claim, ci = claim_and_interval(arguments.claim or given, arguments.ci, "items", INTERVAL_OF_CLAIM["items"])
    test = arguments.test or TEST_OF_CLAIM[claim]
    conditions, items, leave_out = (
        tuple(map(canonical, names))
        for names in (arguments.conditions, arguments.items, arguments.leave_out or ())
    )
    if arguments.key:
        key = read_key(arguments.key)
        if unknown := [item for item in leave_out if item not in key]:
            raise InputError(f"--leave-out {unknown[0]}: the key has no such item{did_you_mean(unknown[0], key)}")
        items = items or tuple(sorted(set(key) - set(leave_out)))
        named = {condition for stimuli in key.values() for condition in stimuli.values()}
        conditions = conditions or tuple(condition_order(named))
    plan = check(
        Plan(
            title=arguments.title,
            frozen=datetime.now(UTC).isoformat(timespec="seconds"),
            listeners=arguments.listeners,
            conditions=conditions,
            items=items,
            screening=arguments.screening,
            ci=ci,
            comparisons=tuple((canonical(a), canonical(b)) for a, b in arguments.compare),
            test=test,
            correction=arguments.correction,
            alpha=arguments.alpha,
            margin=arguments.margin,
            draws=arguments.draws,
            seed=arguments.seed,
            stimuli=digests(arguments.package) if arguments.package else {},
            leave_out=leave_out,
        )
    )
    digest = write_plan(arguments.output, plan, arguments.force)
    print(f"wrote {arguments.output}, frozen on {plan.frozen}\nsha256 {digest}")
    if arguments.package and (differ := orders_differ(plan.listeners, arguments.package)):
        print(f"note: {differ}; export again with --listeners {plan.listeners}")
    if plan.test == "permutation":
        print(f"note: {PERMUTATION_REMARK}")
    if not plan.stimuli:
        print("note: without --package the plan does not record what will be played")


if __name__ == "__main__":
    run(main)
