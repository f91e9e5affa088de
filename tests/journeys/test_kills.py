"""Commands with worker processes are killed at random moments: repeated, they leave what one whole run leaves."""

import os
import random
import signal
import time

import pytest

pytestmark = pytest.mark.slow

PLAN = 'conditions = ["href", "la", "order_1"]\nseconds = 1.0\n'


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def whole(background):
    """Function that runs a command to its end; how long it takes."""

    def run(words):
        begun = time.monotonic()
        done = background(*words).wait()
        assert done.returncode == 0, done.stderr
        return time.monotonic() - begun

    return run


@pytest.fixture
def killed(background):
    """Function that signals a command alone, and waits until all its processes have ended by themselves."""

    def kill(words, how, after_s):
        process = background(*words)
        time.sleep(after_s)
        if process.runs():
            process.send_signal(how)
        process.wait()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        pytest.fail("a worker outlives its parent")

    return kill


def test_synthesis_preparation_and_build_survive_kills(tmp_path, command, whole, killed):
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
