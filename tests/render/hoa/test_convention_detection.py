"""Normalisation and channel order are inferred from a recording's covariances."""

import os
from pathlib import Path

import numpy as np
import pytest

from render.fileio.audio_file import write_scene
from render.fileio.channel_levels import channel_levels
from render.hoa.convention_detection import (
    channel_order_misfits,
    likely_channel_order,
    likely_normalisation,
    order_levels_db,
)
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, to_sn3d

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")


def field(order, sources, seed):
    """Covariance of uncorrelated waves from random directions, SN3D."""
    random = np.random.default_rng(seed)
    azimuth, elevation = random.uniform(-np.pi, np.pi, sources), np.arcsin(random.uniform(-1, 1, sources))
    waves = spherical_harmonics(order, azimuth, elevation)
    return (waves.T * random.uniform(0.1, 1, sources)) @ waves


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("convention", "name"), [("sn3d", "ACN"), ("n3d", "ACN"), ("fuma", "FuMa")])
@pytest.mark.parametrize("sources", [1, 3, 60])
def test_each_sequence_is_recognised_and_fits_exactly(order, convention, name, sources):
    back = np.linalg.inv(to_sn3d(order, convention))
    found = channel_order_misfits(back @ field(order, sources, sources) @ back.T)
    assert found[name] < 1e-6
    assert likely_channel_order(found) == name


def test_the_gain_of_an_order_changes_nothing():
    gains = np.array([1.0] + [0.7] * 3 + [0.1] * 5)
    assert channel_order_misfits(field(2, 7, 1) * np.outer(gains, gains))["ACN"] < 1e-6


def test_exchanged_channels_and_wrong_signs_fit_nothing():
    covariance = field(3, 5, 1)
    swapped = np.arange(16)
    swapped[[1, 3]] = [3, 1]
    signs = np.where(np.arange(16) == 2, -1.0, 1.0)
    for wrong in (covariance[np.ix_(swapped, swapped)], covariance * np.outer(signs, signs)):
        assert min(channel_order_misfits(wrong).values()) > 0.1
        assert likely_channel_order(channel_order_misfits(wrong)) == "unclear"


def test_silence_says_nothing():
    assert likely_channel_order(channel_order_misfits(np.zeros((16, 16)))) == "unclear"


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
@pytest.mark.parametrize("name", ["eigenscape_beach1_4oa_0p3s", "jsambisonics_rec1_3oa_sn3d_44k1"])
def test_real_recordings_are_acn(name):
    covariance = channel_levels(Path(REFERENCE) / f"audio/hoa/{name}.wav").covariance
    assert likely_channel_order(channel_order_misfits(covariance)) == "ACN"
    back = np.linalg.inv(to_sn3d(2, "fuma"))
    assert likely_channel_order(channel_order_misfits(back @ covariance[:9, :9] @ back.T)) == "FuMa"


def ambience(order, length=24000, seed=0):
    """Independent noises from 200 directions, SN3D."""
    azimuth, elevation = fibonacci_sphere(200)
    noises = np.random.default_rng(seed).standard_normal((200, length))
    return (0.01 * spherical_harmonics(order, azimuth, elevation).T @ noises).astype(np.float32)


@pytest.mark.parametrize("order", [1, 3, 4])
@pytest.mark.parametrize("name", ["SN3D", "N3D"])
def test_the_normalisation_of_ambience_is_recognised(tmp_path, order, name):
    samples = ambience(order) * (sn3d_to_n3d(order)[:, None] if name == "N3D" else 1.0)
    write_scene(tmp_path / "x.wav", Scene(samples.astype(np.float32), 48000), "PCM_24")
    measured = order_levels_db(channel_levels(tmp_path / "x.wav").band_rms)
    expected = 10 * np.log10(2 * np.arange(order + 1) + 1) if name == "N3D" else np.zeros(order + 1)
    np.testing.assert_allclose(measured, expected, atol=0.7)
    assert likely_normalisation(measured)[0] == name


def test_one_plane_wave_is_recognised_too():
    wave = spherical_harmonics(3, np.array([0.3]), np.array([-0.7]))[0]
    np.testing.assert_allclose(order_levels_db(np.abs(wave)), 0.0, atol=1e-9)
    assert likely_normalisation(order_levels_db(np.abs(wave) * sn3d_to_n3d(3)))[0] == "N3D"


def test_levels_in_between_are_called_unclear():
    assert likely_normalisation(np.array([0.0, 2.4, 3.5, 4.2]))[0] == "unclear"
