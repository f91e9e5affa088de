"""Direction and levels band by band, of fields whose errors are known in every band."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics import banded
from analysis.metrics.registry import measure
from analysis.metrics.selftest import plane_wave, scene
from analysis.metrics.spatial import Field
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics, yaw_matrix

RATE = 44100
BANDS = 24


def field(azimuth_deg, power, diffuse=0.0, blocks=6):
    """Field of a plane wave for every band, of the powers given, in an isotropic field."""
    gains = spherical_harmonics(3, np.deg2rad(azimuth_deg), np.zeros(BANDS))
    wave = gains[:, :, None] * gains[:, None, :]
    orders = np.repeat(np.arange(4), 2 * np.arange(4) + 1)
    even = np.diag(1 / (2 * orders + 1)) * diffuse
    covariance = np.asarray(power)[:, None, None] * (wave + even)
    return Field(np.tile(covariance.astype(np.float32), (blocks, 1, 1, 1)), np.zeros((2, BANDS, 1), np.float32))


@given(st.integers(0, BANDS), st.floats(1, 170), st.integers(0, 2**31))
def test_the_direction_error_is_the_share_of_wrong_bands_whatever_their_level(wrong, angle_deg, seed):
    power = 10 ** np.random.default_rng(seed).uniform(-9, -1, BANDS)  # levels 80 dB apart
    moved = np.where(np.arange(BANDS) < wrong, 20.0 + angle_deg, 20.0)
    found = banded.conclude(banded.compare(field(np.full(BANDS, 20.0), power), field(moved, power)))
    assert found["doa_band_deg"] == pytest.approx(angle_deg * wrong / BANDS, abs=0.05)


def test_a_diffuse_band_says_less_of_the_direction():
    """The weights are E(1-ψ) over the band's ΣE: a wave in as much diffuse sound has half of a wave's."""
    noisy = np.arange(BANDS) < 12
    azimuths = np.full(BANDS, 20.0)
    parts = [field(azimuths, np.ones(BANDS), diffuse) for diffuse in (0.0, 1.0)]
    reference = Field(
        np.where(noisy[None, :, None, None], parts[1].covariance, parts[0].covariance), parts[0].maps
    )
    found = banded.conclude(banded.compare(reference, field(azimuths + 30 * noisy, np.ones(BANDS))))
    assert found["doa_band_deg"] == pytest.approx(30 * 0.5 / 1.5, abs=0.01)


def test_bands_in_which_the_reference_is_silent_have_no_direction():
    power = np.where(np.arange(BANDS) < 12, 1e-3, 1e-20)
    azimuths = np.full(BANDS, 20.0)
    found = banded.conclude(banded.compare(field(azimuths, power), field(azimuths + 90 * (power < 1e-9), power)))
    assert found["doa_band_deg"] == pytest.approx(0, abs=0.05)


def test_level_errors_of_both_signs_do_not_cancel():
    azimuths = np.full(BANDS, 35.0)
    power = np.full(BANDS, 1e-3)
    gain = 10 ** (np.where(np.arange(BANDS) % 2, 6.0, -6.0) / 10)
    found = banded.conclude(banded.compare(field(azimuths, power), field(azimuths, power * gain)))
    assert [found[f"ord{n}_band_db"] for n in range(4)] == pytest.approx([6.0] * 4, abs=1e-5)
    assert found["doa_band_deg"] == pytest.approx(0, abs=0.05)


def test_scenes_in_memory():
    """A turned plane wave; an order 6 dB too low; an order lost down to the floor; a scene without directions."""
    signal = np.random.default_rng(5).standard_normal(30_000) * 0.1
    wave = plane_wave(signal, 20, 0)
    turned = measure(as_scene(wave), as_scene(yaw_matrix(3, np.deg2rad(15)) @ wave))
    assert turned["doa_band_deg"] == pytest.approx(15, abs=0.01)
    reference = scene(0.7)
    gains = np.where(np.arange(16) < 9, 1.0, 0.5)[:, None]
    quieter = measure(reference, as_scene(reference.samples * gains))
    assert quieter["ord3_band_db"] == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert [quieter["ord2_band_db"], quieter["doa_band_deg"]] == pytest.approx([0, 0], abs=1e-5)
    lost = measure(reference, as_scene(reference.samples * (gains == 1)))
    assert 60 < lost["ord3_band_db"] < 130
    mono = measure(as_scene(signal[None]), as_scene(0.5 * signal[None]))
    assert mono["doa_band_deg"] is None
    assert mono["ord0_band_db"] == pytest.approx(20 * np.log10(2), abs=1e-4)


def as_scene(samples):
    return Scene(np.asarray(samples, np.float32), RATE)
