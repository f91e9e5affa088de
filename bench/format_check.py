"""Count how often `analysis.objective --doctor` identifies faults that are planted in scenes.

    python bench/format_check.py [--scenes DIR] [--trials 200] [--seed 1]

DIR holds third-order files, such as the scenes of a build (default out/demo/scenes). Single faults and pairs of
faults are planted in random excerpts, and those that are identified exactly are counted. In the scenes of a build
(`<item>/href.w64` with coded versions beside it), all faults that are found in the coded versions are counted as
false alarms, because these have none. Every miss and every false alarm is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis.format_check.diagnose import diagnose
from analysis.format_check.planted_faults import FAULTS, plant_faults
from analysis.metrics.framing import array_reader
from render.fileio.scene_file import read_scene

LOSSY = ("la", "ma", "opus", "prop", "pca", "cov_noise")


def main() -> None:
    """Run the benchmark."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--scenes", type=Path, default=Path("out/demo/scenes"), help="default: out/demo/scenes")
    command.add_argument("--trials", type=int, default=200)
    command.add_argument("--seconds", type=float, default=4.0)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--coded", metavar="CONDITION", help="plant the faults in this coded version instead")
    given = command.parse_args()
    paths = sorted(path for suffix in ("w64", "wav") for path in given.scenes.rglob(f"*.{suffix}"))
    originals = [path for path in paths if path.stem == "href"] or paths
    rng = np.random.Generator(np.random.Philox(given.seed))
    for size, trials in ((1, given.trials), (2, given.trials // 2)):
        identified = 0
        missed: Counter = Counter()
        for trial in range(trials):
            path = originals[trial % len(originals)]
            reference = read_scene(path)
            clean = read_scene(path.with_name(f"{given.coded}.w64")) if given.coded else reference
            length = int(given.seconds * reference.sample_rate_hz)
            begin = int(rng.integers(0, max(reference.length - length, 1)))
            cut = slice(begin, begin + length)
            x, y = reference.samples[:, cut], clean.samples[:, cut]
            faults = list(rng.choice(list(FAULTS), size=size, replace=False))
            test, expected = plant_faults(y, faults, rng)
            found = diagnose(
                array_reader(x), array_reader(test), x.shape[1], test.shape[1], reference.sample_rate_hz
            )
            answer = {finding.fault for finding in found}
            if answer == expected:
                identified += 1
            else:
                findings = ", ".join(f"{finding.fault}: {finding.what}" for finding in found)
                missed[f"{', '.join(sorted(expected))} -> {findings}"] += 1
        share = identified / max(trials, 1)
        print(f"{size} fault(s): {identified} of {trials} identified exactly ({share:.1%})")
        for text, count in missed.most_common(40):
            print(f"   {count} x {text}")
    alarms = examined = 0
    for path in originals:
        for coded in sorted(path.parent.glob("*.w64")):
            if path.stem == "href" and coded.stem.startswith(LOSSY):
                x, y = read_scene(path), read_scene(coded)
                found = diagnose(
                    array_reader(x.samples), array_reader(y.samples), x.length, y.length, x.sample_rate_hz
                )
                examined += 1
                alarms += bool(found)
                for finding in found:
                    print(f"   alarm: {path.parent.name}, {coded.stem}: {finding}")
    if examined:
        print(f"false alarms: {alarms} of {examined} coded scenes ({alarms / examined:.1%})")


if __name__ == "__main__":
    main()
