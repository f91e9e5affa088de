"""Tell how many listeners a test needs, and what difference a number of listeners can detect.

The test is the paired comparison of two conditions on the listeners' means over the items (two-sided t test). Its
power depends on the standard deviation, over listeners, of the difference of their means. This is taken from a
pilot's ratings, given with --sd, or taken from two published tests of codecs, whose systems have medians of 8.0
(4.7 to 13.0) and 10.9 (5.6 to 19.9) points. With --items it follows from variance components (the pilot's, else
those of a published test) for that number of items, sd^2 = 2 (listener:condition + residual / items).

With --margin the command also counts the listeners needed to show equivalence (two one-sided tests) and
non-inferiority within that margin, if the conditions are truly equal: a claim of transparency needs these tests,
not a difference that was not found. With --pilot, --pair and --margin they are also carried out on the ratings.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from analysis.study.options import add_conditions
from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.errors import InputError

LISTENERS = (6, 8, 10, 12, 16, 20, 30)
"""Numbers of listeners of the printed table."""


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.power")
    command.add_argument("--difference", type=float, default=10.0, metavar="POINTS", help="difference to be found")
    command.add_argument("--sd", type=float, help="standard deviation of the listeners' differences, in points")
    command.add_argument("--pilot", nargs="+", type=Path, metavar="RESULTS", help="ratings of a pilot")
    add_conditions(command)
    command.add_argument("--pair", nargs=2, metavar=("A", "B"), help="take the pilot's pair A, B")
    command.add_argument("--margin", type=float, metavar="POINTS", help="margin of equivalence")
    command.add_argument("--items", type=int, metavar="N", help="number of items of the planned test")
    command.add_argument("--power", type=float, default=0.8)
    command.add_argument("--alpha", type=float, default=0.05)
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="draw the curve as power.pdf, .png, .svg"
    )
    command.add_argument("--force", action="store_true", help="replace figures that differ")
    arguments = command.parse_args()
    check(arguments)
    one_thread_for_linear_algebra()

    from analysis.ratings.table import read
    from analysis.reporting.power_figure import write_power_curves
    from analysis.statistics import power as statistics
    from analysis.study.planning import difference_sds, margin_tests

    pilot = read(arguments.pilot, conditions=arguments.conditions) if arguments.pilot else None
    for note in pilot.notes if pilot else ():
        print(f"note: {note}")
    sds = {"given": arguments.sd} if arguments.sd else difference_sds(pilot, arguments.pair, arguments.items)
    margin, difference = arguments.margin, arguments.difference
    power, alpha = arguments.power, arguments.alpha
    for origin, sd in sds.items():
        print(f"standard deviation of the listeners' differences {sd:.1f} points ({origin}); "
              f"power {power:g}, alpha {alpha:g}")  # fmt: skip
        claims = {f"find a difference of {difference:g}": partial(statistics.t_power, difference=difference)}
        if margin:
            claims |= {
                f"show equivalence within {margin:g}": partial(statistics.equivalence_power, margin=margin),
                f"show non-inferiority within {margin:g}": partial(
                    statistics.non_inferiority_power, margin=margin
                ),
            }
        for claim, power_of in claims.items():
            needed = statistics.listeners_needed(partial(power_of, sd=sd, alpha=alpha), power)
            print(f"  {claim + ' points:':<44}{needed or f'more than {statistics.MAX_LISTENERS}'} listeners")
        print("  " + "listeners".ljust(22) + "".join(f"{n:>7}" for n in LISTENERS))
        found = "".join(f"{statistics.detectable(n, sd, power, alpha):>7.1f}" for n in LISTENERS)
        print("  " + "find a difference of".ljust(22) + found + "\n")
    if pilot and arguments.pair and margin:
        first, second = arguments.pair
        row, back = margin_tests(pilot, arguments.pair, margin).itertuples()
        print(f"{first} - {second}: {row.difference:.2f} points, 95 % CI [{row.ci_low:.2f}, {row.ci_high:.2f}], "
              f"{row.n} listeners, no post-screening\n"
              f"  equivalent within {margin:g} points: p = {row.p_equivalent:.3g} (two one-sided t tests)\n"
              f"  {first} no worse than {second} by {margin:g} points: p = {row.p_non_inferior:.3g}\n"
              f"  {second} no worse than {first} by {margin:g} points: p = {back.p_non_inferior:.3g}")  # fmt: skip
    if arguments.output:
        write_power_curves(sds, difference, power, alpha, arguments.output, arguments.force)
        print(f"wrote {arguments.output}/power.pdf, .png, .svg")


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
    if arguments.sd and (arguments.pilot or arguments.items):
        raise InputError("--sd gives what --pilot and --items compute; give either it or them")
    if arguments.conditions and not arguments.pilot:
        raise InputError("--conditions names columns of a pilot's table; give --pilot too")
    if arguments.pair and not arguments.pilot:
        raise InputError("--pair names conditions of a pilot; give --pilot too")


if __name__ == "__main__":
    run(main)
