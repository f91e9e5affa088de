"""Scatter dry clips at random in a measured room: training scenes of sounds that no synthesis provides.

    python -m stimuli.scatter clips/*.flac --response room_3oa.wav --seed 1 --recordings 1-7 -o data/scattered/1

Every scene takes three of the clips, repeats each from a random moment on at a random level, and convolves it with
the Ambisonic room response (ACN/SN3D), rotated about the vertical axis by a random angle. The response is damped
to a reverberation time drawn from 0.4, 0.8 and 1.5 s if its own is longer, or left as it is. The scenes have the
order and rate of the response, 24 bit, W at -24 dBFS, and depend on clips, response and seed alone. They are named
like EigenScape's (Beach.1.wav ... Woodland.8.wav), so that they can be split into training and held-out parts; the
names do not describe the content. A record beside each (.wav.json) lists what it was made from.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.progress import progress
from stimuli.eigenscape.corpus import CLASSES, recording_numbers

MAX_SCENE_S = 60.0


def main() -> None:
    """Command line."""
    command = parser(__doc__, "stimuli.scatter")
    command.add_argument(
        "clips", type=Path, nargs="+", metavar="CLIP", help="dry sounds, any rate; at least three"
    )
    command.add_argument("--response", type=Path, required=True, metavar="RIR", help="Ambisonic room response")
    command.add_argument("--seed", type=int, default=0, help="default 0")
    command.add_argument("--seconds", type=float, default=12.0, help="length of each scene, 1 to 60 (default 12)")
    command.add_argument("--recordings", default="1-7", help="numbers, as 1,8 or 1-7 (default 1-7)")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--force", action="store_true", help="replace files that differ")
    given = command.parse_args()
    numbers = recording_numbers(given.recordings)
    from stimuli.auralisation.scattering import CLIPS_PER_SCENE, scatter

    if len(given.clips) < CLIPS_PER_SCENE:
        raise InputError(f"{len(given.clips)} clips; a scene takes {CLIPS_PER_SCENE}")
    if given.seed < 0:
        raise InputError(f"seed {given.seed}; a seed is 0 or more")
    if not 1 <= given.seconds <= MAX_SCENE_S:
        raise InputError(f"--seconds {given.seconds:g}; possible are 1 to {MAX_SCENE_S:g}")
    names = [(scene_class, number) for number in numbers for scene_class in CLASSES]
    for scene_class, number in progress(names, "scatter", len(names)):
        scatter(
            given.clips, given.response, given.output, given.seed, scene_class, number, given.seconds, given.force
        )
    print(f"{len(names)} scenes of {given.seconds:g} s in {given.output}")


if __name__ == "__main__":
    run(main)
