"""How a test is analysed: the settings, and the options by which commands accept them.

This module is imported before the options are parsed, so it loads neither numpy nor pandas. The names of presets
and conventions are therefore repeated here; the tests compare them with the functions that they select.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

from analysis.ratings.record import canonical
from render.common.errors import InputError

SCREENINGS = ("bs1534-3", "mpeg-strict", "none")
INTERVALS = ("paper", "listener", "crossed")
TESTS = ("t", "wilcoxon", "sign-flip", "crossed", "permutation")
CLAIMS = ("items", "material")
CORRECTIONS = ("holm", "hochberg", "none")


INTERVAL_OF_CLAIM = {"items": "listener", "material": "crossed"}
TEST_OF_CLAIM = {"items": "t", "material": "crossed"}
CLAIM_OF_INTERVAL = {"listener": "items", "crossed": "material"}
CLAIM_OF_TEST = {"t": "items", "wilcoxon": "items", "sign-flip": "items", "crossed": "material"}
"""What belongs together. The interval `paper` and the test `permutation` support neither claim."""


@dataclass(frozen=True)
class Settings:
    """How a test is analysed.

    Attributes
    ----------
    screening
        Preset of the post-screening, one of `SCREENINGS`.
    ci
        Convention of means and intervals, one of `INTERVALS`.
    draws
        Draws of the bootstrap intervals and permutation tests; 0 leaves both out.
    seed
        Seed of the draws.
    margin
        Points within which two conditions count as equivalent; None leaves the tests of equivalence out.
    leave_out
        Items that are not analysed, such as pages of training (BS.1534-3: their grades are discarded).
    claim
        What the quoted tests are to hold for, one of `CLAIMS`: other listeners and these items, or other items
        too.
    laboratory
        Column of the ratings that names the laboratories; None for ``laboratory``, if there is such a column.
    ordinal
        Whether the systems are compared by a model of ordered categories, too.
    """

    screening: str = "bs1534-3"
    ci: str = "listener"
    draws: int = 0
    seed: int = 1
    margin: float | None = None
    leave_out: tuple[str, ...] = ()
    claim: str = "items"
    laboratory: str | None = None
    ordinal: bool = False


DEFAULTS = Settings()


def add_options(command: argparse.ArgumentParser, files: str = "+") -> None:
    """Add the rating files (`files` is their ``nargs``) and every option that decides how they are analysed."""
    command.add_argument("results", nargs=files, type=Path, metavar="RESULTS", help="rating file(s) of one test")
    add_names(command)
    add_claim(command)
    command.add_argument("--ci", choices=INTERVALS,
                         help="95 %% intervals of the means: all ratings taken as independent (as often "
                         "published), listener means (default), listeners and items both random")  # fmt: skip
    command.add_argument("--screening", choices=SCREENINGS, help="post-screening (default: bs1534-3)")
    command.add_argument("--draws", type=int, metavar="N",
                         help="draws of bootstraps and permutations (10000 is usual; default: none)")  # fmt: skip
    command.add_argument("--seed", type=int, help="seed of the draws (default: 1)")
    command.add_argument("--margin", type=float, metavar="POINTS",
                         help="test whether pairs are equivalent, and a no worse than b, by POINTS")  # fmt: skip
    add_leave_out(command)
    command.add_argument("--only", nargs="+", action="extend", type=_column_and_value, default=[],
                         metavar="COLUMN=VALUE",
                         help="analyse only these ratings, as transducer=headphones or "
                         "attribute=timbral_quality; of several all must hold")  # fmt: skip
    command.add_argument("--ordinal", action="store_const", const=True,
                         help="compare the systems by a model of ordered categories too, which knows the ends of "
                         "the scale")  # fmt: skip
    command.add_argument(
        "--laboratory",
        type=canonical,
        metavar="COLUMN",
        help="column that names the laboratories (default: laboratory, if there is one)",
    )
    command.add_argument("--plan", type=Path, metavar="PLAN.json",
                         help="run this frozen plan (analysis.plan) and list every deviation from it")  # fmt: skip
    command.add_argument("--package", type=Path, metavar="DIR",
                         help="compare the sound files in DIR with the plan")  # fmt: skip


def _column_and_value(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (column and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE")
    return canonical(column), canonical(value)


def add_names(command: argparse.ArgumentParser) -> None:
    """Add the options by which the conditions of rating files are named; every reader of ratings has them."""
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    add_conditions(command)
    command.add_argument(
        "--reference", metavar="NAME", help="the hidden reference's name in the file, if not href"
    )
    command.add_argument("--low-anchor", metavar="NAME", help="the 3.5 kHz anchor's name, if not la")
    command.add_argument("--mid-anchor", metavar="NAME", help="the 7 kHz anchor's name, if not ma")


def add_conditions(command: argparse.ArgumentParser) -> None:
    """Add the option that tells which columns of a wide table are scores; every reader of ratings has it."""
    command.add_argument("--conditions", nargs="+", default=(), metavar="C",
                         help="columns of a wide table that are conditions (default: those that can be no "
                         "other; doubtful ones are refused)")  # fmt: skip


def add_claim(command: argparse.ArgumentParser) -> None:
    """Add the option that chooses intervals, tests and sentences which belong together."""
    command.add_argument("--claim", choices=CLAIMS,
                         help="what intervals and tests are to hold for: these items (default), or other material "
                         "of this kind too")  # fmt: skip


def add_leave_out(command: argparse.ArgumentParser) -> None:
    """Add the option that names the items that are not analysed."""
    command.add_argument("--leave-out", nargs="+", metavar="ITEM",
                         help="items that are rated but not analysed, such as pages of training")  # fmt: skip


def chosen_settings(arguments: argparse.Namespace, planned: Settings) -> Settings:
    """Return the settings that the command line gives; those that it does not give are `planned`.

    Raises
    ------
    InputError
        If a setting is out of its range.
    """
    given = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    if arguments.leave_out is not None:
        given["leave_out"] = tuple(canonical(item) for item in arguments.leave_out)
    given["claim"], given["ci"] = claim_and_interval(arguments.claim, arguments.ci, planned.claim, planned.ci)
    settings = Settings(**{n: getattr(planned, n) if value is None else value for n, value in given.items()})
    if not 0 <= settings.draws <= 1_000_000 or settings.seed < 0:
        raise InputError("--draws must be from 0 to 1000000 and --seed not negative")
    if settings.margin is not None and not 0 < settings.margin <= 100:
        raise InputError("--margin must be above 0 and at most 100 points")
    return settings


def claim_and_interval(claim: str | None, ci: str | None, planned_claim: str, planned_ci: str) -> tuple[str, str]:
    """Complete what the command line gives of claim and interval (None: nothing) to a pair that belongs together.

    Raises
    ------
    InputError
        If both are given and do not belong together.
    """
    of_ci = CLAIM_OF_INTERVAL.get(ci or "")
    if claim and of_ci and claim != of_ci:
        raise InputError(f"--ci {ci} is an interval for the claim {of_ci}, not for --claim {claim}; leave one out")
    chosen = claim or of_ci or planned_claim
    if ci is None:
        ci = planned_ci if chosen == planned_claim else INTERVAL_OF_CLAIM[chosen]
    return chosen, ci


def renamed_conditions(arguments: argparse.Namespace) -> dict[str, str]:
    """Return name in the rating files -> our id, for the reference and anchors that the command line names."""
    names = {arguments.reference: "href", arguments.low_anchor: "la", arguments.mid_anchor: "ma"}
    return {name: condition for name, condition in names.items() if name is not None}
