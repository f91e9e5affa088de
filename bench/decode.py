"""Compare our decoding of a third-order file to a 7.1.4 file with other tools.

Input is a 16-channel WAV, output a 12-channel WAV, in 24 bits and in 32-bit float, and all tools apply the same
matrix. They run in turns, each writes a new file, and linear algebra has one thread, since idle ones of OpenBLAS
spin. Processor time (start-up included) and wall-clock time are compared; ratios are taken within a round. The
other tools are numpy with soundfile, ffmpeg's `pan` filter and the EBU's `ear-render`, the last two if they are
installed (--ear names the command of ear-render; it does not write float, so its 24-bit output is compared). The
peak memory of our decoder beyond that of its imports is measured as well, and with --old an older checkout.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from render.common.cli import parser
from render.fileio.adm_bw64 import export_adm
from render.fileio.audio_file import writer
from render.hoa.layout import layout
from render.loudspeakers.design import decoding_matrix

_NUMPY_AND_SOUNDFILE = """
import sys, numpy as np, soundfile
matrix = np.loadtxt(sys.argv[3]).T.astype(np.float32)
with soundfile.SoundFile(sys.argv[1]) as scene, soundfile.SoundFile(
    sys.argv[2], "w", scene.samplerate, matrix.shape[1], sys.argv[4]) as feed:
    for block in scene.blocks(65536, dtype="float32"):
        feed.write(block @ matrix)
"""
# VmHWM begins anew with the program, ru_maxrss with the process that started it
_PEAK_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from render.dsp.loudness import LoudnessMeter
from render.hoa.layout import layout
from render.loudspeakers.renderer import Decoding, decode_file
LoudnessMeter(layout("mono"), 48000).add(np.zeros((1, 1)))  # loads Numba
def peak_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak_kb()
decode_file(Path(sys.argv[1]), Path(sys.argv[2]), Decoding(layout("7.1.4")), force=True)
print((peak_kb() - before) / 1024)
"""


def main() -> None:
    """Write a scene of noise, run the tools alternately and print medians and ratios."""
    arguments = parser(__doc__, "bench.decode")
    arguments.add_argument("--seconds", type=int, default=240, help="length of the scene (default 240)")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--ear", default="ear-render", metavar="COMMAND", help="the EBU ADM Renderer's command")
    arguments.add_argument("--old", type=Path, metavar="FOLDER", help="an older checkout to compare with")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = _commands(folder, given.seconds, given.ear, given.old)
        used_s: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(given.rounds):
            for tool, command in commands.items():
                _fetch_memory(folder / "feed.wav", 4 * 12 * 48000 * given.seconds)
                used_s[tool].append(_seconds(command))
        peak = subprocess.run(
            [sys.executable, "-c", _PEAK_MEMORY, folder / "24.wav", folder / "feed.wav"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    load = os.getloadavg()[0]
    print(f"{given.seconds} s of 16 channels to 7.1.4, medians of {given.rounds} rounds, load {load:.1f}:")
    for tool, times in used_s.items():
        ours = "render.decode, float" if "float" in tool else "render.decode"
        cpu, clock = (statistics.median(kind) for kind in zip(*times, strict=True))
        print(f"  {tool:28s} {cpu:7.2f} s CPU {clock:7.2f} s  {_ratio(times, used_s[ours])} x {ours}")
    if "ear-render" in used_s:
        print(f"  ear-render over float: {_ratio(used_s['ear-render'], used_s['render.decode, float'])} x")
    print(f"  peak memory of render.decode with loudness above import: {float(peak):.1f} MB")


def _commands(folder: Path, seconds: int, ear: str, old: Path | None) -> dict[str, list[str]]:
    table, feed = folder / "matrix.txt", folder / "feed.wav"
    matrix = decoding_matrix(layout("7.1.4"), 3)
    np.savetxt(table, matrix)
    rows = ("".join(f"{gain:+.9f}*c{acn}" for acn, gain in enumerate(row)).lstrip("+") for row in matrix)
    pan = "pan=12 channels|" + "|".join(f"c{index}={row}" for index, row in enumerate(rows))
    commands = {}
    for kind, subtype in (("24", "PCM_24"), ("float", "FLOAT")):
        scene, mark = folder / f"{kind}.wav", ", float" if kind == "float" else ""
        random = np.random.default_rng(0)
        with writer(scene, 16, 48000, subtype) as file:
            for _ in range(seconds):
                file.write(0.05 * random.standard_normal((16, 48000), dtype=np.float32))
        ours = [sys.executable, "-m", "render.decode", scene, "--layout", "7.1.4", "-o", feed, "--force"]
        commands[f"render.decode{mark}"] = [*ours, "--subtype", subtype, "--no-loudness"]
        if old:
            in_old = ["env", "-C", old, f"PYTHONPATH={old.resolve()}"]
            commands[f"older render.decode{mark}"] = [*in_old, *commands[f"render.decode{mark}"]]
        if kind == "24":
            commands["render.decode with loudness"] = ours
            commands["render.decode, dual"] = [*ours, "--no-loudness", "--decoder", "dual"]
        peer = [sys.executable, "-c", _NUMPY_AND_SOUNDFILE, scene, feed, table, subtype]
        commands[f"numpy + soundfile{mark}"] = peer
        if shutil.which("ffmpeg"):
            quiet = ["ffmpeg", "-y", "-v", "error", "-i", scene]
            codec = "pcm_f32le" if kind == "float" else "pcm_s24le"
            commands[f"ffmpeg pan{mark}"] = [*quiet, "-filter:a", pan, "-c:a", codec, feed]
    if shutil.which(ear):
        export_adm(folder / "24.wav", folder / "adm.wav")
        commands["ear-render"] = [ear, "-s", "4+7+0", folder / "adm.wav", feed]
    for tool in ("ffmpeg", ear):
        if not shutil.which(tool):
            print(f"{tool} is not installed and is left out")
    return {tool: [str(part) for part in command] for tool, command in commands.items()}


def _fetch_memory(path: Path, size: int) -> None:
    """Write and remove a file as large as the feed that comes next.

    A virtual machine gives its host memory that is free for seconds, and gets it back page by page. The tool that
    writes first would pay for all.
    """
    block = bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // len(block)):
            file.write(block)
    path.unlink()


def _ratio(times: list[tuple[float, float]], ours: list[tuple[float, float]]) -> str:
    """Median and range of the ratios of processor time within the rounds."""
    ratios = [theirs[0] / own[0] for theirs, own in zip(times, ours, strict=True)]
    return f"{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _seconds(command: list[str]) -> tuple[float, float]:
    """Processor time and wall-clock time of a command, in seconds."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else Python compiles its programs anew in every round
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin


if __name__ == "__main__":
    main()
