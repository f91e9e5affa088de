"""Statistics of scenes against closed forms and against real recordings whose values are known."""

import os
from pathlib import Path

import numpy as np
import pytest

from render.common.errors import InputError
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics
from stimuli.field_statistics.recording_report import report
from stimuli.field_statistics.statistics import effective_rank, measure

REFERENCE = os.environ.get("HOA_REFERENCE_DATA")
RATE_HZ = 48_000


def _noise(count, seconds, seed=0):
    return np.random.default_rng(seed).standard_normal((count, int(seconds * RATE_HZ)))


def _encoded(signals, azimuth, elevation, order=3):
    return (spherical_harmonics(order, azimuth, elevation).T @ signals).astype(np.float32) * 0.05


def plane_wave(seconds=1.0):
    return _encoded(_noise(1, seconds), np.radians([40.0]), np.radians([20.0]))


def isotropic(seconds=3.0, directions=200):
    return _encoded(_noise(directions, seconds), *fibonacci_sphere(directions)) / 10


def anisotropic(order=3, seconds=3.0):
    """Twelve incoherent waves of different levels."""
    rng = np.random.default_rng(5)
    signals = _noise(12, seconds, 6) * 10 ** rng.uniform(-1, 0, (12, 1))
    return _encoded(signals, rng.uniform(-np.pi, np.pi, 12), rng.uniform(-0.7, 1.2, 12), order)


def test_plane_wave():
    """One wave: every order has the energy of W in SN3D, rank 1, diffuseness 0, all channels coherent."""
    found = measure([plane_wave()], RATE_HZ)
    np.testing.assert_allclose(found.order_db, 0, atol=1e-3)
    assert found.mean_correlation == pytest.approx(1, abs=1e-4)
    assert (found.channels, found.order, found.length) == (16, 3, RATE_HZ)
    for band in found.bands:
        assert band.effective_rank == pytest.approx(1, abs=1e-3)
        assert band.diffuseness == pytest.approx(0, abs=1e-3)
        np.testing.assert_allclose(band.order_db, 0, atol=1e-2)


def test_isotropic_field():
    """Waves from everywhere: 16 equal eigenvalues in N3D, diffuseness near 1, no correlation."""
    found = measure([isotropic()], RATE_HZ)
    assert found.mean_correlation < 0.02
    for band in found.bands[4:]:
        assert band.effective_rank > 15.5
        # The intensity of a finite number of bins is never quite zero
        assert band.diffuseness > 0.92
        np.testing.assert_allclose(band.order_db, 0, atol=0.4)


def test_two_opposite_waves_have_no_net_intensity():
    azimuth = np.radians([0.0, 180.0])
    found = measure([_encoded(_noise(2, 4.0), azimuth, np.zeros(2))], RATE_HZ)
    assert found.bands[6].diffuseness > 0.9
    # Their harmonics have the product 1 - 3 + 5 - 7 of 16, so the eigenvalues are in the ratio 5 : 3
    expected = np.exp(-(0.625 * np.log(0.625) + 0.375 * np.log(0.375)))
    assert found.bands[6].effective_rank == pytest.approx(expected, abs=0.01)


def test_level_and_slope_of_known_noise():
    spectrum = np.fft.rfft(_noise(1, 8.0)[0])
    frequency_hz = np.maximum(np.fft.rfftfreq(8 * RATE_HZ, 1 / RATE_HZ), 20)
    pink = np.fft.irfft(spectrum * (frequency_hz / 1000) ** (-9 / 6.0206))
    pink *= 0.01 / pink.std()
    found = measure([np.tile(pink.astype(np.float32), (4, 1))], RATE_HZ)
    assert found.level_dbfs == pytest.approx(-40, abs=0.1)
    assert found.slope_db_per_octave == pytest.approx(-9, abs=0.3)
    octave = found.bands[3].level_dbfs - found.bands[2].level_dbfs
    assert octave == pytest.approx(-9 + 3, abs=0.5)


@pytest.mark.parametrize("convention", ["ACN SN3D", "ACN N3D", "FuMa"])
def test_convention_is_recognised(convention):
    scene = anisotropic(2)
    if convention == "ACN N3D":
        scene = scene * sn3d_to_n3d(2)[:, None].astype(np.float32)
    elif convention == "FuMa":
        # W X Y Z R S T U V; gains of Malham's maxN: W -3 dB, 2/sqrt(3) for S T U V
        second = np.float32(2 / np.sqrt(3))
        gains = [np.float32(0.5**0.5), 1, 1, 1, 1, second, second, second, second]
        scene = np.stack([g * scene[acn] for g, acn in zip(gains, [0, 3, 1, 2, 6, 7, 5, 8, 4], strict=True)])
    found = measure([scene.astype(np.float32)], RATE_HZ)
    assert found.convention == convention
    errors = sorted(found.convention_errors.values())
    assert errors[0] < 0.1
    assert errors[1] > 3 * errors[0]


