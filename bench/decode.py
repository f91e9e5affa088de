"""Time our decoding of a third-order file to a 7.1.4 file against what one would otherwise use.

24-bit 16-channel WAV in, 24-bit 12-channel WAV out, the same matrix; the tools run in turns and the
processor seconds of each process (start-up included) are compared. Peers: numpy with soundfile, ffmpeg's
`pan` filter and the EBU's `ear-render`, the last two where they are installed.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from render.audio_file import writer
from render.command import parser
from render.decoder import decoding_matrix
from render.layout import layout

_NUMPY_AND_SOUNDFILE = """
import sys, numpy as np, soundfile
matrix = np.loadtxt(sys.argv[3]).T.astype(np.float32)
with soundfile.SoundFile(sys.argv[1]) as scene, soundfile.SoundFile(
    sys.argv[2], "w", scene.samplerate, matrix.shape[1], "PCM_24") as feed:
    for block in scene.blocks(65536, dtype="float32"):
        feed.write(block @ matrix)
"""


def main() -> None:
    """Write a scene of noise, run the tools in turns and print medians and ratios."""
    arguments = parser(__doc__, "bench.decode")
    arguments.add_argument("--seconds", type=int, default=240, help="length of the scene (default 240)")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder), given.seconds)
        used_s: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.rounds):
            for name, command in commands.items():
                used_s[name].append(_cpu_s(command))
    median_s = {name: statistics.median(times) for name, times in used_s.items()}
    ours_s = median_s["render.decode"]
    print(f"{given.seconds} s of 16 channels to 7.1.4, 24 bits, median of {given.rounds}:")
    for name, seconds in median_s.items():
        print(f"  {name:40s} {seconds:7.2f} s CPU   {seconds / ours_s:5.2f} x render.decode")


def _commands(folder: Path, seconds: int) -> dict[str, list[str]]:
    scene, feed, table = folder / "scene.wav", folder / "feed.wav", folder / "matrix.txt"
    random = np.random.default_rng(0)
    with writer(scene, 16, 48000, "PCM_24") as file:
        for _ in range(seconds):
            file.write(0.05 * random.standard_normal((16, 48000), dtype=np.float32))
    matrix = decoding_matrix(layout("7.1.4"), 3)
    np.savetxt(table, matrix)
    ours = [sys.executable, "-m", "render.decode", scene, "--layout", "7.1.4", "-o", feed, "--force"]
    commands = {
        "render.decode": [*ours, "--no-loudness"],
        "render.decode with loudness": ours,
        "numpy + soundfile": [sys.executable, "-c", _NUMPY_AND_SOUNDFILE, scene, feed, table],
    }
    if shutil.which("ffmpeg"):
        rows = ("+".join(f"{gain:.9f}*c{acn}" for acn, gain in enumerate(row)) for row in matrix)
        pan = "pan=12c|" + "|".join(f"c{index}={row}" for index, row in enumerate(rows))
        quiet = ["ffmpeg", "-y", "-v", "error", "-i", scene]
        commands["ffmpeg pan"] = [*quiet, "-filter:a", pan, "-c:a", "pcm_s24le", feed]
    else:
        print("ffmpeg is not installed: left out")
    return {name: [str(part) for part in command] for name, command in commands.items()}


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
