"""No command replaces what it reads, not with --force, and not by another name of the same file."""

import importlib
import os
import sys

import numpy as np
import pytest

from render.common.cli import parser, run
from render.common.files import begin_inputs, end_inputs, inputs
from render.fileio.audio_file import writer

RATINGS = "session,listener,item,condition,score\n" + "".join(
    f"1,L{listener},Park,{condition},{score + listener}\n"
    for listener in range(4)
    for condition, score in (("href", 90), ("la", 20), ("prop", 60))
)


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command line of words in a folder; return the line that it was refused with."""

    def refused(*words):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        with pytest.raises(SystemExit) as caught:
            run(importlib.import_module(words[0]).main)
        assert caught.value.code == 2
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
        return capsys.readouterr().err

    return refused


def scene(path, channels=16):
    random = np.random.default_rng(1)
    with writer(path, channels, 44_100, "PCM_16") as file:
        file.write(0.1 * random.standard_normal((channels, 22_050), np.float32))


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize(
    "words",
    [
        ("codec.encode", "in.wav"),
        ("render.decode", "in.wav", "--layout", "5.1"),
        ("render.binaural", "in.wav"),
        ("render.adm", "in.wav"),
        ("stimuli.place", "clip.wav", "--response", "in.wav"),
        ("stimuli.place", "in.wav", "--response", "clip.wav"),
        ("listening.opus", "encode", "in.wav"),
    ],
)
def test_audio(tmp_path, refused, words, link):
    scene(tmp_path / "in.wav")
    scene(tmp_path / "clip.wav")
    output = "in.wav"
    if link:
        output = "out.wav"
        link(tmp_path / "in.wav", tmp_path / output)
    assert f"error: {output}: is the input" in refused(*words, "-o", output, "--force")


def test_a_file_of_a_scene_in_parts_that_the_command_line_does_not_name(tmp_path, refused):
    for name in ("a_01-08ch.wav", "a_09-16ch.wav"):
        scene(tmp_path / name, 8)
    words = ("render.decode", "a_01-08ch.wav", "--layout", "5.1", "-o", "a_09-16ch.wav", "--force")
    assert "is the input" in refused(*words)


def test_tables(tmp_path, refused):
    (tmp_path / "summary.csv").write_text(RATINGS)
    assert "summary.csv: is the input" in refused("analysis.mushra", "summary.csv", "-o", ".", "--force")


def test_the_preset_of_a_run_is_written_anew_when_the_run_is_continued(tmp_path):
    begin_inputs()
    command = parser(None, "codec.train")
    command.add_argument("--preset")
    (tmp_path / "config.toml").write_text("seed = 1")
    command.parse_args(["--preset", str(tmp_path / "config.toml")])
    assert inputs() == ()
    end_inputs()
