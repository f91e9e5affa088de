"""The em32 model against physics and against the measured properties of EigenScape's microphone."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.special import spherical_jn, spherical_yn

from render.hoa.spherical_harmonics import acn_orders, fibonacci_sphere, gauss_legendre_sphere, spherical_harmonics
from stimuli.em32 import microphone
from stimuli.em32.microphone import (
    encoder,
    equaliser,
    noise_covariance,
    order_energy,
    order_high_pass,
    plane_wave_responses,
    rigid_sphere,
)

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")
ORDERS = acn_orders(4)


def _db(power):
    return 10 * np.log10(power)


def _energies(power):
    return np.array([power[..., n == ORDERS].sum(-1) for n in range(5)])


def test_sphere_pressure_is_incident_plus_scattered():
    """b_n = j^n (j_n - j_n'/h_n' h_n): the textbook form without the Wronskian (Williams 1999, 6.180)."""
    kr = np.array([0.05, 0.3, 1.0, 4.0, 12.0])
    for n in range(6):
        bessel, slope = spherical_jn(n, kr), spherical_jn(n, kr, derivative=True)
        hankel = bessel - 1j * spherical_yn(n, kr)
        hankel_slope = slope - 1j * spherical_yn(n, kr, derivative=True)
        incident_and_scattered = 1j**n * (bessel - slope / hankel_slope * hankel)
        np.testing.assert_allclose(rigid_sphere(5, kr)[n], incident_and_scattered, rtol=1e-5, atol=1e-9)


def test_pressure_doubles_where_a_short_wave_hits_the_sphere():
    """On a sphere that is large against the wavelength the illuminated pole sees a rigid wall: 6 dB."""
    kr = np.array([30.0])
    n = np.arange(61)
    facing = np.abs(np.sum((2 * n + 1) * rigid_sphere(60, kr)[:, 0]))
    assert facing == pytest.approx(2.0, abs=0.06)


def test_ideal_encoding_between_the_corners_and_aliasing():
    azimuth, elevation = fibonacci_sphere(40)
    frequency_hz = np.array([2500.0, 4000.0])
    found = plane_wave_responses(azimuth, elevation, frequency_hz)
    ideal = spherical_harmonics(4, azimuth, elevation)
    filters = (order_high_pass(4, frequency_hz) * equaliser(frequency_hz)).T[:, ORDERS]
    error = np.abs(found - filters[:, None] * ideal) ** 2
    for n in range(4):
        relative_db = _db(error[..., n == ORDERS].sum((1, 2)) / (ideal[:, n == ORDERS] ** 2).sum())
        assert (relative_db < -30).all(), n


def test_pressure_channel_is_flat_up_to_a_kilohertz():
    frequency_hz = np.geomspace(60, 1000, 20)
    found = plane_wave_responses(np.zeros(1), np.zeros(1), frequency_hz)[:, 0, 0]
    assert np.ptp(20 * np.log10(np.abs(found))) < 0.1


@pytest.mark.parametrize(("n", "corner_hz"), [(2, 397), (3, 1042), (4, 1857)])
def test_order_filters_fall_with_butterworth_slopes(n, corner_hz):
    frequency_hz = np.array([corner_hz, corner_hz / 8, corner_hz / 16])
    at_corner, low, lower = _db(order_high_pass(4, frequency_hz)[n] ** 2)
    assert at_corner == pytest.approx(-3.01, abs=0.01)
    assert low - lower == pytest.approx(6.02 * (n + 2), abs=0.1)


def test_aliasing_grows_above_eight_kilohertz():
    """Aliased to total energy per order at 8 kHz: -20, -16, -10, -5 dB, for this array and pinv(Y4)."""
    azimuth, elevation = fibonacci_sphere(200)
    found = plane_wave_responses(azimuth, elevation, np.array([8000.0]))[0]
    ideal = spherical_harmonics(4, azimuth, elevation)
    for n, expected_db in enumerate([-20, -16, -10, -5]):
        part, wanted = found[:, n == ORDERS], ideal[:, n == ORDERS]
        gain = np.vdot(wanted, part) / np.vdot(wanted, wanted)
        aliased = np.abs(part - gain * wanted) ** 2
        assert _db(aliased.sum() / (np.abs(part) ** 2).sum()) == pytest.approx(expected_db, abs=2.5)


def test_capsule_noise_density():
    """-84.3 dBFS white in 24 kHz is -128 dBFS/Hz; W averages 32 capsules, -15 dB at low frequencies."""
    assert microphone.CAPSULE_NOISE_DBFS - _db(24_000) == pytest.approx(-128.1, abs=0.05)
    power = np.diagonal(noise_covariance(np.array([200.0, 1000.0])), axis1=1, axis2=2).real
    low, middle = _db(_energies(power)).T
    assert low[0] == pytest.approx(-_db(32), abs=0.2)
    np.testing.assert_allclose(middle[:4], [-13, -7, 9, 24], atol=1.0)


def test_noise_is_uncorrelated_between_channels_at_high_frequencies():
    covariance = noise_covariance(np.array([15_000.0]), order=3)[0]
    power = np.diag(covariance).real
    correlation = np.abs(covariance) / np.sqrt(np.outer(power, power))
    assert np.max(correlation - np.eye(16)) < 0.2


def test_mismatch_leaks_pressure_into_closed_orders():
    """Expected leakage by a closed form, against the mean over forty simulated microphones."""
    azimuth, elevation, weight = gauss_legendre_sphere(8)
    frequency_hz = np.array([100.0, 300.0])
    power = np.mean(
        [
            weight @ np.abs(plane_wave_responses(azimuth, elevation, frequency_hz, 4, seed)) ** 2
            for seed in range(40)
        ],
        axis=0,
    )
    ratio_db = _db(_energies(power) / _energies(power)[0])
    for n, corner_hz in ((2, 397.0), (3, 1042.0), (4, 1857.0)):
        expected = _db(order_energy(n, frequency_hz, np.array([[corner_hz]]), True))[0]
        np.testing.assert_allclose(ratio_db[n], expected, atol=1.5)


def test_mismatch_belongs_to_the_microphone():
    frequency_hz = np.array([1000.0])
    one, again, other = (encoder(frequency_hz, 4, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    assert np.isfinite(encoder(np.array([0.0, 24_000.0]))).all()


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_encoder_reproduces_the_b_format_of_a_real_recording():
    """EigenScape's Beach.1: its raw capsules through our encoder, against its published channels.

    The model has magnitudes only (the radial filters' phases near the corners are not known), so the
    levels are compared, in the band where each order is open and the recording is above its noise.
    """
    from render.fileio.audio_file import read

    capsules, rate_hz = read(Path(REFERENCE) / "audio" / "raw_em32" / "eigenscape_beach1_raw32_0p3s.wav")
    published, _ = read(Path(REFERENCE) / "audio" / "hoa" / "eigenscape_beach1_4oa_0p3s.wav")
    frequency_hz = np.fft.rfftfreq(capsules.shape[1], 1 / rate_hz)
    window = np.hanning(capsules.shape[1])
    made = np.einsum("fac,cf->af", encoder(frequency_hz), np.fft.rfft(capsules * window))
    wanted = np.fft.rfft(published * window)
    for n, low_hz in enumerate([200, 200, 500, 1300, 2200]):
        inside = (frequency_hz > low_hz) & (frequency_hz < 5000)
        ratio = np.abs(made[n == ORDERS][:, inside]) ** 2
        level_db = _db(ratio.sum() / (np.abs(wanted[n == ORDERS][:, inside]) ** 2).sum())
        assert abs(level_db) < 1.5, (n, level_db)
