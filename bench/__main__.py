"""Compare this repository with its peers, in turns, and print one table: python -m bench [--rounds 3].

Each measurement runs in a process of its own. In every round all subjects run one after the other, and the ratios
are taken within a round, so that other programs on the machine disturb them less than the times. Processor time is
that of all threads; the network runs on one thread unless `--threads` says more. The peers are installed apart, in
.venv.peers; those that cannot be installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from bench.peers import installed

ROOT = Path(__file__).parent.parent
NETWORK = {
    "ours": None,
    "ours-onednn": None,
    "stock": "stock",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
NAMES = {
    "ours": "this repository",
    "ours-onednn": "this repository, oneDNN",
    "stock": "descript-audio-codec 1.0.0",
    "onnxruntime": "ONNX Runtime 1.32",
    "openvino": "OpenVINO 2026.4, float32",
    "openvino-bf16": "OpenVINO 2026.4, bfloat16",
}


def processor() -> str:
    """Name of the processor, its cores, and the vectors that it has."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    flags = {"avx512f": "AVX-512", "avx512_bf16": "bfloat16", "avx2": "AVX2", "asimd": "NEON"}
    vectors = [title for flag, title in flags.items() if re.search(rf"\b{flag}\b", text)]
    return f"{name[1] if name else platform.processor()}, {os.cpu_count()} cores, {', '.join(vectors)}"


def run(command: list[str], programs: str = "") -> str | None:
    """Standard output of a command; None if it fails, which is said. The folder `programs` comes first in PATH."""
    path = os.pathsep.join(filter(None, (programs, os.environ.get("PATH"))))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(f"{command[2:4]} failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}", file=sys.stderr)
        return None
    return done.stdout


def measured(subject: str, folder: Path | None, given: argparse.Namespace) -> dict | None:
    """One measurement of `bench.network`."""
    words = [sys.executable, "-m", "bench.network", subject, "--seconds", str(given.seconds)]
    words += ["--threads", str(given.threads), *(["--peer", str(folder)] if folder else [])]
    answer = run(words)
    return json.loads(answer.splitlines()[-1]) if answer else None


def network_table(given: argparse.Namespace) -> list[str]:
    """Rows of the table of the paper's network."""
    subjects = dict(NETWORK) | ({"openvino-bf16": "openvino"} if given.bf16 else {})
    folders = {name: installed(peer) if peer else None for name, peer in subjects.items()}
    subjects = {name: peer for name, peer in subjects.items() if peer is None or folders[name]}
    rounds = []
    for number in range(given.rounds):
        found = {}
        for name in subjects:
            print(f"round {number + 1}/{given.rounds}: {name}", file=sys.stderr, flush=True)
            found[name] = measured(name, folders[name], given)
        rounds.append(found)
    lines = [
        "| network of the paper's size | encode | others / ours | decode | others / ours | memory, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in subjects:
        both = [(each[name], each["ours"]) for each in rounds if each[name] and each["ours"]]
        if not both:
            continue
        cells = []
        for verb in ("encode", "decode"):
            ratios = [theirs[verb][0] / ours[verb][0] for theirs, ours in both]
            times = [statistics.median(theirs[verb][kind] for theirs, _ in both) for kind in range(2)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            cells += [f"{times[0]:.2f} ({times[1]:.2f})", "1" if name == "ours" else spread]
        memory = statistics.median(theirs["memory MB"] for theirs, _ in both)
        lines.append(f"| {NAMES[name]} | {' | '.join(cells)} | {memory:.0f} |")
    return lines


def decoding_table() -> list[str]:
    """Rows of the table of decoding to loudspeakers, with ffmpeg and the EBU ADM Renderer where they are."""
    ear, ffmpeg = installed("ear-render"), installed("ffmpeg")
    with tempfile.TemporaryDirectory() as temporary:
        command = Path(temporary) / "ear-render"
        if ear:  # packages that were installed with --target have no command of their own
            program = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ear)!r})\n"
            command.write_text(program + "from ear.cmdline.render_file import main\nmain()\n")
            command.chmod(0o755)
        if ffmpeg:
            binary = next((ffmpeg / "imageio_ffmpeg" / "binaries").glob("ffmpeg-*"), None)
            if binary:  # a package for another platform may hold none
                (Path(temporary) / "ffmpeg").symlink_to(binary)
        # short files would measure how long the programs take to start
        answer = run([sys.executable, "-m", "bench.decode", "--seconds", "240", "--rounds", "3"], temporary)
    return ["```", answer.strip(), "```"] if answer else []


def shipped_table(given: argparse.Namespace) -> list[str]:
    """Rows of the table of the shipped model, beside an older checkout if there is one."""
    words = [sys.executable, "-m", "bench.shipped_path", "--rounds", str(given.rounds)]
    answer = run([*words, *(["--old", str(given.old.resolve())] if given.old else [])])
    return ["```", answer.strip(), "```"] if answer else []


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser("bench", description=__doc__)
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("--seconds", type=float, default=3.0, help="audio for the network (default 3)")
    arguments.add_argument("--rounds", type=int, default=3, help="default 3")
    arguments.add_argument("--threads", type=int, default=1, help="of the network (default 1)")
    arguments.add_argument("--bf16", action="store_true", help="OpenVINO in bfloat16 too")
    arguments.add_argument("--old", type=Path, metavar="FOLDER", help="older checkout, for the shipped model")
    given = arguments.parse_args()

    load = [os.getloadavg()[0]]
    lines = network_table(given)
    load.append(os.getloadavg()[0])
    lines += [
        "",
        "The shipped model, times as above and the ratio to an older checkout:",
        "",
        *shipped_table(given),
    ]
    lines += ["", "Decoding to loudspeakers, time of whole commands:", "", *decoding_table()]
    head = [
        f"{date.today():%d %B %Y}: {processor()}; load {load[0]:.1f} before and {load[1]:.1f} after the network. "
        f"{given.seconds:g} s of 16 channels, threads: {given.threads}, medians of {given.rounds} rounds. "
        "Times are processor seconds per second of audio, in brackets seconds on the clock; ratios are of "
        "processor time within a round, in brackets their range.",
        "",
    ]
    print("\n".join([*head, *lines]))


if __name__ == "__main__":
    main()
