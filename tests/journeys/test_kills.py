"""Commands with worker processes are killed at random moments: repeated, they leave what one whole run leaves."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PLAN = 'conditions = ["href", "la", "order_1"]\nseconds = 1.0\n'


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def started(words, **streams):
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, **streams)


def whole(words):
    begun = time.monotonic()
    with started(words, stderr=subprocess.PIPE) as process:
        text = process.stderr.read()
    assert process.returncode == 0, text
    return time.monotonic() - begun


def killed(words, how, after_s):
    """Signal the command alone; wait until all its processes have ended by themselves."""
    with started(words, stderr=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        process.send_signal(how)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a worker outlives its parent")


def test_synthesis_preparation_and_build_survive_kills(tmp_path, command):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    once, often = tmp_path / "once", tmp_path / "often"
    chance = random.Random(22)

    def steps(root):
        yield "stimuli.synth", "--seed", 3, "--seconds", 1.2, "--recordings", 8, "--scenes", "Beach,Park", \
            "--workers", 2, "-o", root / "synthetic"  # fmt: skip
        yield "stimuli.prepare", once / "synthetic", "-o", root / "prepared", "--workers", 2
        yield (
            "listening.build",
            "--plan",
            plan,
            "--material",
            once / "prepared",
            "-o",
            root / "out",
            "--workers",
            2,
        )

    for undisturbed, disturbed in zip(steps(once), steps(often), strict=True):
        duration_s = whole(undisturbed)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            killed(disturbed, how, chance.uniform(0.3, 1) * duration_s)
        done = command(*disturbed)
        assert done.returncode == 0, done.stderr
    assert content(once).keys() == content(often).keys()
    assert content(once) == content(often)
