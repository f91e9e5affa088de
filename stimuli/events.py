"""Make scenes of single critical sounds with known truth: what a codec may smear, drown or misplace.

    python -m stimuli.events --seed 1 -o data/events

A talker, barks out of silence, ticks of a clock, steady tones, chords, a harmonic glide, a moving source and
applause, each as plane waves over low diffuse noise: in free field (talker_dry.wav) and in a synthetic room
(talker_room.wav). All of them are synthetic, the speech included. Third order, 44.1 kHz, 24 bit, W at -24 dBFS.
The record beside each (.wav.json) has its truth: onsets, frequencies, directions. The files depend on the seed.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.progress import progress


def main() -> None:
    """Command line."""
    command = parser(__doc__, "stimuli.events")
    command.add_argument("--seed", type=int, default=1, help="default 1")
    command.add_argument("--seconds", type=float, default=8.0, help="length of each scene, 2 to 60 (default 8)")
    command.add_argument("--events", metavar="NAMES", help="as bark,ticks (default: all)")
    command.add_argument("--places", default="dry,room", help="dry, room (default: both)")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--force", action="store_true", help="replace files that differ")
    given = command.parse_args()

    from stimuli.event_scenes.events import EVENTS
    from stimuli.event_scenes.scenes import write_event_scene

    names = given.events.split(",") if given.events else list(EVENTS)
    jobs = [(name, place) for name in names for place in given.places.split(",")]
    for name, place in progress(jobs, "make event", len(jobs)):
        write_event_scene(name, place, given.seed, given.seconds, given.output, given.force)
    print(f"{len(jobs)} synthetic event scenes of {given.seconds:g} s in {given.output}")


if __name__ == "__main__":
    run(main)
