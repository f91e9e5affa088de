"""Foreground objects: level, direction, place in time, and alike in every condition."""

import numpy as np
import pytest

from listening.conditions.foreground import check_objects, encode_objects, mixed
from listening.test_design.foreground_object import ForegroundObject
from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


def sound(path, frames=22_050, channels=1, rate_hz=RATE, amplitude=0.3):
    samples = amplitude * np.random.default_rng(1).standard_normal((channels, frames))
    with writer(path, channels, rate_hz, "FLOAT") as file:
        file.write(samples.astype(np.float32))
    return str(path)


@pytest.fixture
def excerpt():
    noise = 0.02 * np.random.default_rng(0).standard_normal((16, 2 * RATE))
    return Scene(noise.astype(np.float32), RATE)


def test_level_direction_and_start(tmp_path, excerpt):
    roll = RATE // 4
    one = ForegroundObject(sound(tmp_path / "a.wav"), azimuth_deg=60, elevation_deg=20, level_db=6.0, start_s=0.5)
    found = encode_objects((one,), excerpt, roll)
    begin = roll + RATE // 2
    assert not found[:, :begin].any()
    assert not found[:, begin + 22_050 :].any()
    heard = found[:, begin : begin + 22_050].astype(float)
    level_db = 20 * np.log10(heard[0].std() / excerpt.samples[0, roll:-roll].std())
    assert level_db == pytest.approx(6.0, abs=0.01)
    gains = spherical_harmonics(3, np.radians([60.0]), np.radians([20.0]))[0]
    np.testing.assert_allclose(heard @ heard[0] / (heard[0] @ heard[0]), gains, atol=1e-5)
    assert np.array_equal(mixed(excerpt, found).samples, excerpt.samples + found)


def test_objects_add_up_and_are_cut_at_the_end(tmp_path, excerpt):
    late = ForegroundObject(sound(tmp_path / "a.wav", frames=RATE), start_s=1.5)
    early = ForegroundObject(sound(tmp_path / "b.wav", rate_hz=48_000), azimuth_deg=180)
    both = encode_objects((late, early), excerpt, 0)
    assert np.allclose(both, encode_objects((late,), excerpt, 0) + encode_objects((early,), excerpt, 0), atol=1e-7)
    assert both[:, -1].any()
    assert encode_objects((), excerpt, 0) is None
    assert mixed(excerpt, None) is excerpt


def test_what_is_no_object_is_refused(tmp_path, excerpt):
    with pytest.raises(InputError, match="2 channels; a foreground object is mono"):
        check_objects((ForegroundObject(sound(tmp_path / "s.wav", channels=2)),))
    with pytest.raises(InputError, match="no such file"):
        check_objects((ForegroundObject(str(tmp_path / "no.wav")),))
    silent = ForegroundObject(sound(tmp_path / "z.wav", amplitude=0.0))
    with pytest.raises(InputError, match="silent"):
        encode_objects((silent,), excerpt, 0)
