import json
import subprocess
import sys

import numpy as np
import pytest

from render.common.cli import run
from render.decode import main
from render.fileio.audio_file import info, read, write_scene, writer
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.loudspeakers.renderer import decode


def scene(order=3, length=5000, level=0.05, seed=0):
    samples = level * np.random.default_rng(seed).standard_normal(((order + 1) ** 2, length))
    return Scene(samples.astype(np.float32), 48000)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process: exit status, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["render.decode", *map(str, arguments)])
        status = 0
        try:
            run(main)
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return call


def test_measured_positions_are_taken_from_a_file(tmp_path, command):
    (tmp_path / "lab.toml").write_text('layout = "7.1.4"\n[loudspeakers]\n"U+045" = { elevation = 44 }\n')
    write_scene(tmp_path / "scene.wav", scene())
    status, _, _ = command(tmp_path / "scene.wav", "--layout", tmp_path / "lab.toml", "-o", tmp_path / "feed.wav")
    record = json.loads((tmp_path / "feed.wav.json").read_text())
    assert status == 0
    assert {c["label"]: c["elevation_deg"] for c in record["channels"]}["U+045"] == 44.0
    assert np.abs(read(tmp_path / "feed.wav")[0] - decode(scene(), layout("7.1.4")).samples).max() > 1e-3


def test_the_command_renders_and_speaks(tmp_path, command):
    write_scene(tmp_path / "scene.wav", scene(length=9600, level=0.5))
    status, said, warned = command(tmp_path / "scene.wav", "--layout", "7.1.4", "-o", tmp_path / "feed.wav")
    assert status == 0
    assert "4+7+0, M+030 M-030 M+000 LFE1 M+090" in said
    assert "(shorter than 0.4 s: not gated)" in said
    assert "values beyond full scale were clipped, the first in " in warned
    assert info(tmp_path / "feed.wav").channels == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout", "7.1.5"], "error: layout '7.1.5' is unknown; known are 2.0 (0+2+0), "),
        (
            ["--layout", "22.2", "--order", "wav"],
            "error: layout 9+10+3: WAV has no channel position for M+060",
        ),
        (
            ["--layout", "stereo", "--decoder", "allrad"],
            "error: decoder allrad needs loudspeakers on all sides",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(tmp_path, command, arguments, message):
    write_scene(tmp_path / "scene.wav", scene(length=100))
    status, _, warned = command(tmp_path / "scene.wav", *arguments, "-o", tmp_path / "feed.wav")
    assert status == 2
    assert warned.startswith(message)
    assert warned.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scene.wav"]


def test_a_scene_that_is_none_is_refused_and_leaves_nothing(tmp_path, command):
    with writer(tmp_path / "scene.wav", 12, 48000) as file:
        file.write(np.zeros((12, 10), np.float32))
    status, _, warned = command(tmp_path / "scene.wav", "--layout", "7.1.4", "-o", tmp_path / "feed.wav")
    assert status == 2
    assert "scene.wav: 12 channels are not an Ambisonic scene; possible are 1 (order 0), 4 (order 1)" in warned
    assert [path.name for path in tmp_path.iterdir()] == ["scene.wav"]


def test_help_answers_at_once():
    """Half a second of processor time at most: no numpy is imported."""
    program = (
        "import sys, runpy; sys.argv = ['render.decode', '--help']\n"
        "try: runpy.run_module('render.decode', run_name='__main__')\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m render.decode")
    assert done.stdout.endswith("False\n")


def test_decoding_an_uncompressed_file_loads_numpy_alone(tmp_path):
    """What else the package needs takes as long to import as decoding a minute, and is loaded where it is used."""
    write_scene(tmp_path / "scene.wav", Scene(np.ones((16, 10), np.float32), 48000))
    program = (
        "import sys, runpy; sys.argv[0] = 'render.decode'\n"
        "runpy.run_module('render.decode', run_name='__main__')\n"
        "print('loaded', *({'jaxtyping', 'soundfile', 'soxr', 'scipy', 'numba', 'pyexpat'} & sys.modules.keys()))"
    )
    words = [tmp_path / "scene.wav", "--layout", "7.1.4", "-o", tmp_path / "feed.wav", "--no-loudness"]
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nloaded\n")
