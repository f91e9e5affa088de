"""Synthesise scenes in EigenScape's format: eight classes, fourth order (25 channels), 48 kHz, 24 bit.

    python -m stimuli.synth --seed 1 --seconds 14 --recordings 8 -o data/synthetic/seed-1

The files depend on the seed alone. They are rendered through a model of the microphone that EigenScape was
recorded with, and named like EigenScape's (Beach.1.wav ... Woodland.8.wav); a record beside each (.wav.json) says
that it is synthetic and how it was made. Files that exist already are not made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.common.cli import parser, run
from render.common.progress import progress
from stimuli.eigenscape.corpus import CLASSES, recording_numbers


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "stimuli.synth")
    arguments.add_argument("--seed", type=int, default=0, help="one seed makes one corpus (default 0)")
    arguments.add_argument("--seconds", type=float, default=60.0, help="length of each file (default 60)")
    arguments.add_argument("--recordings", default="1-8", help="numbers, as 1,8 or 1-7 (default 1-8)")
    arguments.add_argument("--scenes", default=",".join(CLASSES), help="classes, as Beach,Park (default all)")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default all cores)")
    arguments.add_argument("--force", action="store_true", help="replace files that differ")
    arguments.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    options = arguments.parse_args()
    numbers = recording_numbers(options.recordings)
    # One thread per process: the processes share the cores, and sums keep their order
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    from render.common.parallel import in_parallel
    from stimuli.synthesis.synthesiser import SceneParameters, write_scene_file

    length = round(options.seconds * 48_000)
    scenes = [
        SceneParameters(scene_class, number, options.seed, length)
        for number in numbers
        for scene_class in options.scenes.split(",")
    ]
    for scene in scenes:
        scene.check()
    jobs = {scene: (scene, options.output, options.force) for scene in scenes}
    for _ in progress(in_parallel(write_scene_file, jobs, options.workers), "synthesise", len(jobs)):
        pass
    print(f"{len(scenes)} synthetic scenes of {options.seconds:g} s in {options.output}")


if __name__ == "__main__":
    run(main)
