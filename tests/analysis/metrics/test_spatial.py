"""Spatial measures of fields whose directions, diffuseness and covariances are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics import spatial
from analysis.metrics.framing import array_reader, segments
from analysis.metrics.registry import measure, measure_all
from analysis.metrics.selftest import plane_wave, scene
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import fibonacci_sphere, mirror_signs, spherical_harmonics, yaw_matrix

RATE = 44100
SIGNAL = np.random.default_rng(5).standard_normal(30_000) * 0.1


def as_scene(samples):
    return Scene(np.asarray(samples, np.float32), RATE)


def field(samples):
    (segment,) = segments(array_reader(np.asarray(samples, np.float32)), samples.shape[1], RATE)
    return spatial.describe(segment)


def test_covariances_are_variances():
    """Parseval: white noise of variance s has s in all bands together, times their share of the bandwidth."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((16, 90_000))
    covariance = field(samples).covariance.mean(axis=0).sum(axis=0)
    share = (743 - 2) / 1025
    assert np.diag(covariance) == pytest.approx(np.full(16, 0.01 * share), rel=0.05)


def test_real_part_of_the_covariance_is_the_programs_definition():
    samples = np.random.default_rng(0).standard_normal((4, 6000)).astype(np.float32)
    (segment,) = segments(array_reader(samples), 6000, RATE)
    found = spatial.band_covariances(segment)
    spectrum = segment.field[:, :5, 262:313]
    expected = np.einsum("ctf,dtf->cd", spectrum, spectrum.conj()).real
    assert found[0, 18] / found[0, 18, 0, 0] == pytest.approx(expected / expected[0, 0], rel=1e-4, abs=1e-5)


@given(st.floats(-180, 180), st.floats(-89, 89))
def test_a_plane_wave_comes_from_where_it_comes_from(azimuth_deg, elevation_deg):
    gains = spherical_harmonics(3, np.deg2rad([azimuth_deg]), np.deg2rad([elevation_deg]))[0]
    direction, diffuseness, energy = spatial.intensity(np.outer(gains, gains))
    azimuth, elevation = np.deg2rad([azimuth_deg, elevation_deg])
    expected = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    assert direction == pytest.approx(expected, abs=1e-9)
    assert diffuseness == pytest.approx(0, abs=1e-9)
    assert energy == pytest.approx(1)


def test_a_diffuse_field_is_diffuse_and_its_map_even():
    directions = fibonacci_sphere(400)
    gains = spherical_harmonics(3, *directions)
    covariance = gains.T @ gains / 400
    assert spatial.intensity(covariance)[1] == pytest.approx(1, abs=1e-3)
    beams = spatial.beams(3)
    energy = np.einsum("gi,ij,gj->g", beams, covariance, beams)
    assert energy / energy.mean() == pytest.approx(np.ones(240), abs=0.02)


def test_the_beam_at_the_source_is_the_strongest():
    azimuth, elevation = fibonacci_sphere(240)
    for point in (0, 77, 239):
        gains = spherical_harmonics(3, azimuth[point : point + 1], elevation[point : point + 1])[0]
        assert np.square(spatial.beams(3) @ gains).argmax() == point


@pytest.mark.parametrize("angle_deg", [5, 15, 90])
def test_a_turned_source_is_off_by_the_angle(angle_deg):
    reference = plane_wave(SIGNAL, 20, 0)
    found = measure(as_scene(reference), as_scene(yaw_matrix(3, np.deg2rad(angle_deg)) @ reference))
    assert found["doa_deg"] == pytest.approx(angle_deg, abs=0.01)
    assert found["rE_ang_deg"] == pytest.approx(angle_deg, abs=0.3)
    assert found["diff_mae"] == pytest.approx(0, abs=1e-5)
    assert found["mel_W"] == 0


def test_eq_3_is_blind_to_panning_and_the_maps_are_not():
    found = measure(as_scene(plane_wave(SIGNAL, 40, 20)), as_scene(plane_wave(SIGNAL, 44, 20)))
    assert found["cov_sum"] == pytest.approx(0, abs=1e-6)
    assert found["covband_mean"] == pytest.approx(0, abs=1e-5)
    assert found["doa_deg"] == pytest.approx(3.76, abs=0.02)  # 4 degrees of azimuth on a small circle
    assert found["covu_rel"] == pytest.approx(0.139, abs=0.001)
    assert found["map_corr"] < 0.998


def test_what_each_measure_ignores():
    """Gain: directions, correlations. Mirror: diffuseness, orders. Normalisation: eq. 3 and DirAC's direction."""
    x = scene(0.7).samples.astype(float)
    norm = np.sqrt(2 * np.repeat(np.arange(4), [1, 3, 5, 7]) + 1)
    found = measure_all(as_scene(x), {
        "gain": as_scene(0.5 * x),
        "mirror": as_scene(mirror_signs(3)[:, None] * x),
        "n3d": as_scene(norm[:, None] * x),
    })  # fmt: skip
    zero = ("cov_sum", "covband_mean", "doa_deg", "diff_mae", "map_jsd_bits", "ls_cld_db", "ls_covband", "iacc")
    assert [found["gain"][name] for name in zero] == pytest.approx([0] * len(zero), abs=2e-3)
    assert found["gain"]["ls_lvl_db"] == pytest.approx(6.02, abs=0.01)
    assert found["gain"]["map_corr"] == pytest.approx(1)
    assert [found["mirror"][name] for name in ("diff_mae", "ord1_db", "iacc")] == pytest.approx(
        [0, 0, 0], abs=1e-3
    )
    assert found["mirror"]["doa_deg"] > 30
    assert found["mirror"]["cov_sum"] > 5
    assert [found["n3d"][name] for name in ("cov_sum", "doa_deg")] == pytest.approx([0, 0], abs=1e-3)
    assert found["n3d"]["ord2_db"] == pytest.approx(10 * np.log10(5), abs=1e-3)


def test_silence_against_a_scene_is_finite():
    x = scene(0.7)
    found = measure(x, as_scene(0 * x.samples))
    assert found["doa_deg"] == pytest.approx(90)
    assert found["map_corr"] == pytest.approx(0)
    assert found["rE_mag"] > 0
    assert all(value is None or np.isfinite(value) for value in found.values())


def test_w_alone_has_no_direction():
    x = scene(0.7).samples
    found = measure(as_scene(x), as_scene(x * (np.arange(16) == 0)[:, None]))
    assert [found[name] for name in ("doa_deg", "rE_ang_deg", "map_corr")] == pytest.approx([90, 90, 0], abs=1e-3)
    assert found["diff_bias"] > 0.1


@pytest.mark.parametrize("channels", [1, 4, 9, 25])
def test_other_orders(channels):
    """Everything is defined for every order, or empty: a mono scene has no direction."""
    x = 0.1 * np.random.default_rng(1).standard_normal((channels, 30_000))
    found = measure(as_scene(x), as_scene(0.5 * x))
    assert (found["doa_deg"] is None) == (found["cov_sum"] is None) == (channels == 1)
    assert found["map_lsd_db"] == pytest.approx(6.02, abs=0.05)
    assert found["ls_lvl_db"] == pytest.approx(6.02, abs=0.05)
