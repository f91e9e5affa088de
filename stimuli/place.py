"""Place dry clips in a room measured with a microphone array: speech and music to test a codec with.

    python -m stimuli.place talk.flac trumpet.flac --turn 30 -60 --response room_3oa.wav -o scene.wav

Each clip is convolved with the Ambisonic room response (ACN/SN3D, one source), which is rotated about the vertical
axis by the clip's angle, room included. All clips start together, and the scene ends when the last reverberation
has ended. It has the order and rate of the response, as 32-bit float. The levels of the clips are kept, however
loud their sum is: the response is scaled to unit energy in W. The channels of a clip are averaged. A record beside
the scene (.wav.json) lists what it was made from.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    command = parser(__doc__, "stimuli.place")
    command.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="dry sounds, any rate")
    command.add_argument("--response", type=Path, required=True, metavar="RIR", help="Ambisonic room response")
    command.add_argument(
        "--turn",
        type=float,
        nargs="+",
        metavar="DEG",
        help="angle of each clip, anticlockwise (default: spread evenly over the circle)",
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="SCENE.wav")
    command.add_argument("--force", action="store_true", help="replace a file that differs")
    given = command.parse_args()
    azimuths_deg = given.turn or [360 * n / len(given.clips) for n in range(len(given.clips))]
    if len(azimuths_deg) != len(given.clips):
        raise InputError(f"--turn: {len(azimuths_deg)} angles for {len(given.clips)} clips")
    if not all(abs(azimuth) <= 360 for azimuth in azimuths_deg):
        raise InputError("--turn: angles are -360 to 360 degrees")
    from stimuli.auralisation.placement import place

    place(given.clips, azimuths_deg, given.response, given.output, given.force)
    print(f"{given.output}: {len(given.clips)} clips placed")


if __name__ == "__main__":
    run(main)
