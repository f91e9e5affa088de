"""The rigid-sphere head against the physics of a sphere."""

import numpy as np
import pytest

from analysis.metrics import interaural
from analysis.metrics.framing import WINDOW, array_reader, segments
from analysis.metrics.selftest import plane_wave
from render.headphones.hrir import RADIUS_M, SPEED_OF_SOUND_M_S, sphere_pressure
from render.hoa.spherical_harmonics import mirror_signs, spherical_harmonics

RATE = 44100
SIGNAL = np.random.default_rng(5).standard_normal(30_000) * 0.1


def cues(azimuth_deg, samples=None):
    samples = plane_wave(SIGNAL, azimuth_deg, 0) if samples is None else samples
    (segment,) = segments(array_reader(samples.astype(np.float32)), samples.shape[1], RATE)
    return interaural.describe(segment)


def test_low_frequencies_pass_the_sphere_unchanged_but_for_the_phase():
    """ka -> 0: H = 1 + 3/2 i ka cos Θ (Kuhn 1977)."""
    hz = np.array([20.0])
    ka = 2 * np.pi * hz * RADIUS_M / SPEED_OF_SOUND_M_S
    cosine = np.array([-1.0, -0.3, 0.0, 0.5, 1.0])
    found = sphere_pressure(hz, cosine)[:, 0]
    assert found == pytest.approx(1 + 1.5j * ka[0] * cosine, abs=3 * ka[0] ** 2)


def test_high_frequencies_double_at_the_bright_side():
    """A rigid wall doubles the pressure; the bright spot behind a sphere stays under the incident wave."""
    found = np.abs(sphere_pressure(np.array([12_000.0]), np.array([1.0, 0.0, -0.7])))[:, 0]
    assert found[0] == pytest.approx(2, abs=0.05)
    assert found[0] > found[1] > found[2]


@pytest.mark.parametrize("azimuth_deg", [0, 30, 60, 90, 120])
def test_time_differences_are_kuhns(azimuth_deg):
    """Low-frequency ITD of a sphere, 3/2 a/c (cos Θ_left - cos Θ_right)."""
    found = cues(azimuth_deg)
    angles = np.deg2rad([azimuth_deg - 100, azimuth_deg + 100])
    expected_us = 1e6 * 1.5 * RADIUS_M / SPEED_OF_SOUND_M_S * -np.subtract(*np.cos(angles[::-1]))
    assert np.median(found.itd_us[:, 4:8]) == pytest.approx(expected_us, rel=0.07, abs=6)


def test_level_differences_grow_with_frequency_and_change_sides():
    left, right = cues(60), cues(-60)
    assert left.ild_db == pytest.approx(-right.ild_db, abs=1e-3)
    middle = np.median(left.ild_db, axis=0)
    assert middle[2] < 2 < 8 < middle[18]
    assert np.abs(cues(0).ild_db).max() < 1e-3


def test_a_source_is_coherent_and_a_diffuse_field_is_not():
    assert np.median(cues(40).coherence) > 0.95
    rng = np.random.default_rng(0)
    azimuth, elevation = rng.uniform(-np.pi, np.pi, 100), np.arcsin(rng.uniform(-1, 1, 100))
    diffuse = spherical_harmonics(3, azimuth, elevation).T @ rng.standard_normal((100, 30_000)) * 0.01
    assert np.median(cues(0, diffuse).coherence[:, 15:]) < 0.6


def test_the_head_is_symmetric():
    filters = interaural.ear_filters(3, RATE)
    assert filters.shape == (WINDOW // 2 + 1, 2, 16)
    assert np.array_equal(filters[:, 1], filters[:, 0] * mirror_signs(3))


def test_magnitudes_survive_the_order():
    """magLS keeps the level of the sphere's response above 2 kHz, where order 3 cannot follow its phase."""
    hz = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    high = (hz > 3000) & (hz < 12_000)
    azimuth_deg = np.arange(-180, 180, 20)
    gains = spherical_harmonics(3, np.deg2rad(azimuth_deg), 0 * azimuth_deg)
    found = np.square(np.abs(interaural.ear_filters(3, RATE)[high, 0] @ gains.T)).mean(axis=1)
    exact = np.square(np.abs(sphere_pressure(hz[high], np.cos(np.deg2rad(azimuth_deg - 100))))).mean(axis=0)
    assert np.abs(10 * np.log10(found / exact)).max() < 2.5


def differences(reference, test):
    return interaural.evaluate(reference.astype(np.float32), test.astype(np.float32), RATE)


def test_a_gain_is_loudness_and_no_colour():
    scene = plane_wave(SIGNAL, 40, 0)
    found = differences(scene, scene * 10 ** (-4 / 20))
    assert found["ear_loud_db"] == pytest.approx(4, abs=1e-3)
    assert found["ear_colour_db"] == pytest.approx(0, abs=1e-3)


def test_a_shelf_is_the_colour_that_its_bands_have():
    """From the powers of the signal itself: in front both ears have the same, so one ear stands for both."""
    scene = plane_wave(SIGNAL, 0, 0)
    spectrum = np.fft.rfft(scene, axis=1)
    high = np.fft.rfftfreq(scene.shape[1], 1 / RATE) > 2000
    test = np.fft.irfft(np.where(high, spectrum * 2, spectrum), scene.shape[1], axis=1)
    described = cues(0, scene)
    centres = interaural.erb_band_centres_hz(RATE)
    weights, gain = described.loudness.sum(axis=0), np.where(centres > 2000, 20 * np.log10(2), 0.0)
    loud = 10 * np.log2(np.average(2 ** (gain / 10), weights=weights))
    found = differences(scene, test)
    assert found["ear_loud_db"] == pytest.approx(loud, abs=0.1)
    assert found["ear_colour_db"] == pytest.approx(np.average(np.abs(gain - loud), weights=weights), abs=0.15)


def test_a_turn_of_the_head_changes_the_loudness_less_than_the_levels_of_the_ears():
    found = differences(plane_wave(SIGNAL, 0, 0), plane_wave(SIGNAL, 90, 0))
    assert found["ild_db"] > 5
    assert found["ear_loud_db"] < 2
    assert differences(plane_wave(SIGNAL, 40, 0), plane_wave(SIGNAL, -40, 0))["ear_colour_db"] < 1e-3
