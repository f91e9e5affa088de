"""Signals of known covariance for the tests of the losses; each fixture is a function that makes one."""

import numpy as np
import pytest
import torch

from render.hoa.spherical_harmonics import spherical_harmonics


def _noise(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def noise():
    """White Gaussian noise: noise(seed, *shape)."""
    return _noise


@pytest.fixture
def plane_wave():
    """One plane wave of noise in third-order Ambisonics (1, 16, samples)."""

    def make(azimuth_deg, elevation_deg, seed=0, samples=8192):
        gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg]))[0]
        return torch.tensor(gains, dtype=torch.float32)[None, :, None] * _noise(seed, 1, 1, samples)

    return make


@pytest.fixture
def correlated_scene():
    """16 channels of noise, mixed at random so that the channels correlate (1, 16, samples)."""

    def make(seed=0, samples=44_100):
        return (_noise(seed + 1, 16, 16) * 0.3 + torch.eye(16)) @ _noise(seed, 1, 16, samples) * 0.05

    return make


@pytest.fixture
def silenced():
    """A copy of a signal in which the given channels are 0."""

    def make(x, channels):
        y = x.clone()
        y[:, channels] = 0
        return y

    return make
