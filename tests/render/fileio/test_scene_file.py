"""Scenes split over several files."""

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.fileio.scene_file import scene_files
from render.hoa.layout import layout
from render.loudspeakers.renderer import Decoding, decode_file


def part(path, channels, length=100, rate=48000):
    with writer(path, channels, rate) as file:
        file.write(np.zeros((channels, length), np.float32))


def test_parts_that_do_not_fit_are_refused_by_name(tmp_path):
    part(tmp_path / "a_09-16ch.wav", 8)
    with pytest.raises(
        InputError, match=r"a_09-16ch\.wav: no file continues at channel 1, found are a_09-16ch\.wav"
    ):
        scene_files(tmp_path / "a_09-16ch.wav")
    part(tmp_path / "a_01-08ch.wav", 8, length=99)
    with pytest.raises(InputError, match=r"a_09-16ch\.wav: 100 samples at 48000 Hz, but a_01-08ch\.wav has 99"):
        decode_file(tmp_path / "a_01-08ch.wav", tmp_path / "feed.wav", Decoding(layout("5.1")))
    part(tmp_path / "b_01-04ch.wav", 3)
    with pytest.raises(InputError, match=r"b_01-04ch\.wav: 3 channels, but its name says 01 to 04"):
        decode_file(tmp_path / "b_01-04ch.wav", tmp_path / "feed.wav", Decoding(layout("5.1")))
    assert scene_files(tmp_path / "plain.wav") == (tmp_path / "plain.wav",)
    with pytest.raises(InputError, match=r"c_01-08ch\.wav: no such file"):
        decode_file(tmp_path / "c_01-08ch.wav", tmp_path / "feed.wav", Decoding(layout("5.1")))
