"""The window of an excerpt: its rolls, its fades, its gain, and how it is recorded."""

import numpy as np
import pytest

from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.hoa.scene import Scene
from stimuli.excerpts.selection import choose_window
from stimuli.excerpts.window import Window, apply_fades, item_gain_db, read_with_rolls, without_rolls

RATE = 16_000


def written(path, samples):
    with writer(path, len(samples), RATE, "FLOAT", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


def test_rolls_are_what_surrounds_the_window_and_its_mirror_image_beyond_the_file(tmp_path):
    ramp = np.arange(1, 4 * RATE + 1)[None] / (4 * RATE) * np.ones((4, 1))
    path = written(tmp_path / "a.wav", ramp)
    inner = read_with_rolls(path, Window(RATE, 2 * RATE, RATE, None, True)).samples
    assert np.array_equal(inner, ramp.astype(np.float32))
    late = read_with_rolls(path, Window(3 * RATE, RATE, RATE, None, True)).samples
    assert np.array_equal(late[:, : 2 * RATE], ramp[:, 2 * RATE :].astype(np.float32))
    assert np.array_equal(late[0, 2 * RATE :], ramp[0, -2 : -RATE - 2 : -1].astype(np.float32))
    # 0.1 s: the mirror images of a short file are themselves mirrored until there is a second of them
    short = written(tmp_path / "b.wav", ramp[:, :800])
    window = choose_window(short, 2.0)
    padded = read_with_rolls(short, window)
    assert padded.length == 800 + 2 * RATE
    assert np.array_equal(without_rolls(padded, window).samples, ramp[:, :800].astype(np.float32))
    assert np.abs(np.diff(padded.samples)).max() < 2 / (4 * RATE)
    with pytest.raises(InputError, match="the excerpt ends at sample 801"):
        read_with_rolls(short, Window(0, 801, RATE, None, True))


def test_fades_are_raised_cosines_of_50_ms():
    faded = apply_fades(Scene(np.ones((4, RATE), np.float32), RATE)).samples
    length = round(0.05 * RATE)
    # in and out overlapped in time add up to 1: the halves of one Hann window
    assert np.allclose(faded[:, :length] + faded[:, -length:], 1, atol=1e-6)
    assert np.all(faded[:, length:-length] == 1)
    assert np.all(np.diff(faded[0, :length]) > 0)
    assert faded[0, 0] < 1e-4
    assert faded[0, length // 2 - 1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("length", [1, 2, 3, 100, 799])
def test_a_short_scene_fades_over_half_its_length_at_most(length):
    faded = apply_fades(Scene(np.ones((4, length), np.float32), RATE)).samples
    assert np.all((faded >= 0) & (faded <= 1))
    assert np.allclose(faded, faded[:, ::-1])


def test_the_gain_reaches_the_target_unless_a_peak_forbids_it():
    assert item_gain_db(-20.0, -10.0, -26.0, -1.0) == -6.0
    assert item_gain_db(-40.0, -10.0, -26.0, -1.0) == 9.0
    assert item_gain_db(-40.0, 3.0, -26.0, -1.0) == -4.0


def test_a_manifest_stores_the_length_under_its_old_name():
    """Others' scripts read ``window.frames`` of manifest.json."""
    record = Window(5, 7, 3, 1.5, True, 0.2).record()
    expected = {"start": 5, "frames": 7, "roll": 3, "score": 1.5, "conditions_met": True, "anchor_loss": 0.2}
    assert list(record.items()) == list(expected.items())


@pytest.mark.parametrize(("length", "faded"), [(1, 0), (2, 1), (3, 1), (101, 50), (1600, 800), (1602, 800)])
def test_fades_are_the_halves_of_a_hann_window_number_by_number(length, faded):
    """Raised cosines at the middles of the samples: 50 ms are 800 samples, half the scene at most."""
    found = apply_fades(Scene(np.ones((4, length), np.float32), RATE)).samples
    ramp = [0.5 - 0.5 * np.cos(np.pi * (n + 0.5) / faded) for n in range(faded)]
    np.testing.assert_allclose(found[2], [*ramp, *(length - 2 * faded) * [1.0], *ramp[::-1]], atol=1e-7)
