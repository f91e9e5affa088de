"""Validation by closed forms: amplified, delayed, turned and noisy copies; which excerpts are taken; pictures."""

import numpy as np
import pytest
import torch

from codec.rvqgan.config import ModelConfig
from codec.training import audio_samples as samples
from codec.training.excerpts import Excerpts
from codec.training.validation import columns, distances, excerpt_frames, groups, held_out
from render.common.errors import InputError
from render.hoa.layout import layout
from render.hoa.spherical_harmonics import mirror_signs, spherical_harmonics, yaw_matrix

FIRST, THIRD = ModelConfig(channels=4), ModelConfig(channels=16)


def wave(azimuth_deg, order=3, seconds=0.5, seed=0):
    """A plane wave of white noise at 30 degrees elevation."""
    noise = np.random.default_rng(seed).standard_normal(round(44_100 * seconds))
    gains = spherical_harmonics(order, np.radians([azimuth_deg]), np.radians([30.0]))[0]
    return torch.from_numpy((0.1 * gains[:, None] * noise)[None].astype(np.float32))


def field(order=3, seconds=0.5):
    """Waves from all around: diffuse."""
    random = np.random.default_rng(1)
    return sum(wave(a, order, seconds, seed) for seed, a in enumerate(random.uniform(0, 360, 24)))


def test_nothing_is_wrong_with_the_same():
    found = distances(field(), field(), THIRD)
    assert list(found) == columns(THIRD)
    for name in ("mel", "covariance", "band_covariance", "diffuseness"):
        assert found[name] == pytest.approx(0, abs=1e-5)
    assert found["direction_deg"] < 0.1  # the arc cosine near 1 in float32
    assert found["snr_db"] > 80
    assert [found[f"level_order_{n}_db"] for n in range(4)] == pytest.approx([0] * 4, abs=1e-4)


def test_gain_is_a_level_and_a_signal_to_noise_ratio():
    x = field()
    found = distances(x, 0.5 * x, THIRD)
    assert found["snr_db"] == pytest.approx(20 * np.log10(2), abs=0.01)
    assert found["snr_low_db"] == pytest.approx(20 * np.log10(2), abs=0.01)
    assert found["mel"] == pytest.approx(7 * np.log10(2), rel=0.01)
    assert found["level_order_2_db"] == pytest.approx(-20 * np.log10(2), abs=0.01)
    assert found["covariance"] == pytest.approx(0, abs=1e-3)
    one = x.clone()
    one[:, 4:9] *= 2
    found = distances(x, one, THIRD)
    levels = [found[f"level_order_{n}_db"] for n in range(4)]
    assert levels == pytest.approx([0, 0, 20 * np.log10(2), 0], abs=0.01)


def test_a_turned_wave_has_another_direction_and_the_same_timbre():
    """A turn by 40 degrees at elevation 30: the angle between the vectors by the cosine rule."""
    x = wave(10)
    turned = torch.from_numpy(yaw_matrix(3, np.radians(40)).astype(np.float32)) @ x
    found = distances(x, turned, THIRD)
    cosine = np.sin(np.pi / 6) ** 2 + np.cos(np.pi / 6) ** 2 * np.cos(np.radians(40))
    assert found["direction_deg"] == pytest.approx(np.degrees(np.arccos(cosine)), abs=0.1)
    assert found["diffuseness"] == pytest.approx(0, abs=1e-3)
    assert found["level_order_3_db"] == pytest.approx(0, abs=1e-3)


def test_a_mirrored_scene_is_seen_although_mel_is_blind():
    x = field(1) + 3 * wave(60, 1)
    mirrored = torch.from_numpy(mirror_signs(1).astype(np.float32))[:, None] * x
    found = distances(x, mirrored, FIRST)
    assert found["mel"] == pytest.approx(0, abs=1e-5)
    assert found["direction_deg"] > 60
    assert found["covariance"] > 0.3


def test_a_wave_that_becomes_diffuse():
    found = distances(wave(0, 1), 0.3 * field(1), FIRST)
    assert found["diffuseness"] > 0.4


