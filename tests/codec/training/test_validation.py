"""Validation by closed forms: amplified, rotated, mirrored and noisy copies; which excerpts are taken."""

import numpy as np
import pytest
import torch

from codec.rvqgan.config import ModelConfig
from codec.training.recordings import SignalFormat, open_recordings
from codec.training.validation import ValidationSet, channel_groups, columns, distances, excerpt_length
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


def test_distances_to_itself_are_zero():
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


def test_a_rotated_wave_has_another_direction_and_the_same_timbre():
    """A rotation by 40 degrees at elevation 30: the angle between the vectors by the cosine rule."""
    x = wave(10)
    rotated = torch.from_numpy(yaw_matrix(3, np.radians(40)).astype(np.float32)) @ x
    found = distances(x, rotated, THIRD)
    cosine = np.sin(np.pi / 6) ** 2 + np.cos(np.pi / 6) ** 2 * np.cos(np.radians(40))
    assert found["direction_deg"] == pytest.approx(np.degrees(np.arccos(cosine)), abs=0.1)
    assert found["diffuseness"] == pytest.approx(0, abs=1e-3)
    assert found["level_order_3_db"] == pytest.approx(0, abs=1e-3)


def test_a_mirrored_scene_shows_in_the_direction_and_not_in_the_mel_distance():
    x = field(1) + 3 * wave(60, 1)
    mirrored = torch.from_numpy(mirror_signs(1).astype(np.float32))[:, None] * x
    found = distances(x, mirrored, FIRST)
    assert found["mel"] == pytest.approx(0, abs=1e-5)
    assert found["direction_deg"] > 60
    assert found["covariance"] > 0.3


def test_a_wave_that_becomes_diffuse_changes_the_diffuseness():
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
    assert list(channel_groups(config)) == list(labels)
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
    paths = sorted(material(4).glob("*.8.wav"))
    recordings = open_recordings(paths, SignalFormat(4, 44_100), -24.0)  # 26460 samples each

    def excerpts(per_recording, part=slice(None)):
        return list(ValidationSet(recordings, 4000, per_recording).excerpts(part))

    three = excerpts(3)
    assert len(three) == 6
    gap = (26_460 - 3 * 4000) / 4
    for index, item in enumerate(three):
        start = round(gap + index % 3 * (4000 + gap))
        recording = recordings[index // 3]
        expected = np.empty((4000, 4), np.int16)
        recording.samples.copy(start, expected)
        np.testing.assert_allclose(item[0].T, expected * (recording.gain * recording.samples.scale), rtol=1e-6)
    assert len(excerpts(0)) == len(excerpts(99)) == 12  # 26460 // 4000 = 6 of each
    shared = [*excerpts(3, slice(0, None, 2)), *excerpts(3, slice(1, None, 2))]
    assert sorted(float(i.sum()) for i in shared) == sorted(float(i.sum()) for i in three)


def test_length_of_the_excerpts():
    assert excerpt_length([10**6, 300_000], 44_100, 512, 6.0) == 264_192  # 6 s = 264600, in whole frames
    assert excerpt_length([10**6, 300_000], 44_100, 512, 5.004) == 220_672  # the paper's excerpts
    assert excerpt_length([10**6, 100_000], 44_100, 512, 6.0) == 99_840
    with pytest.raises(InputError, match="shortest held-out recording has 1000 samples"):
        excerpt_length([10**6, 1000], 44_100, 512, 6.0)
