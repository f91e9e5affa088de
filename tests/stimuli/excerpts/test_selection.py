"""Choice of an excerpt of a recording."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.fileio.audio_file import AudioInfo, writer
from stimuli.excerpts.audibility import bark
from stimuli.excerpts.selection import (
    _candidates,
    _conditions_met,
    _critical_bands,
    _criticality,
    _measure_slices,
    _slice_features,
    _Slices,
    choose_window,
)
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


def test_the_features_of_a_slice_are_those_of_their_definitions():
    """Frame by frame and band by band: spectral flux; DirAC's intensity, energy, diffuseness and spread."""
    block = np.random.default_rng(4).standard_normal((4, 3000)) * np.array([1, 0.7, 0.4, 0.5])[:, None]
    block[:, 1024:2048] *= 2
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 1023) for n in range(1024)]
    frames = [[np.fft.rfft(channel[1024 * k :][:1024] * window) for channel in block] for k in range(2)]
    before, after = (np.abs(frame[0]) for frame in frames)
    flux = sum(max(b - a, 0) for a, b in zip(before, after, strict=True)) / sum(before)
    vectors, energies = [], []
    for w, y, z, x in frames:
        for band in range(64):
            bins = range(8 * band, 8 * band + 8)
            vectors.append([sum((w[k].conjugate() * c[k]).real for k in bins) for c in (x, y, z)])
            energies.append(sum(0.5 * sum(abs(c[k]) ** 2 for c in (w, x, y, z)) for k in bins))
    lengths = [math.hypot(*vector) for vector in vectors]
    mean_length = math.hypot(*map(sum, zip(*vectors, strict=True))) / sum(lengths)
    expected = [
        (block[0] ** 2).mean(),
        np.abs(block).max(),
        flux,
        math.degrees(math.acos(mean_length)),
        1 - sum(lengths) / sum(energies),
    ]
    np.testing.assert_allclose(_slice_features(block), expected, rtol=1e-9)


def test_the_flux_of_a_slice_is_the_95th_percentile_of_its_frames():
    """Frames of one impulse each: magnitudes grow from frame to frame by what their heights do."""
    heights = [1.0, 1.5, 1.5, 4.5, 4.5]
    block = np.zeros((4, 5 * 1024))
    block[:, 512::1024] = heights
    flux = _slice_features(block)[2]
    assert flux == pytest.approx(np.percentile([0.5, 0, 2, 0], 95))


def test_silence_has_features_and_is_as_steady_as_any_sound():
    assert _slice_features(np.zeros((4, 2048))) == [0, 0, 0, 90, 1]
    silence = slices_of_levels([-np.inf] * 4)
    assert _conditions_met(silence, np.arange(4).reshape(2, 2)).tolist() == [True, True]


def test_higher_orders_do_not_change_the_features_but_the_peak():
    block = 0.1 * np.random.default_rng(6).standard_normal((16, 2048))
    block[9, 100] = -0.9
    power, peak, *rest = _slice_features(block)
    assert peak == 0.9
    first = _slice_features(block[:4])
    assert [power, *rest] == [first[0], *first[2:]]


def test_a_single_transient_in_ten_seconds_does_not_count():
    """Of 21 half seconds the 95th percentile is the last but one: 0 of the first candidate."""
    flux = np.concatenate([20 * [0.0], [10.0], 21 * [1.0], 21 * [0.5]])
    none = np.zeros(63)
    slices = _Slices(none, none, flux, none, none, np.zeros((63, 2, 24)))
    found = _criticality(slices, np.arange(63).reshape(3, 21))
    np.testing.assert_allclose(found, np.array([-1, 1, 0]) * math.sqrt(1.5), atol=1e-12)


def test_critical_bands_of_w_are_whole_and_without_what_lies_above_3500_hz():
    pressure = np.random.default_rng(1).standard_normal(2100)
    window = np.hanning(1024)
    power = sum(np.abs(np.fft.rfft(pressure[1024 * k :][:1024] * window)) ** 2 for k in range(2)) / 2
    expected = np.zeros((2, 24))
    for k, p in enumerate(power):
        hz = 44_100 * k / 1024
        band = min(23, int(bark(hz)))
        expected[:, band] += [p, p if hz <= 3500 else 0]
    np.testing.assert_allclose(_critical_bands(pressure, 44_100), expected, rtol=1e-9)
    # a bin at the cut-off itself is kept: 224 of 1024 at 16 kHz
    tone = np.cos(2 * np.pi * 3500 / 16_000 * np.arange(1024))
    whole, kept = _critical_bands(tone, 16_000)
    assert 0.5 * whole.sum() < kept.sum() < 0.9 * whole.sum()


