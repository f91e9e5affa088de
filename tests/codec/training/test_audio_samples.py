"""Energy maps of audio samples."""

import numpy as np
import pytest
import torch

from codec.training.audio_samples import AZIMUTH_DEG, ELEVATION_DEG, band_covariances, energy_map_db
from render.hoa.spherical_harmonics import spherical_harmonics


def wave(azimuth_deg, order=3, seconds=0.5, seed=0):
    """A plane wave of white noise at 30 degrees elevation."""
    noise = np.random.default_rng(seed).standard_normal(round(44_100 * seconds))
    gains = spherical_harmonics(order, np.radians([azimuth_deg]), np.radians([30.0]))[0]
    return torch.from_numpy((0.1 * gains[:, None] * noise)[None].astype(np.float32))


def test_the_map_is_loudest_where_the_wave_comes_from():
    for azimuth in (-120, 45):
        for covariance in band_covariances(wave(azimuth)[0].numpy(), 44_100):
            level = energy_map_db(covariance)
            row, column = np.unravel_index(level.argmax(), level.shape)
            assert abs(AZIMUTH_DEG[column] - azimuth) <= 5
            assert abs(ELEVATION_DEG[row] - 30) <= 5
            # a beam of order 3 has its first null 20 dB below within 70 degrees
            assert level.max() - np.median(level) > 8


def test_the_covariances_of_the_bands_add_up_to_the_energy():
    """A sine of 1 kHz lies in the second band only; Parseval for half a spectrum: N² A² / 4."""
    t = np.arange(44_100) / 44_100
    sine = (0.5 * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)
    low, middle, high = (c[0, 0] for c in band_covariances(sine, 44_100))
    assert middle == pytest.approx((44_100 * 0.5 / 2) ** 2, rel=1e-4)
    assert max(low, high) < 1e-6 * middle
