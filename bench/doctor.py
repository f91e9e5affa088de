"""How often does the doctor name the fault? Faults are planted in scenes that it was not made with.

    python bench/doctor.py --scenes DIR [--trials 200] [--seed 1]

DIR holds third-order files; files named like a build's (`<item>/href.w64` with coded versions beside it) are also
asked for false alarms: every other file of the folder is a faultless coded version. Prints the share of single
faults and of pairs that were named, and the false alarms, each with what went wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis.format_check.diagnose import Finding, diagnose
from analysis.format_check.planted_faults import FAULTS, plant_faults
from analysis.metrics.framing import array_reader
from render.fileio.audio_file import read_scene

LOSSY = ("la", "ma", "opus", "prop", "pca", "cov_noise")


def _found(reference: np.ndarray, test: np.ndarray, sample_rate_hz: int) -> list[Finding]:
    readers = array_reader(reference), array_reader(test)
    return diagnose(*readers, reference.shape[1], test.shape[1], sample_rate_hz)


def main() -> None:
    """Run the benchmark."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--scenes", type=Path, required=True)
    command.add_argument("--trials", type=int, default=200)
    command.add_argument("--seconds", type=float, default=4.0)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--coded", metavar="CONDITION", help="plant the faults in this coded version instead")
    given = command.parse_args()
    paths = sorted(path for suffix in ("w64", "wav") for path in given.scenes.rglob(f"*.{suffix}"))
    originals = [path for path in paths if path.stem == "href"] or paths
    rng = np.random.Generator(np.random.Philox(given.seed))
    for size, trials in ((1, given.trials), (2, given.trials // 2)):
        named = 0
        missed: Counter = Counter()
        for trial in range(trials):
            path = originals[trial % len(originals)]
            reference = read_scene(path)
            clean = read_scene(path.with_name(f"{given.coded}.w64")) if given.coded else reference
            frames = int(given.seconds * reference.sample_rate_hz)
            begin = int(rng.integers(0, max(reference.length - frames, 1)))
            cut = slice(begin, begin + frames)
            x, y = reference.samples[:, cut], clean.samples[:, cut]
            faults = list(rng.choice(list(FAULTS), size=size, replace=False))
            test, expected = plant_faults(y, faults, rng)
            found = diagnose(
                array_reader(x), array_reader(test), x.shape[1], test.shape[1], reference.sample_rate_hz
            )
            answer = {finding.fault for finding in found}
            if answer == expected:
                named += 1
            else:
                missed[f"{', '.join(sorted(expected))} -> {', '.join(f'{f.fault}: {f.what}' for f in found)}"] += 1
        print(f"{size} fault(s): {named} of {trials} named exactly ({100 * named / max(trials, 1):.1f} %)")
        for text, count in missed.most_common(40):
            print(f"   {count} x {text}")
    alarms = asked = 0
    for path in originals:
        for coded in sorted(path.parent.glob("*.w64")):
            if path.stem == "href" and coded.stem.startswith(LOSSY):
                x, y = read_scene(path), read_scene(coded)
                found = diagnose(
                    array_reader(x.samples), array_reader(y.samples), x.length, y.length, x.sample_rate_hz
                )
                asked += 1
                alarms += bool(found)
                for finding in found:
                    print(f"   alarm: {path.parent.name}, {coded.stem}: {finding}")
    if asked:
        print(f"false alarms: {alarms} of {asked} coded scenes ({100 * alarms / asked:.1f} %)")


if __name__ == "__main__":
    main()
