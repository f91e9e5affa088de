"""Tell how many listeners a test needs, and what difference a number of listeners can detect.

    python -m analysis.power --margin 5 --items 8
    python -m analysis.power --pilot pilot.csv --key out/demo/key-7.1.4.json --pair prop opus3_160

The test is the comparison of two conditions. With --claim items (the default) it is the paired t test of the
listeners' mean differences, whose power depends on the standard deviation of these. This is taken from a pilot's
ratings, given with --sd, or taken from two published tests of codecs, whose systems have medians of 8.0 (4.7 to
13.0) and 10.9 (5.6 to 19.9) points. With --items it follows from variance components (the pilot's, else those of
a published test) for that number of items, sd^2 = 2 (listener:condition + residual / items). With --claim
material the items are random, too.

--comparisons counts the comparisons over which p will be adjusted: the power given is what each has even if no
other finds anything. --loss is the share of listeners that post-screening is expected to take; what is printed
then are listeners to be recruited. --items-per-listener plans that each listener rates only some of the items,
in balance.

With --margin the command also counts the listeners needed to show equivalence (two one-sided tests) and
non-inferiority within that margin, if the conditions are truly equal: a claim of transparency needs these tests,
not a difference that was not found. With --pilot, --pair and --margin they are also carried out on the ratings.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from analysis.study.options import CORRECTIONS, add_claim, add_names, renamed_conditions
from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.errors import InputError
from render.common.figure_style import add_look_options, chosen_look

LISTENERS = (6, 8, 10, 12, 16, 20, 30)
"""Numbers of listeners of the printed table."""


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.power")
    command.add_argument("--difference", type=float, default=10.0, metavar="POINTS", help="difference to be found")
    command.add_argument("--sd", type=float, help="standard deviation of the listeners' differences, in points")
    command.add_argument("--pilot", nargs="+", type=Path, metavar="RESULTS", help="ratings of a pilot")
    add_names(command)
    add_claim(command)
    command.add_argument("--pair", nargs=2, metavar=("A", "B"), help="take the pilot's pair A, B")
    command.add_argument("--margin", type=float, metavar="POINTS", help="margin of equivalence")
    command.add_argument("--items", type=int, metavar="N", help="number of items of the planned test")
    command.add_argument("--items-per-listener", type=int, metavar="N", help="items that each listener rates")
    command.add_argument("--comparisons", type=int, default=1, metavar="N", help="comparisons to be adjusted for")
    command.add_argument("--correction", choices=CORRECTIONS, default="holm")
    command.add_argument("--loss", type=float, default=0.0, metavar="PERCENT", help="listeners lost to screening")
    command.add_argument("--power", type=float, default=0.8)
    command.add_argument("--alpha", type=float, default=0.05)
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="draw the curve as power.pdf, .png, .svg"
    )
    command.add_argument("--force", action="store_true", help="replace figures that differ")
    add_look_options(command)
    arguments = command.parse_args()
    check(arguments)
    one_thread_for_linear_algebra()

    from analysis.ratings.conditions import looking_like_reference_or_anchor
    from analysis.ratings.table import read, read_key
    from analysis.reporting.power_figure import write_power_curves
    from analysis.statistics import power as statistics
    from analysis.study.claims import sentence
    from analysis.study.planning import margin_tests, planned_tests

    key = read_key(arguments.key) if arguments.key else None
    pilot = None
    if arguments.pilot:
        pilot = read(arguments.pilot, key, renamed_conditions(arguments), arguments.conditions)
        for note in (*pilot.notes, *looking_like_reference_or_anchor(pilot.table["condition"].unique())):
            print(f"note: {note}")
    claim, margin, difference = arguments.claim or "items", arguments.margin, arguments.difference
    power, lost = arguments.power, arguments.loss / 100
    alpha = statistics.alpha_of_one(arguments.alpha, arguments.comparisons, arguments.correction)
    tests = planned_tests(
        pilot, arguments.pair, arguments.items, arguments.items_per_listener, claim, arguments.sd
    )
    print(
        f"claim {claim}: a result {sentence(claim, arguments.items or 0)}" if arguments.items else f"claim {claim}"
    )
    if arguments.comparisons > 1:
        print(f"{arguments.comparisons} comparisons, {arguments.correction}: each at alpha {alpha:.3g}, "
              "the least that it is decided at")  # fmt: skip
    for test in tests:
        print(f"{test.described} ({test.origin}); power {power:g}, alpha {arguments.alpha:g}")
        claims = {f"find a difference of {difference:g}": ("difference_power", difference)}
        if margin:
            claims |= {
                f"show equivalence within {margin:g}": ("equivalence_power", margin),
                f"show non-inferiority within {margin:g}": ("non_inferiority_power", margin),
            }
        for what, (name, points) in claims.items():
            power_of = cache(
                lambda n, test=test, name=name, points=points: getattr(test.sampling(n), name)(points, alpha)
            )
            needed = statistics.listeners_needed(lambda n, f=power_of: statistics.after_loss(f, n, lost), power)
            more = f", to be recruited if {arguments.loss:g} % are lost" if lost else ""
            print(f"  {what + ' points:':<44}{needed or f'more than {statistics.MAX_LISTENERS}'} listeners{more}")
        print("  " + "listeners left".ljust(22) + "".join(f"{n:>7}" for n in LISTENERS))
        found = "".join(f"{statistics.detectable(test.sampling(n), power, alpha):>7.1f}" for n in LISTENERS)
        print("  " + "find a difference of".ljust(22) + found + "\n")
    if pilot and arguments.pair and margin:
        first, second = arguments.pair
        row, back = margin_tests(pilot, arguments.pair, margin, claim).itertuples()
        print(f"{first} - {second}: {row.difference:.2f} points, 95 % CI [{row.ci_low:.2f}, {row.ci_high:.2f}], "
              f"{row.n} listeners, no post-screening\n"
              f"  equivalent within {margin:g} points: p = {row.p_equivalent:.3g} (two one-sided tests)\n"
              f"  {first} no worse than {second} by {margin:g} points: p = {row.p_non_inferior:.3g}\n"
              f"  {second} no worse than {first} by {margin:g} points: p = {back.p_non_inferior:.3g}")  # fmt: skip
    if arguments.output:
        look = chosen_look(arguments)
        write_power_curves(tests, difference, power, alpha, arguments.output, look, arguments.force)
        print(f"wrote {arguments.output}/power.pdf, .png, .svg; the caption as .txt")


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that are out of range or contradict each other."""
    for name in ("difference", "sd", "margin"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value <= 100:
            raise InputError(f"--{name} must be above 0 and at most 100 points")
    if not 0 < arguments.alpha < arguments.power < 1:
        raise InputError("--alpha and --power must lie between 0 and 1, alpha below power")
    if arguments.items is not None and not 1 <= arguments.items <= 1000:
        raise InputError("--items must be from 1 to 1000")
    rated = arguments.items_per_listener
    if rated is not None and not (arguments.items and 1 <= rated <= arguments.items):
        raise InputError("--items-per-listener must be from 1 to the number that --items gives")
    if arguments.claim == "material" and (not arguments.items or arguments.items < 2):
        raise InputError(
            "--claim material takes the items as a sample; give their number (2 or more) with --items"
        )
    if not 1 <= arguments.comparisons <= 5000:
        raise InputError("--comparisons must be from 1 to 5000")
    if not 0 <= arguments.loss < 90:
        raise InputError("--loss must be from 0 to 90 %")
    if arguments.sd and (arguments.pilot or arguments.items):
        raise InputError("--sd gives what --pilot and --items compute; give either it or them")
    for name in ("conditions", "key", "reference", "low_anchor", "mid_anchor"):
        if getattr(arguments, name) and not arguments.pilot:
            raise InputError(f"--{name.replace('_', '-')} is about a pilot's ratings; give --pilot too")
    if arguments.pair and not arguments.pilot:
        raise InputError("--pair names conditions of a pilot; give --pilot too")


if __name__ == "__main__":
    run(main)
