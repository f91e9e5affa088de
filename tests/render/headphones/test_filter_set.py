"""Ear filters as a file that other renderers read."""

import json

import numpy as np
import pytest

from render.common.errors import InputError
from render.dsp.convolution import Filters
from render.fileio.audio_file import read, writer
from render.headphones.filter_set import read_filter_set, write_filter_set
from render.headphones.renderer import HeadphoneRendering, binaural, binaural_filters
from render.hoa.scene import Scene

FILTERS = Filters(np.arange(2 * 4 * 5, dtype=float).reshape(2, 4, 5) / 64, 2)


@pytest.fixture
def stored(tmp_path):
    write_filter_set(tmp_path / "f.wav", FILTERS, 48_000, {"head": "none"})
    return tmp_path / "f.wav"


def test_the_filters_of_an_ear_follow_each_other_in_its_channel(stored):
    """As SPARTA's MatrixConv has it: a channel for each output, of the length of all inputs' filters."""
    samples, rate_hz = read(stored)
    assert (samples.shape, rate_hz) == ((2, 20), 48_000)
    np.testing.assert_array_equal(samples[1, 5:10], FILTERS.taps[1, 1])
    record = json.loads((stored.parent / "f.wav.json").read_text())
    assert (record["inputs"], record["taps"], record["time_zero_tap"], record["head"]) == (4, 5, 2, "none")


def test_what_is_written_is_read(stored):
    found = read_filter_set(stored, 1, 48_000)
    np.testing.assert_array_equal(found.taps, FILTERS.taps)
    assert found.origin == 2


def test_a_file_of_another_program_begins_at_time_0(stored):
    (stored.parent / "f.wav.json").unlink()
    assert read_filter_set(stored, 1, 48_000).origin == 0


def test_a_scene_sounds_through_stored_filters_as_through_the_head(tmp_path):
    filters, _ = binaural_filters(1, 48_000)
    write_filter_set(tmp_path / "head.wav", filters, 48_000, {})
    samples = np.random.default_rng(0).standard_normal((4, 2000)).astype(np.float32)
    scene = Scene(samples, 48_000)
    stored = HeadphoneRendering(filters=tmp_path / "head.wav", yaw_deg=25, pitch_deg=10, roll_deg=-5)
    direct = HeadphoneRendering(yaw_deg=25, pitch_deg=10, roll_deg=-5)
    np.testing.assert_allclose(binaural(scene, stored), binaural(scene, direct), atol=1e-5)


@pytest.mark.parametrize(
    ("order", "rate_hz", "message"),
    [(2, 48_000, "2 channels of 20 samples; filters for order 2"), (1, 44_100, "filters for 48000 Hz, the scene")],
)
def test_filters_for_something_else_are_refused(stored, order, rate_hz, message):
    with pytest.raises(InputError, match=message):
        read_filter_set(stored, order, rate_hz)


@pytest.mark.parametrize("change", [{"taps": 4}, {"time_zero_tap": 5}, {"time_zero_tap": True}, {"inputs": None}])
def test_the_record_of_another_file_is_refused(stored, change):
    path = stored.parent / "f.wav.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match="is not the record of"):
        read_filter_set(stored, 1, 48_000)
    path.write_text("[]")
    with pytest.raises(InputError, match="damaged"):
        read_filter_set(stored, 1, 48_000)


def test_mono_files_are_refused(tmp_path):
    with writer(tmp_path / "mono.wav", 1, 48_000, "FLOAT") as file:
        file.write(np.ones((1, 20), np.float32))
    with pytest.raises(InputError, match=r"1 channels of 20 samples; filters for order 1 have 2 \(left, right\)"):
        read_filter_set(tmp_path / "mono.wav", 1, 48_000)
