"""The command stimuli.synth: its files depend on the seed alone, and are made once."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from render.common.files import whole_file
from render.fileio.audio_file import info, read
from stimuli.eigenscape.corpus import find_recordings
from stimuli.synthesis.synthesiser import SceneParameters, synthesise, write_scene_file


@pytest.fixture
def run(command):
    return functools.partial(command, "stimuli.synth")


def test_files_do_not_depend_on_workers_and_are_made_once(tmp_path, run):
    arguments = ["--seed", 4, "--seconds", 0.6, "--recordings", "1", "--scenes", "Beach,Woodland"]
    typed = [sys.executable, "-m", "stimuli.synth", *map(str, arguments), "--workers", "2", "-o", tmp_path / "a"]
    first = subprocess.run(typed, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    single = tmp_path / "b" / "Beach.1.wav"
    alone = run(*arguments, "--workers", 1, "--scenes", "Beach", "-o", single.parent)
    assert alone.returncode == 0, alone.stderr
    made = tmp_path / "a" / "Beach.1.wav"
    assert made.read_bytes() == single.read_bytes()
    about = info(made)
    assert (about.channels, about.sample_rate_hz, about.length) == (25, 48_000, 28_800)
    assert about.subtype == "PCM_24"
    np.testing.assert_allclose(read(made)[0], synthesise("Beach", 1, 4, 0.6), atol=2**-23)
    record = json.loads((tmp_path / "a" / "Beach.1.wav.json").read_text())
    assert "synthetic" in record["what"]
    assert record["parameters"] == {
        "scene_class": "Beach", "recording": 1, "seed": 4, "frames": 28_800, "order": 4, "sample_rate_hz": 48_000,
    }  # fmt: skip
    assert [(r.scene_class, r.number) for r in find_recordings(tmp_path / "a")] == [
        ("Beach", 1),
        ("Woodland", 1),
    ]

    # What a killed run leaves: no record, half a temporary file, a missing scene
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    (tmp_path / "a" / "Beach.1.wav.json").unlink()
    (tmp_path / "a" / "Woodland.1.wav").unlink()
    with whole_file(tmp_path / "Woodland.1.wav") as mine:
        name = mine.name.replace(f"-{os.getpid()}-", "-999999999-")
    (tmp_path / "a" / name).write_bytes(b"half")
    assert run(*arguments, "-o", tmp_path / "a").returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
    made_at = made.stat().st_mtime_ns
    write_scene_file(SceneParameters("Beach", 1, 4, 28_800), made.parent)
    assert made.stat().st_mtime_ns == made_at


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recordings", "1,x"], "--recordings '1,x'"),
        (["--recordings", "9"], "recording 9"),
        (["--scenes", "Beach,Mars"], "'Mars'"),
    ],
)
def test_command_line_refuses(arguments, message, tmp_path, run):
    done = run(*arguments, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_length_is_rounded_to_the_nearest_sample(tmp_path, run):
    """0.0257 s are 1233.6 samples, and 0.29 x 48000 is 13919.999... in floating point."""
    for seconds, length in ((0.0257, 1234), (0.29, 13_920)):
        folder = tmp_path / str(length)
        made = run("--seconds", seconds, "--recordings", 1, "--scenes", "Beach", "--workers", 1, "-o", folder)
        assert made.returncode == 0, made.stderr
        assert info(folder / "Beach.1.wav").length == length
        assert synthesise("Beach", 1, 0, seconds, order=0).shape == (1, length)
