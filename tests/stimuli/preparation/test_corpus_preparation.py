"""Preparation of a whole corpus, killed and resumed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from render.fileio.audio_file import writer
from stimuli.eigenscape.corpus import find_recordings


def _tones(path, seconds=1.0, channels=16, rate_hz=48_000, level=0.01):
    """Channel k holds a sine of 200 + 50 k Hz."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    samples = level * np.sin(2 * np.pi * (200 + 50 * np.arange(channels))[:, None] * time_s)
    with writer(path, channels, rate_hz, "PCM_24") as file:
        file.write(samples.astype(np.float32))
    return path


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL to a process group")
def test_killed_and_resumed(tmp_path, background, command):
    """Killed in the middle, repeated: the same files as one that ran through."""
    root = tmp_path / "corpus"
    for name in ("Beach.1", "Park.2", "Woodland.8"):
        _tones(root / f"{name}.wav", 2.0)
    words = ["stimuli.prepare", str(root), "-o"]
    assert subprocess.run([sys.executable, "-m", *words, tmp_path / "a"], capture_output=True).returncode == 0
    process = background(*words, tmp_path / "b", "--workers", 1)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("b/*.wav")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert command(*words, tmp_path / "b").returncode == 0
    made = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in "ab"]
    assert made[0] == made[1]
    found = find_recordings(tmp_path / "b")
    assert [(r.scene_class, r.number) for r in found] == [("Beach", 1), ("Park", 2), ("Woodland", 8)]