def test_ideal_scene_has_no_order_filters():
    assert measure([anisotropic()], RATE_HZ).corners_hz == {}


def test_order_filters_without_leakage_are_found():
    """Butterworth high-passes by another library on an ideal scene."""
    from scipy.signal import butter, sosfilt

    scene = anisotropic()
    scene[4:9] = sosfilt(butter(4, 397, "high", fs=RATE_HZ, output="sos"), scene[4:9])
    scene[9:16] = sosfilt(butter(5, 1042, "high", fs=RATE_HZ, output="sos"), scene[9:16])
    found = measure([scene], RATE_HZ).corners_hz
    assert found == {2: pytest.approx(397, rel=0.1), 3: pytest.approx(1042, rel=0.1)}


def test_blocks_of_any_length_give_the_same():
    scene = anisotropic(seconds=0.7)
    whole = measure([scene], RATE_HZ)
    for cuts in ([1, 2, 5000, 5001, 20_000], range(0, scene.shape[1], 777)):
        pieces = np.split(scene, list(cuts), axis=1)
        assert report(measure(pieces, RATE_HZ)) == report(whole)


def test_effective_rank_closed_form():
    assert effective_rank(np.diag([1.0, 1.0, 1.0, 0.0])) == pytest.approx(3)
    assert effective_rank(np.diag([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.ones((5, 48_000), np.float32), "5 channels"),
        (np.ones((16, 100), np.float32), "too short"),
        (np.zeros((16, 48_000), np.float32), "silent"),
    ],
)
def test_unusable_scenes(samples, message):
    with pytest.raises(InputError, match=message):
        measure([samples], RATE_HZ)


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
def test_eigenscape_excerpt():
    """Values measured independently on the 0.3 s of EigenScape's Beach.1 that are public."""
    from render.fileio.audio_file import read

    samples, rate_hz = read(Path(REFERENCE) / "audio" / "hoa" / "eigenscape_beach1_4oa_0p3s.wav")
    found = measure([samples], rate_hz)
    assert found.convention == "ACN SN3D"
    assert found.corners_hz[2] == pytest.approx(400, rel=0.1)
    assert found.corners_hz[3] == pytest.approx(1040, rel=0.1)
    assert found.self_noise_dbfs_hz == pytest.approx(-128, abs=2)
    assert found.level_dbfs == pytest.approx(-41.2, abs=0.1)
    assert found.slope_db_per_octave == pytest.approx(-12.1, abs=0.1)
    np.testing.assert_allclose(found.order_db, [-1.4, -2.5, -7.0, -11.1], atol=0.06)
    third = measure([samples[:16]], rate_hz)
    assert third.mean_correlation == pytest.approx(0.250, abs=0.001)
    ranks = [band.effective_rank for band in third.bands]
    np.testing.assert_allclose(ranks, [3.2, 2.8, 3.4, 4.8, 5.8, 5.8, 6.2, 14.2, 14.7], atol=0.06)
    diffuseness = [band.diffuseness for band in third.bands]
    np.testing.assert_allclose(diffuseness, [0.63, 0.44, 0.41, 0.52, 0.36, 0.49, 0.57, 0.85, 0.89], atol=0.006)
    second = [band.order_db[1] for band in third.bands]
    np.testing.assert_allclose(second, [-26.5, -15.9, -3.7, 0.7, -1.1, 0.3, 0.2, 0.2, -0.2], atol=0.06)


@pytest.mark.skipif(not REFERENCE, reason="HOA_REFERENCE_DATA is not set")
@pytest.mark.parametrize("number", [1, 3])
def test_another_real_microphone(number):
    from render.fileio.audio_file import read

    path = Path(REFERENCE) / "audio" / "hoa" / f"jsambisonics_rec{number}_3oa_sn3d_44k1.wav"
    samples, rate_hz = read(path)
    found = measure([samples], rate_hz)
    assert found.convention == "ACN SN3D"
    assert 0.17 < found.mean_correlation < 0.24
    assert sorted(found.corners_hz) == [2, 3]
