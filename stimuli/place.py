"""Place dry clips in a room that was measured with a microphone array: speech and music for tests of a codec.

    python -m stimuli.place talk.flac trumpet.flac --turn 30 -60 --response room_3oa.wav -o scene.wav

Each clip is convolved with the Ambisonic room response (ACN/SN3D, one source), which is turned about the vertical
axis by the clip's angle, the room with it. All begin at once; the scene ends with the last reverberation. It has
the response's order and rate, as 32-bit float. The clips' levels stay as they are, however loud their sum: the
response is scaled to unit energy in W. Clips of several channels are averaged. A record beside the scene
(.wav.json) says what it was made of.
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
        help="angle of each clip, anticlockwise (default: all round)",
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="SCENE.wav")
    command.add_argument("--force", action="store_true", help="replace a file that differs")
    given = command.parse_args()
    turns_deg = given.turn or [360 * n / len(given.clips) for n in range(len(given.clips))]
    if len(turns_deg) != len(given.clips):
        raise InputError(f"--turn: {len(turns_deg)} angles for {len(given.clips)} clips")
    if not all(abs(turn) <= 360 for turn in turns_deg):
        raise InputError("--turn: angles are -360 to 360 degrees")
    from stimuli.auralisation.placement import place

    place(given.clips, turns_deg, given.response, given.output, given.force)
    print(f"{given.output}: {len(given.clips)} clips placed")


if __name__ == "__main__":
    run(main)
