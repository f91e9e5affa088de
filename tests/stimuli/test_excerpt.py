"""Choice of an excerpt, its surroundings, its ends and its level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.common.errors import InputError
from render.fileio.audio_file import writer
from render.hoa.scene import Scene
from stimuli.excerpts.selection import Window, apply_fades, choose_window, item_gain_db, trimmed, with_rolls

RATE = 16_000


def written(path, samples, rate=RATE):
    with writer(path, len(samples), rate, "FLOAT", force=True) as file:
        file.write(samples.astype(np.float32))
    return path


def diffuse(seconds, seed=0, level=0.05):
    return level * np.random.default_rng(seed).standard_normal((4, round(seconds * RATE)))


def test_a_short_recording_is_used_whole(tmp_path):
    path = written(tmp_path / "a.wav", diffuse(1.5))
    whole = choose_window(path, 2.0)
    assert whole == Window(0, 24_000, RATE, None, True, whole.anchor_loss)
    assert whole.anchor_loss > 0.1  # white noise
    assert choose_window(path, 1.5) == whole


def test_the_most_critical_window_wins(tmp_path):
    """Steady noise from the front, and between 6 and 8 s bursts from all around."""
    samples = diffuse(14)
    samples[:] = samples[0] * np.array([1, 0, 0, 1])[:, None]
    for number, start in enumerate(np.arange(6.05, 7.95, 0.13)):
        burst = slice(round(start * RATE), round(start * RATE) + 400)
        azimuth = 2.4 * number
        samples[:, burst] *= 1.2
        samples[1, burst], samples[3, burst] = (
            np.sin(azimuth) * samples[0, burst],
            np.cos(azimuth) * samples[0, burst],
        )
    chosen = choose_window(written(tmp_path / "a.wav", samples), 2.0)
    # one second outside at most: the mixture of both is critical, too
    assert chosen.start in (5 * RATE, 6 * RATE, 7 * RATE)
    assert chosen.conditions_met
    assert chosen.score > 0


def test_hard_conditions_rule_out_the_loud_the_clipped_and_the_unsteady(tmp_path):
    samples = diffuse(12)
    samples[:, 4 * RATE : 6 * RATE] *= 10  # 20 dB above the median
    chosen = choose_window(written(tmp_path / "a.wav", samples), 2.0)
    assert chosen.conditions_met
    assert not 2 * RATE < chosen.start < 6 * RATE
    samples = diffuse(6)
    samples[0, ::800] = 1.0
    chosen = choose_window(written(tmp_path / "b.wav", samples), 2.0)
    assert not chosen.conditions_met


def test_nothing_of_the_first_and_last_20_s_of_a_long_recording_is_used(tmp_path):
    samples = diffuse(64)
    samples[0, :320_000:50] *= 5
    path = written(tmp_path / "a.wav", samples)
    chosen = choose_window(path, 2.0)
    assert 20 * RATE <= chosen.start <= 42 * RATE
    assert chosen.conditions_met
    assert not choose_window(path, 30.0).conditions_met  # 64 - 2 x 20 s leave no room for it


def test_the_low_anchor_must_be_heard(tmp_path):
    """Low-passed noise, and between 8 and 11 s a hiss above it that only the anchor would take away."""
    low = np.apply_along_axis(np.convolve, 1, diffuse(16), np.hanning(65) / 32, "same")
    samples = low.copy()
    samples[:, 8 * RATE : 11 * RATE] += 0.3 * diffuse(3, seed=1)
    samples[1:, 2 * RATE : 4 * RATE] = 0  # the most critical place by the other criteria
    chosen = choose_window(written(tmp_path / "a.wav", samples), 2.0)
    assert 7 * RATE <= chosen.start <= 10 * RATE
    assert chosen.conditions_met
    assert chosen.anchor_loss > 0.1
    dull = choose_window(written(tmp_path / "b.wav", low), 2.0)
    assert dull.anchor_loss < 0.1
    assert not dull.conditions_met


@settings(deadline=None, max_examples=30)
@given(st.integers(500, 6000), st.sampled_from([1.0, 1.3, 2.0, 2.5, 3.0]))
def test_a_window_always_lies_in_its_file(tmp_path_factory, milliseconds, seconds):
    folder = tmp_path_factory.mktemp("window")
    path = written(folder / "a.wav", diffuse(milliseconds / 1000))
    chosen = choose_window(path, seconds)
    assert chosen.frames == min(round(seconds * RATE), milliseconds * RATE // 1000)
    assert 0 <= chosen.start <= milliseconds * RATE // 1000 - chosen.frames
    scene = with_rolls(path, chosen)
    assert scene.length == chosen.frames + 2 * RATE
    assert trimmed(scene, chosen).length == chosen.frames


def test_rolls_are_what_surrounds_the_window_and_its_mirror_image_beyond_the_file(tmp_path):
    ramp = np.arange(1, 4 * RATE + 1)[None] / (4 * RATE) * np.ones((4, 1))
    path = written(tmp_path / "a.wav", ramp)
    inner = with_rolls(path, Window(RATE, 2 * RATE, RATE, None, True)).samples
    assert np.array_equal(inner, ramp.astype(np.float32))
    late = with_rolls(path, Window(3 * RATE, RATE, RATE, None, True)).samples
    assert np.array_equal(late[:, : 2 * RATE], ramp[:, 2 * RATE :].astype(np.float32))
    assert np.array_equal(late[0, 2 * RATE :], ramp[0, -2 : -RATE - 2 : -1].astype(np.float32))
    # 0.1 s: the mirror images of a short file are themselves mirrored until there is a second of them
    short = written(tmp_path / "b.wav", ramp[:, :800])
    window = choose_window(short, 2.0)
    padded = with_rolls(short, window)
    assert padded.length == 800 + 2 * RATE
    assert np.array_equal(trimmed(padded, window).samples, ramp[:, :800].astype(np.float32))
    assert np.abs(np.diff(padded.samples)).max() < 2 / (4 * RATE)
    with pytest.raises(InputError, match="excerpt ends at"):
        with_rolls(short, Window(0, 801, RATE, None, True))


def test_fades_are_raised_cosines_of_50_ms():
    faded = apply_fades(Scene(np.ones((4, RATE), np.float32), RATE)).samples
    length = round(0.05 * RATE)
    # in and out overlapped in time add up to 1: the halves of one Hann window
    assert np.allclose(faded[:, :length] + faded[:, -length:], 1, atol=1e-6)
    assert np.all(faded[:, length:-length] == 1)
    assert np.all(np.diff(faded[0, :length]) > 0)
    assert faded[0, 0] < 1e-4
    assert faded[0, length // 2 - 1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 799])
def test_a_short_scene_fades_over_half_its_length_at_most(frames):
    faded = apply_fades(Scene(np.ones((4, frames), np.float32), RATE)).samples
    assert np.all((faded >= 0) & (faded <= 1))
    assert np.allclose(faded, faded[:, ::-1])


def test_the_gain_reaches_the_target_unless_a_peak_forbids_it():
    assert item_gain_db(-20.0, -10.0, -26.0, -1.0) == -6.0
    assert item_gain_db(-40.0, -10.0, -26.0, -1.0) == 9.0
    assert item_gain_db(-40.0, 3.0, -26.0, -1.0) == -4.0