def test_noise_above_500_hz_is_not_counted_below():
    x = field(1)
    spectrum = torch.fft.rfft(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    spectrum[..., : round(2000 * x.shape[-1] / 44_100)] = 0
    noise = torch.fft.irfft(spectrum, x.shape[-1])
    noise *= (x.square().sum() / noise.square().sum() / 10).sqrt()
    found = distances(x, x + noise, FIRST)
    assert found["snr_db"] == pytest.approx(10, abs=0.01)
    assert found["snr_low_db"] > 30


def test_feeds_have_the_levels_of_their_loudspeakers():
    config = ModelConfig(channels=12, layout="7.1.4")
    labels = layout("7.1.4").labels
    assert list(groups(config)) == list(labels)
    assert not {"direction_deg", "diffuseness"} & set(columns(config))
    x = 0.1 * torch.randn(1, 12, 8192, generator=torch.Generator().manual_seed(0))
    x[:, 3] = 0
    y = x.clone()
    y[:, 5] *= 10
    found = distances(x, y, config)
    assert found[f"level_{labels[5]}_db"] == pytest.approx(20, abs=0.01)
    assert found[f"level_{labels[3]}_db"] == 0  # silent in both
    assert np.isfinite(list(found.values())).all()


def test_held_out_excerpts_are_evenly_spaced_and_every_recording_counts(material):
    folder = material(4)
    paths = sorted(folder.glob("*.8.wav"))
    checks = Excerpts(paths, 4000, 4, 44_100, level_dbfs=-24.0, turn=False, seed=1)  # 26460 samples each
    three = list(held_out(checks, 3))
    assert len(three) == 6
    gap = (26_460 - 3 * 4000) / 4
    for index, item in enumerate(three):
        start = round(gap + index % 3 * (4000 + gap))
        recording = checks.recordings[index // 3]
        expected = np.empty((4000, 4), np.int16)
        recording.copy(start, expected)
        np.testing.assert_allclose(item[0].T, expected * (checks.gains[index // 3] * recording.step), rtol=1e-6)
    assert len(list(held_out(checks, 0))) == len(list(held_out(checks, 99))) == 12  # 26460 // 4000 = 6 of each
    shared = [*held_out(checks, 3, slice(0, None, 2)), *held_out(checks, 3, slice(1, None, 2))]
    assert sorted(float(i.sum()) for i in shared) == sorted(float(i.sum()) for i in three)


def test_length_of_the_excerpts():
    assert excerpt_frames([10**6, 300_000], 44_100, 512) == 264_192  # 6 s = 264600, in whole frames
    assert excerpt_frames([10**6, 100_000], 44_100, 512) == 99_840
    with pytest.raises(InputError, match="shortest held-out recording has 1000 samples"):
        excerpt_frames([10**6, 1000], 44_100, 512)


def test_the_map_is_loudest_where_the_wave_comes_from():
    for azimuth in (-120, 45):
        for covariance in samples.band_covariances(wave(azimuth)[0].numpy(), 44_100):
            level = samples.energy_map_db(covariance)
            row, column = np.unravel_index(level.argmax(), level.shape)
            assert abs(samples.AZIMUTH_DEG[column] - azimuth) <= 5
            assert abs(samples.ELEVATION_DEG[row] - 30) <= 5
            # a beam of order 3 has its first null 20 dB below within 70 degrees
            assert level.max() - np.median(level) > 8


def test_the_covariances_of_the_bands_add_up_to_the_energy():
    """A sine of 1 kHz lies in the second band only; Parseval for half a spectrum: N² A² / 4."""
    t = np.arange(44_100) / 44_100
    sine = (0.5 * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)
    low, middle, high = (c[0, 0] for c in samples.band_covariances(sine, 44_100))
    assert middle == pytest.approx((44_100 * 0.5 / 2) ** 2, rel=1e-4)
    assert max(low, high) < 1e-6 * middle
