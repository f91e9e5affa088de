"""The intensity loss against closed forms for plane waves and diffuse fields."""

import math

import numpy as np
import pytest
import torch

from codec.losses.bands import erb_bands
from codec.losses.intensity import intensities, intensity_distance
from codec.losses.stft import stft
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics

BANDS = erb_bands(44_100, 2048, 20)


def spectrum(x):
    return stft(x, 2048, 512)


def distance(x, y):
    return intensity_distance(spectrum(x), spectrum(y), BANDS)


def test_intensity_of_a_plane_wave_is_its_energy(plane_wave):
    """In SN3D |I| = E; the direction is that of the wave, in the order Y, Z, X."""
    vector, energy = intensities(spectrum(plane_wave(40, 20, samples=22_050)), BANDS)
    torch.testing.assert_close(torch.linalg.vector_norm(vector, dim=2), energy, rtol=1e-4, atol=0)
    az, el = np.radians([40, 20])
    unit = torch.tensor([np.sin(az) * np.cos(el), np.sin(el), np.cos(az) * np.cos(el)], dtype=torch.float32)
    torch.testing.assert_close(vector / energy[:, :, None], unit[:, None].expand_as(vector), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("angle_deg", [4, 30, 90, 180])
def test_intensity_of_a_moved_plane_wave(angle_deg, plane_wave):
    """Two unit vectors at the angle θ are 2 sin(θ/2) apart."""
    x, y = plane_wave(10, 0, samples=22_050), plane_wave(10 + angle_deg, 0, samples=22_050)
    expected = 2 * math.sin(math.radians(angle_deg) / 2)
    assert distance(x, y).item() == pytest.approx(expected, rel=2e-3)


def test_intensity_of_gains_of_a_diffuse_field_and_of_silence(noise, plane_wave):
    """|1 - g²| for a gain; 1 for silence; a field from everywhere has an intensity of about 0."""
    x = plane_wave(40, 20, samples=44_100)
    assert distance(x, 0.5 * x).item() == pytest.approx(0.75, rel=2e-3)
    assert distance(x, 0 * x).item() == pytest.approx(1, rel=2e-3)
    directions = spherical_harmonics(3, *fibonacci_sphere(60))
    diffuse = torch.tensor(directions.T, dtype=torch.float32) @ noise(5, 1, 60, 44_100) / math.sqrt(60)
    vector, energy = intensities(spectrum(diffuse), BANDS)
    mean = torch.linalg.vector_norm(vector.mean(-1), dim=2) / energy.mean(-1)
    assert mean.max() < 0.25  # 430 frames of few bins in the lowest bands; a plane wave has 1
    assert mean[:, 10:].max() < 0.06
    assert distance(x, diffuse).item() == pytest.approx(1, abs=0.15)


def test_intensity_needs_first_order(noise):
    x = spectrum(noise(0, 1, 2, 4096))
    with pytest.raises(ValueError, match="W, Y, Z and X, but there are 2"):
        intensity_distance(x, x, BANDS)
