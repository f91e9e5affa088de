"""The command stimuli.hoastats."""

import json
import subprocess
import sys

import numpy as np

from render.fileio.audio_file import writer
from stimuli import hoastats


def test_command_line_names_the_file(tmp_path):
    path = tmp_path / "five.wav"
    with writer(path, 5, 48_000) as file:
        file.write(np.zeros((5, 9600), np.float32))
    command = [sys.executable, "-m", "stimuli.hoastats", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "five.wav" in done.stderr
    assert "5 channels" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_numbers_are_written_to_a_file(tmp_path, monkeypatch, capsys):
    path, numbers = tmp_path / "scene.wav", tmp_path / "scene.json"
    with writer(path, 4, 48_000, "FLOAT") as file:
        file.write(0.1 * np.random.default_rng(0).standard_normal((4, 9600)).astype(np.float32))
    monkeypatch.setattr(sys, "argv", ["hoastats", str(path), "--json", str(numbers)])
    hoastats.main()
    assert "4 channels, order 1, 48000 Hz, 0.20 s" in capsys.readouterr().out
    written = json.loads(numbers.read_text())
    assert (written["channels"], written["frames"], len(written["bands"])) == (4, 9600, 9)
