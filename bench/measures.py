"""Compare the measures of two checkouts: python -m bench.measures OLD [REF TEST].

OLD is the folder of another checkout of this repository. Both measure the same test against the same reference in
turns, each time in a process of its own, on one thread. The table gives processor seconds per second of audio,
medians of the rounds, for aligning and for measuring one test together with its reference, and the ratio old / new
of each round with its range. The last line is the largest relative difference of a value between the two.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# runs in either checkout, so it uses only what both have
CHILD = """
import json, sys, time
import numpy as np
from pathlib import Path
from analysis.metrics import selftest
from analysis.metrics.alignment import align
from analysis.metrics.framing import array_reader
from analysis.metrics.registry import measure
from render.fileio.scene_file import read_scene
from render.hoa.scene import Scene

paths = sys.argv[1:]
if paths:
    reference, test = (read_scene(Path(path)) for path in paths)
else:
    reference = selftest.scene(10.0)
    low = np.fft.rfft(reference.samples)
    low[:, low.shape[1] // 3:] *= 1e-3
    test = Scene(np.fft.irfft(low, reference.length).astype(np.float32), reference.sample_rate_hz)
short = [Scene(of.samples[:, :20000], of.sample_rate_hz) for of in (reference, test)]
measure(*short)  # so that all is compiled and every filter designed
seconds = reference.length / reference.sample_rate_hz

def timed(function):
    begin = time.process_time()
    result = function()
    return result, (time.process_time() - begin) / seconds

found, used = {}, {}
readers = [array_reader(of.samples) for of in (reference, test)]
_, used["align"] = timed(lambda: align(*readers, reference.length, test.length))
found, used["measure"] = timed(lambda: measure(reference, test))
print(json.dumps([used, found]))
"""


def measured(checkout: Path, files: list[str]) -> tuple[dict[str, float], dict[str, float | None]]:
    """One round in a process of its own: processor seconds per second of each part, and all values."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", CHILD, *files]
    answer = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


def largest_difference(old: dict[str, float | None], new: dict[str, float | None]) -> tuple[float, str]:
    """Largest relative difference of a value, and its name; a value that only one of them has counts as 1."""
    differences = [(0.0, "")]
    for name in old.keys() | new.keys():
        a, b = ((math.nan if of.get(name) is None else of[name]) for of in (old, new))
        if math.isnan(a) or math.isnan(b):
            differences.append((float(math.isnan(a) != math.isnan(b)), name))
        else:
            differences.append((abs(a - b) / max(abs(a), 1e-3), name))
    return max(differences)


def main() -> None:
    """Measure in turns and print the table."""
    arguments = argparse.ArgumentParser("bench.measures", description=__doc__)
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("old", type=Path, metavar="OLD", help="folder of the other checkout")
    arguments.add_argument("files", nargs="*", metavar="REF TEST", help="default: 10 s of a synthetic scene")
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    if len(given.files) not in (0, 2):
        arguments.error("give REF and TEST, or neither")
    files = [str(Path(path).resolve()) for path in given.files]
    checkouts = {"old": given.old.resolve(), "new": ROOT}

    rounds, difference = [], (0.0, "")
    for number in range(given.rounds):
        print(f"round {number + 1}/{given.rounds}", file=sys.stderr, flush=True)
        both = {name: measured(checkout, files) for name, checkout in checkouts.items()}
        rounds.append({name: used for name, (used, _) in both.items()})
        difference = max(difference, largest_difference(both["old"][1], both["new"][1]))
    print(f"one thread, load {os.getloadavg()[0]:.1f}; processor seconds per second of audio")
    print(f"{'':10}{'old':>8}{'new':>8}{'old/new':>9}{'range':>16}")
    for part in rounds[0]["old"]:
        old, new = ([each[name][part] for each in rounds] for name in ("old", "new"))
        ratios = [a / b for a, b in zip(old, new, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(
            f"{part:10}{statistics.median(old):8.3f}{statistics.median(new):8.3f}{statistics.median(ratios):9.2f}{spread:>16}"
        )
    print(f"largest relative difference of a value: {difference[0]:.1e} ({difference[1]})")


if __name__ == "__main__":
    main()
