"""Choice of excerpts by the written criteria; rolls, fades and gain by closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.audio_file import read, writer
from render.errors import InputError
from render.scene import Scene
from render.sphere import spherical_harmonics
from stimuli.excerpt import ROLL_S, Window, apply_fades, choose_window, item_gain_db, trimmed, with_rolls

RATE_HZ = 16_000


def _recording(path, seconds, seed=0, *changes):
    """Steady first-order noise from one direction; each change gets (samples, time in s)."""
    rng = np.random.default_rng(seed)
    noise = 0.02 * rng.standard_normal(int(seconds * RATE_HZ))
    samples = np.outer(spherical_harmonics(1, np.zeros(1), np.zeros(1))[0], noise)
    samples += 0.002 * rng.standard_normal(samples.shape)
    time = np.arange(samples.shape[1]) / RATE_HZ
    for change in changes:
        change(samples, time)
    with writer(path, 4, RATE_HZ, "FLOAT") as file:
        file.write(samples.astype(np.float32))
    return path


def _moving_clicks(begin, end):
    """Clicks from changing directions: transients and a wide spread of directions."""

    def change(samples, time):
        rng = np.random.default_rng(9)
        for start in np.arange(begin, end, 0.23):
            inside = slice(int(start * RATE_HZ), int(start * RATE_HZ) + 400)
            gains = spherical_harmonics(1, rng.uniform(-np.pi, np.pi, 1), rng.uniform(-1, 1, 1))[0]
            samples[:, inside] += np.outer(gains, 0.1 * rng.standard_normal(400) * np.exp(-np.arange(400) / 60))

    return change


def _scaled(begin, end, gain):
    def change(samples, time):
        samples[:, (time >= begin) & (time < end)] *= gain

    return change


def test_the_eventful_seconds_are_chosen(tmp_path):
    path = _recording(tmp_path / "a.wav", 40, 0, _moving_clicks(17.0, 26.5))
    window = choose_window(path, 10.0)
    assert 14 <= window.start / RATE_HZ <= 19
    assert window.frames == 10 * RATE_HZ
    assert window.roll == ROLL_S * RATE_HZ
    assert window.start % RATE_HZ == 0
    assert window.conditions_met
    assert window == choose_window(path, 10.0)


def test_a_step_of_level_at_the_edge_is_avoided(tmp_path):
    """The best window by score begins where the level jumps by 20 dB: it is not taken."""
    path = _recording(tmp_path / "a.wav", 30, 0, _moving_clicks(10.0, 20.0), _scaled(10.5, 10.9, 10))
    window = choose_window(path, 10.0)
    assert window.start / RATE_HZ != 10
    assert window.conditions_met


def test_loud_and_quiet_passages_are_no_excerpt(tmp_path):
    """A level far from the recording's median is not what the recording sounds like."""
    path = _recording(tmp_path / "a.wav", 60, 0, _moving_clicks(2.0, 13.0), _scaled(0.0, 14.0, 8.0))
    assert choose_window(path, 10.0).start / RATE_HZ >= 13


def test_clipped_seconds_are_avoided(tmp_path):
    def clipped(samples, time):
        samples[0, (time > 11) & (time < 11.01)] = 1 - 2.0**-15

    path = _recording(tmp_path / "a.wav", 30, 0, _moving_clicks(10.0, 13.0), clipped)
    window = choose_window(path, 5.0)
    assert not window.start / RATE_HZ < 11.01 < window.start / RATE_HZ + 5
    assert window.conditions_met


def test_beginning_and_end_of_long_recordings_are_left_out(tmp_path):
    path = _recording(tmp_path / "a.wav", 70, 0, _moving_clicks(3.0, 15.0), _moving_clicks(56.0, 68.0))
    begin = choose_window(path, 10.0).start / RATE_HZ
    assert 20 <= begin <= 40


def test_if_nothing_meets_the_conditions_the_record_says_so(tmp_path):
    """The level falls by 13 dB every half second and rises again: a step at every edge."""

    def unsteady(samples, time):
        samples *= np.where(np.floor(time / 0.5) % 2 == 0, 1.0, 0.22)

    window = choose_window(_recording(tmp_path / "a.wav", 20, 0, unsteady), 10.0)
    assert not window.conditions_met
    assert window.frames == 10 * RATE_HZ


@pytest.mark.parametrize("seconds", [0.3, 2.0, 9.99, 10.0])
def test_short_recordings_are_used_whole(seconds, tmp_path):
    path = _recording(tmp_path / "a.wav", seconds)
    window = choose_window(path, 10.0)
    assert (window.start, window.frames) == (0, int(seconds * RATE_HZ))
    assert window.score is None
    samples, _ = read(path)
    scene = with_rolls(path, window)
    assert scene.frames == window.frames + 2 * window.roll
    np.testing.assert_array_equal(trimmed(scene, window).samples, samples)
    # The rolls are reflections: the first is the mirror image of what follows it
    near = min(window.roll, window.frames - 1)
    mirrored = scene.samples[:, window.roll - near : window.roll][:, ::-1]
    np.testing.assert_array_equal(mirrored, samples[:, 1 : near + 1])


def test_rolls_are_the_real_surroundings_where_there_are_any(tmp_path):
    path = _recording(tmp_path / "a.wav", 5)
    samples, _ = read(path)
    window = Window(2 * RATE_HZ, RATE_HZ, RATE_HZ, None, True)
    np.testing.assert_array_equal(with_rolls(path, window).samples, samples[:, RATE_HZ : 4 * RATE_HZ])
    partly = Window(RATE_HZ // 2, 4 * RATE_HZ, RATE_HZ, None, True)
    scene = with_rolls(path, partly)
    np.testing.assert_array_equal(
        scene.samples[:, RATE_HZ // 2 : RATE_HZ + 4 * RATE_HZ], samples[:, : int(4.5 * RATE_HZ)]
    )
    np.testing.assert_array_equal(trimmed(scene, partly).samples, samples[:, RATE_HZ // 2 : int(4.5 * RATE_HZ)])
    with pytest.raises(InputError, match=r"a\.wav.*ends at"):
        with_rolls(path, Window(4 * RATE_HZ, 2 * RATE_HZ, RATE_HZ, None, True))


@given(st.integers(1, 20_000))
def test_fades_are_a_raised_cosine(frames):
    scene = Scene(np.ones((4, frames), np.float32), RATE_HZ)
    faded = apply_fades(scene).samples
    length = min(round(0.05 * RATE_HZ), frames // 2)
    expected = np.sin(np.pi / 2 * (np.arange(length) + 0.5) / max(length, 1)) ** 2
    np.testing.assert_allclose(faded[2, :length], expected, atol=1e-6)
    np.testing.assert_array_equal(faded, faded[:, ::-1])
    assert (faded[:, length : frames - length] == 1).all()
    assert (scene.samples == 1).all()


@given(st.floats(-70, -5), st.floats(-40, 3), st.floats(-30, -20), st.floats(-3, 0))
def test_gain_reaches_the_target_or_the_headroom(loudness, peak, target, headroom):
    gain = item_gain_db(loudness, peak, target, headroom)
    assert loudness + gain <= target + 1e-9
    assert peak + gain <= headroom + 1e-9
    assert loudness + gain == pytest.approx(target) or peak + gain == pytest.approx(headroom)
