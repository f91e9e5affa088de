"""Count by simulation how often each 95 % interval holds the value that it is meant to hold.

    python -m analysis.coverage --trials 200
    python -m analysis.coverage --tests --design planned --trials 200

Each trial draws listeners, items and noise with the variance components of a published test and asks whether
the interval of one condition's mean holds the true value: the mean over the population of listeners for these
items (items fixed), and for all items of their kind (items random). A convention is honest for a target if
its coverage is near 95 %. Percentile bootstraps are known to be too narrow for few listeners.

With --tests the command counts how often every quoted test rejects at 5 % where conditions are truly alike: over
these items, and over all items of their kind. A test keeps its level if that is near 5 % for its claim. With
--difference the first condition is that much better than the others, and what is counted is the power.
"""

from __future__ import annotations

import argparse

from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.errors import InputError

DESIGNS = ("complete", "gaps", "planned", "item-sets", "unequal")
"""Names of the designs of `analysis.study.error_rates`, which is imported later."""


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.coverage")
    command.add_argument("--listeners", type=int, default=8)
    command.add_argument("--items", type=int, default=8)
    command.add_argument("--tests", action="store_true", help="count the errors of the tests instead")
    command.add_argument("--conditions", type=int, default=5, help="conditions of the tests (2 to 12)")
    command.add_argument(
        "--design", choices=DESIGNS, default="complete", help="which cells are rated, for --tests"
    )
    command.add_argument("--difference", type=float, default=0.0, metavar="POINTS",
                         help="true difference of the first condition, for --tests")  # fmt: skip
    command.add_argument("--trials", type=int, default=2000)
    command.add_argument("--draws", type=int, default=400, help="bootstrap draws of each trial; 0 leaves them out")
    command.add_argument("--seed", type=int, default=1)
    arguments = command.parse_args()
    if min(arguments.listeners, arguments.items, arguments.trials) < 2 or min(arguments.draws, arguments.seed) < 0:
        raise InputError("--listeners, --items and --trials must be at least 2, --draws and --seed not negative")

    if not 2 <= arguments.conditions <= 12:
        raise InputError("--conditions must be from 2 to 12")
    if not -100 <= arguments.difference <= 100:
        raise InputError("--difference must be from -100 to 100 points")

    one_thread_for_linear_algebra()
    if arguments.tests:
        count_errors(arguments)
    else:
        count_coverage(arguments)


def count_errors(arguments: argparse.Namespace) -> None:
    """Print the shares of true hypotheses that the tests reject."""
    from analysis.study.error_rates import DESIGNS, error_rates
    from analysis.study.simulation import VARIANCES

    shape, difference = (arguments.listeners, arguments.items, arguments.conditions), arguments.difference
    found = error_rates(
        arguments.design, shape, arguments.trials, arguments.draws, arguments.seed, VARIANCES, difference
    )
    share = 0.5 if difference else 0.05
    error = 100 * (share * (1 - share) / arguments.trials) ** 0.5
    true = (
        f"the first condition is {difference:g} points better: power" if difference else "the hypothesis is true"
    )
    print(
        f"SIMULATED: {arguments.trials} tests of {shape[0]} listeners x {shape[1]} items x {shape[2]} conditions"
    )
    print(f"{arguments.design}: {DESIGNS[arguments.design]}")
    print(f"seed {arguments.seed}; rejections in % where {true} (standard error up to {error:.1f})\n")
    print(f"{'test at 5 %':<44}{'these items':>12}{'such material':>15}  quoted for")
    for name, claim, fixed, at_random in found.dropna().itertuples(index=False):
        print(f"{name:<44}{100 * fixed:>12.1f}{100 * at_random:>15.1f}  {claim}")


def count_coverage(arguments: argparse.Namespace) -> None:
    """Print the coverage of the intervals."""
    from analysis.study.interval_coverage import TARGETS, coverage
    from analysis.study.simulation import VARIANCES

    found = coverage(
        arguments.listeners, arguments.items, arguments.trials, arguments.draws, arguments.seed, VARIANCES
    )
    error = 100 * (0.95 * 0.05 / arguments.trials) ** 0.5
    print(f"SIMULATED: {arguments.trials} tests of {arguments.listeners} listeners x {arguments.items} items")
    print(f"seed {arguments.seed}; coverage in % (standard error {error:.1f})\n")
    print(f"{'95 % interval':<32}{'items fixed':>12}{'items random':>14}{'half-width':>12}  claims")
    for name, (fixed, at_random, half) in found.items():
        print(f"{name:<32}{100 * fixed:>12.1f}{100 * at_random:>14.1f}{half:>12.1f}  {TARGETS[name]}")


if __name__ == "__main__":
    run(main)
