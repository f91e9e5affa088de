"""Choice of an excerpt of a recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.fileio.audio_file import writer
from stimuli.excerpts.selection import _conditions_met, _slice_features, _Slices, choose_window
from stimuli.excerpts.window import Window, read_with_rolls, without_rolls

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
    assert chosen.length == min(round(seconds * RATE), milliseconds * RATE // 1000)
    assert 0 <= chosen.start <= milliseconds * RATE // 1000 - chosen.length
    scene = read_with_rolls(path, chosen)
    assert scene.length == chosen.length + 2 * RATE
    assert without_rolls(scene, chosen).length == chosen.length


def test_an_excerpt_may_end_within_a_slice(tmp_path):
    """1.3 s of 1.301 s: three half seconds are asked for, two are complete."""
    assert choose_window(written(tmp_path / "a.wav", diffuse(1.301)), 1.3).start == 0


def slices_of_levels(levels_db, peak=0.5):
    """Measures of half seconds of these levels, all else equal."""
    power = 10 ** (np.array(levels_db) / 10)
    same = np.zeros(len(power))
    return _Slices(power, np.full(len(power), peak), same, same, same, np.zeros((len(power), 2, 24)))


@pytest.mark.parametrize(
    ("levels_db", "met"),
    [
        ([0, 0, 0, 0], True),
        ([-5.9, 0, 0, 0], True),
        ([5.9, 0, 0, 0], True),
        ([-6.1, 0, 0, 0], False),
        ([6.1, 0, 0, 0], False),
        ([0, 0, 0, -5.9], True),
        ([0, 0, 0, 5.9], True),
        ([0, 0, 0, -6.1], False),
        ([0, 0, 0, 6.1], False),
        ([0, 0, 20, 20], True),  # a step within is no matter
    ],
)
def test_the_first_and_last_half_second_differ_from_their_neighbours_by_6_db_at_most(levels_db, met):
    assert _conditions_met(slices_of_levels(levels_db), np.arange(4)[None]).tolist() == [met]


@pytest.mark.parametrize(("level_db", "met"), [(5.9, True), (6.1, False), (-5.9, True), (-6.1, False)])
def test_a_window_lies_within_6_db_of_the_median(level_db, met):
    slices = slices_of_levels([0, 0, level_db, level_db, 0, 0])
    assert _conditions_met(slices, np.arange(6).reshape(3, 2)).tolist() == [True, met, True]


@pytest.mark.parametrize(("peak", "met"), [(32767 / 32768, False), (32766 / 32768, True)])
def test_a_sample_at_full_scale_of_16_bits_is_clipped(peak, met):
    slices = slices_of_levels([0, 0], peak)
    assert _conditions_met(slices, np.arange(2)[None]).tolist() == [met]


def test_a_plane_wave_has_one_direction_and_noise_in_every_channel_none():
    """DirAC by hand: diffuseness and spread are 0 for a plane wave; W alone has no intensity, so it is diffuse."""
    wave = 0.1 * np.random.default_rng(0).standard_normal(8192)
    power, peak, _, spread_deg, diffuseness = _slice_features(wave * np.array([1, 0.6, 0, 0.8])[:, None])
    assert (power, peak) == (np.square(wave).mean(), np.abs(wave).max())
    np.testing.assert_allclose([spread_deg, diffuseness], 0, atol=1e-3)
    *_, diffuseness = _slice_features(wave * np.array([1, 0, 0, 0])[:, None])
    assert abs(diffuseness - 1) < 1e-9
    half = wave[:4096] * np.array([1, 1, 0, 0])[:, None]
    halves = np.concatenate([half, half[[0, 2, 3, 1]]], 1)
    assert abs(_slice_features(halves)[3] - 45) < 0.5  # two directions at right angles, equally strong