@pytest.mark.parametrize(
    ("length_s", "seconds", "starts", "undisturbed"),
    [
        (10, 2, range(2, 15, 2), True),  # a second stays clear on either side: it becomes the rolls
        (10.3, 2.5, range(2, 13, 2), True),
        (4, 2, [2], True),
        (3.9, 2, [0, 2], True),  # no room for rolls
        (2, 2, [0], True),
        (60, 2, range(2, 115, 2), True),
        (60.5, 2, range(40, 77, 2), True),  # more than a minute: 20 s on either side
        (64, 24, [40], True),
        (64, 30, range(0, 69, 2), False),  # no room for them
    ],
)
def test_candidates_begin_on_full_seconds_clear_of_the_ends(length_s, seconds, starts, undisturbed):
    about = AudioInfo(Path("a.wav"), 4, RATE, round(length_s * RATE), "WAV", "PCM_16")
    found, clear = _candidates(about, int(2 * length_s), seconds)
    assert (found.tolist(), clear) == (list(starts), undisturbed)


def test_criticality_is_the_sum_of_three_z_scores():
    """Two candidates of two slices: of two numbers the larger is one deviation above their mean."""
    none = np.zeros(4)
    bands = np.zeros((4, 2, 24))
    candidates = np.array([[0, 1], [2, 3]])
    higher = np.array([0, 0, 0, 5.0])
    for measures in ((higher, none, none), (none, higher, none), (none, none, higher)):
        found = _criticality(_Slices(none, none, *measures, bands), candidates)
        np.testing.assert_allclose(found, [-1, 1])
    np.testing.assert_allclose(
        _criticality(_Slices(none, none, higher, higher, higher, bands), candidates), [-3, 3]
    )
    assert _criticality(_Slices(none, none, none, none, none, bands), candidates).tolist() == [0, 0]
    # three candidates of one, two and three: z-scores -1.2247, 0, 1.2247; the 95th percentile of 0 and x is 0.95 x
    flux = np.array([0, 1.0, 0, 2, 0, 3])
    six = np.zeros(6)
    found = _criticality(_Slices(six, six, flux, six, six, np.zeros((6, 2, 24))), np.arange(6).reshape(3, 2))
    np.testing.assert_allclose(found, np.array([-1, 0, 1]) * math.sqrt(1.5), atol=1e-12)


def test_only_whole_half_seconds_are_measured(tmp_path):
    samples = diffuse(1.7)
    slices = _measure_slices(written(tmp_path / "a.wav", samples), RATE)
    single = samples.astype(np.float32).astype(float)
    assert slices.power == pytest.approx(np.square(single[0, :24_000].reshape(3, 8000)).mean(1))
    assert slices.peak == pytest.approx(np.abs(single[:, :24_000].reshape(4, 3, 8000)).max((0, 2)))
    assert slices.band_powers.shape == (3, 2, 24)


def low_passed(samples):
    return np.apply_along_axis(np.convolve, 1, samples, np.hanning(65) / 32, "same")


def test_what_is_critical_but_not_allowed_or_not_audible_is_not_taken(tmp_path):
    """Three parts: dull with moving bursts, hissing and steady, and hissing with bursts but far too loud.

    The criteria rank the first and the last before the second, which is the only one that the conditions leave.
    """
    samples = np.concatenate([low_passed(diffuse(8, 0)), diffuse(8, 1), diffuse(4, 2)], axis=1)
    samples[1:] = 0.7 * samples[0]
    random = np.random.default_rng(3)
    for first, last in ((0, 8), (16, 20)):
        for start in range(first * RATE, last * RATE, 1500):
            burst = slice(start, start + 300)
            samples[:, burst] *= 2
            samples[1:, burst] = random.uniform(-1, 1, (3, 1)) * samples[0, burst]
    samples[0, : 8 * RATE] *= 2
    samples[:, 16 * RATE :] *= 8
    path = written(tmp_path / "a.wav", samples * 0.1)
    chosen = choose_window(path, 2.0)
    assert 7 * RATE <= chosen.start <= 14 * RATE
    assert chosen.conditions_met
    assert chosen.start % RATE == 0
    assert (chosen.length, chosen.roll) == (2 * RATE, RATE)


def test_a_dull_recording_gives_the_window_in_which_the_anchor_takes_most(tmp_path):
    samples = low_passed(diffuse(12))
    samples[:, 7 * RATE : 9 * RATE] += 0.003 * diffuse(2, seed=1)
    samples[1:, 3 * RATE : 5 * RATE] = 0  # more critical
    samples[:, : 2 * RATE] *= 20  # too loud
    chosen = choose_window(written(tmp_path / "a.wav", samples), 2.0)
    assert chosen.start == 7 * RATE
    assert 0 < chosen.anchor_loss < 0.1
    assert chosen.anchor_loss == round(chosen.anchor_loss, 4)
    assert not chosen.conditions_met
