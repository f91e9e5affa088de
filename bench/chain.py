"""Time the README's commands in a fresh clone, and check that help stays fast and memory bounded.

The table gives the wall-clock time of `make setup` and `make stimuli` (in a clone of this repository in a
temporary folder, with the package cache in its present state), the slowest `--help` of all commands, and the peak
memory of rendering and coding for a short file and one ten times as long.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from render.common.cli import parser
from render.fileio.audio_file import writer

ROOT = Path(__file__).parent.parent


def seconds(command: list[str], cwd: Path) -> float:
    """Wall-clock time of a command, which must succeed."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def peak_mib(command: list[str]) -> float:
    """Peak memory of a command, measured in a process of its own (Linux: ru_maxrss in KiB)."""
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    answer = subprocess.run([sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True)
    return float(answer.stdout)


def command_lines() -> list[str]:
    """Names of the modules that are commands."""
    packages = ("analysis", "codec", "listening", "render", "stimuli")
    files = [path for package in packages for path in sorted((ROOT / package).glob("*.py"))]
    return [
        f"{p.parent.name}.{p.stem}" for p in files if re.search(r"^    run\(main\)", p.read_text(), re.MULTILINE)
    ]


def noise(path: Path, duration_s: int) -> Path:
    """Write third-order noise at 44.1 kHz and return its path."""
    random = np.random.default_rng(0)
    with writer(path, 16, 44_100, "PCM_16") as file:
        for _ in range(duration_s):
            file.write(0.05 * random.standard_normal((16, 44_100), dtype=np.float32))
    return path


def main() -> None:
    """Run all measurements and print a table."""
    arguments = parser(__doc__, "bench.chain")
    arguments.add_argument("--no-clone", action="store_true", help="only help and memory")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        if not given.no_clone:
            clone = temporary / "clone"
            subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
            for target in ("setup", "stimuli"):
                print(f"make {target:<10} {seconds(['make', target], clone):7.1f} s", flush=True)
        helps = {name: seconds([sys.executable, "-m", name, "--help"], ROOT) for name in command_lines()}
        slowest = max(helps, key=helps.__getitem__)
        print(f"--help          {helps[slowest]:7.2f} s  (slowest of {len(helps)}: {slowest})", flush=True)
        for duration_s in (10, 100):
            scene, coded = noise(temporary / f"{duration_s}.wav", duration_s), temporary / f"{duration_s}.arvq"
            verbs = {
                "render.decode": [
                    "render.decode",
                    str(scene),
                    "--layout",
                    "7.1.4",
                    "-o",
                    str(scene) + ".feed.wav",
                ],
                "codec.encode": ["codec.encode", str(scene), "-o", str(coded)],
                "codec.decode": ["codec.decode", str(coded), "-o", str(coded) + ".wav"],
            }
            for name, verb in verbs.items():
                print(
                    f"{name:<15} {peak_mib([sys.executable, '-m', *verb]):7.0f} MiB for {duration_s} s", flush=True
                )
    print(f"this process    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


if __name__ == "__main__":
    main()
