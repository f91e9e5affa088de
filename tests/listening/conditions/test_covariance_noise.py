"""Covariance-matched noise: everything of second order is kept, nothing of the waveform."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from listening.conditions.covariance_noise import BANDS, WINDOW, band_edges, covariance_noise
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


@pytest.fixture(scope="module")
def scene():
    """Low noise from the left, high noise from the front and above, 4 s."""
    random = np.random.default_rng(3)
    low = sosfilt(butter(6, 800, "low", fs=RATE, output="sos"), random.standard_normal(4 * RATE))
    high = sosfilt(butter(6, 3000, "high", fs=RATE, output="sos"), random.standard_normal(4 * RATE))
    gains = spherical_harmonics(3, np.radians([90.0, 0.0]), np.radians([0.0, 45.0]))
    samples = 0.05 * (gains[0][:, None] * low / low.std() + gains[1][:, None] * high / high.std())
    return Scene((samples + 1e-4 * random.standard_normal(samples.shape)).astype(np.float32), RATE)


def covariance(scene, low_hz, high_hz):
    filtered = sosfilt(butter(6, (low_hz, high_hz), "band", fs=RATE, output="sos"), scene.samples)
    return np.cov(filtered)


def test_covariances_are_kept_band_by_band_and_the_waveform_is_not(scene):
    made = covariance_noise(scene)
    assert made.samples.shape == scene.samples.shape
    for low_hz, high_hz in ((100, 600), (4000, 8000)):
        expected, found = covariance(scene, low_hz, high_hz), covariance(made, low_hz, high_hz)
        assert np.abs(found - expected).max() < 0.12 * np.trace(expected)
        assert np.trace(found) == pytest.approx(np.trace(expected), rel=0.1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(scene.samples, made.samples, strict=True)]
    assert np.abs(correlation).max() < 0.1


def test_envelopes_are_kept_within_a_block():
    random = np.random.default_rng(0)
    samples = 1e-4 * random.standard_normal((4, RATE))
    samples[:, RATE // 2 : RATE // 2 + 4410] += 0.1 * random.standard_normal(4410)
    made = covariance_noise(Scene(samples.astype(np.float32), RATE)).samples[0]
    frame = 4 * WINDOW
    before, inside = made[: RATE // 2 - frame], made[RATE // 2 + 500 : RATE // 2 + 4000]
    assert 20 * np.log10(inside.std() / before.std()) > 50


def test_the_seed_decides(scene):
    short = Scene(scene.samples[:, :8000], RATE)
    first = covariance_noise(short).samples
    assert np.array_equal(first, covariance_noise(short).samples)
    assert not np.array_equal(first, covariance_noise(short, seed=2).samples)


@pytest.mark.parametrize("frames", [1, 511, 512, 513, 5000])
def test_every_length(frames):
    scene = Scene(np.full((16, frames), 0.1, np.float32), RATE)
    assert covariance_noise(scene).length == frames


def test_silence_stays_silent():
    assert not covariance_noise(Scene(np.zeros((16, 3000), np.float32), RATE)).samples.any()


def test_bands_cover_every_bin_once():
    edges = band_edges(RATE)
    assert edges[0] == 0
    assert edges[-1] == WINDOW // 2 + 1
    assert np.all(np.diff(edges) > 0)
    assert len(edges) <= BANDS + 1
