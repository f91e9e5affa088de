"""Options that every command shares that analyses a test."""

from __future__ import annotations

import argparse
from pathlib import Path

SCREENINGS = ("bs1534-3", "mpeg-strict", "none")
INTERVALS = ("paper", "listener", "crossed")
TESTS = ("t", "wilcoxon", "permutation")
CORRECTIONS = ("holm", "hochberg", "none")


def add_options(command: argparse.ArgumentParser, files: str = "+") -> None:
    """Add the rating files and every option that decides how they are analysed."""
    command.add_argument("results", nargs=files, type=Path, metavar="RESULTS", help="rating file(s) of one test")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--reference", metavar="NAME", help="the hidden reference's name in RESULTS, if not href")
    command.add_argument("--low-anchor", metavar="NAME", help="the 3.5 kHz anchor's name, if not la")
    command.add_argument("--mid-anchor", metavar="NAME", help="the 7 kHz anchor's name, if not ma")
    command.add_argument("--ci", choices=INTERVALS,
                         help="95 %% intervals of the means: all ratings taken as independent (as often "
                         "published), listener means (default), listeners and items both random")  # fmt: skip
    command.add_argument("--screening", choices=SCREENINGS, help="post-screening (default: bs1534-3)")
    command.add_argument("--draws", type=int, metavar="N",
                         help="draws of bootstraps and permutations (10000 is usual; default: none)")  # fmt: skip
    command.add_argument("--seed", type=int, help="seed of the draws (default: 1)")
    command.add_argument("--margin", type=float, metavar="POINTS",
                         help="test whether pairs are equivalent, and a no worse than b, by POINTS")  # fmt: skip
    command.add_argument("--plan", type=Path, metavar="PLAN.json",
                         help="run this frozen plan (analysis.plan) and list every deviation from it")  # fmt: skip
    command.add_argument("--package", type=Path, metavar="DIR", help="compare the sound files in DIR with it")
