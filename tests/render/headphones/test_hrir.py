"""Heads: the rigid sphere against theory, and SOFA files good and bad."""

import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from render.common.errors import InputError
from render.headphones.hrir import RADIUS_M, SPEED_OF_SOUND_M_S, read_sofa, rigid_sphere, sphere_pressure
from render.hoa.spherical_harmonics import fibonacci_sphere

h5py = pytest.importorskip("h5py")


def test_a_small_sphere_does_not_disturb_the_wave_and_a_large_one_doubles_its_pressure():
    """Pressure doubling at a rigid wall; no scattering where the wave is long."""
    low, high = np.array([1.0]), np.array([60_000.0])
    assert abs(sphere_pressure(low, np.array([1.0, -0.5]))) == pytest.approx(1.0, abs=1e-3)
    assert 20 * np.log10(abs(sphere_pressure(high, np.array([1.0]))[0, 0])) == pytest.approx(6.02, abs=0.1)


def test_the_series_is_incident_plus_scattered_wave():
    """The textbook form i^n (j_n - j_n'/h_n' h_n), before the Wronskian, at low ka where it is stable."""
    hz, cosine = np.array([200.0, 1000.0, 3000.0]), np.array([1.0, 0.3, -0.9])
    ka = 2 * np.pi * hz * RADIUS_M / SPEED_OF_SOUND_M_S
    expected = 0
    for n in range(24):
        j, jd = spherical_jn(n, ka), spherical_jn(n, ka, True)
        h, hd = j - 1j * spherical_yn(n, ka), jd - 1j * spherical_yn(n, ka, True)
        expected = expected + (2 * n + 1) * 1j**n * eval_legendre(n, cosine)[:, None] * (j - jd / hd * h)
    np.testing.assert_allclose(sphere_pressure(hz, cosine), expected, rtol=1e-8)


def test_interaural_delay_of_low_frequencies_is_three_radii_over_c_times_the_sine():
    """Kuhn 1977: 3a/c sin(azimuth) for ears at ±90° below 500 Hz, 1.5 times the geometric distance."""
    hz = np.array([150.0])
    left, right = np.angle(sphere_pressure(hz, np.array([np.sin(0.5), -np.sin(0.5)])))[:, 0]
    expected = 3 * RADIUS_M / SPEED_OF_SOUND_M_S * np.sin(0.5)
    assert (left - right) / (2 * np.pi * hz[0]) == pytest.approx(expected, rel=0.03)


def test_impulse_responses_are_those_of_the_pressure():
    sphere = rigid_sphere(np.array([0.7]), np.array([0.2]), 48000)
    hz = np.fft.rfftfreq(240, 1 / 48000)[2:107]
    ear = np.array([np.cos(np.radians(100)), np.sin(np.radians(100)), 0.0])
    wave = np.array([np.cos(0.2) * np.cos(0.7), np.cos(0.2) * np.sin(0.7), np.sin(0.2)])
    found = np.abs(np.fft.rfft(sphere.impulses[0, 0]))[2:107]
    np.testing.assert_allclose(found, np.abs(sphere_pressure(hz, np.array([ear @ wave]))[0]), rtol=1e-7)


def write_sofa(
    path, *, impulses=None, positions=None, rate=48000.0, kind="FIR", delay=None, receivers=None, cartesian=False
):
    azimuth, elevation = fibonacci_sphere(80)
    sphere = rigid_sphere(azimuth, elevation, 48000)
    with h5py.File(path, "w") as file:
        file.attrs["DataType"] = kind
        file["Data.IR"] = sphere.impulses if impulses is None else impulses
        degrees = np.stack([np.degrees(azimuth), np.degrees(elevation), np.ones(80)], axis=1)
        if cartesian:
            degrees = np.stack(
                [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], 1
            )
        file["SourcePosition"] = degrees if positions is None else positions
        file["SourcePosition"].attrs["Type"] = "cartesian" if cartesian else "spherical"
        file["SourcePosition"].attrs["Units"] = "metre" if cartesian else "degree, degree, metre"
        file["ReceiverPosition"] = np.array([[0, 0.09, 0], [0, -0.09, 0]] if receivers is None else receivers)[
            ..., None
        ]
        file["Data.SamplingRate"] = np.atleast_1d(rate)
        file["Data.Delay"] = np.zeros((1, 2)) if delay is None else delay
    return path


def test_a_sofa_file_of_the_sphere_is_the_sphere(tmp_path):
    found = read_sofa(write_sofa(tmp_path / "a.sofa"))
    expected = rigid_sphere(*fibonacci_sphere(80), 48000)
    np.testing.assert_allclose(found.impulses, expected.impulses, atol=1e-12)
    np.testing.assert_allclose(found.azimuth_rad, expected.azimuth_rad, atol=1e-12)
    cartesian = read_sofa(write_sofa(tmp_path / "c.sofa", cartesian=True))
    np.testing.assert_allclose(cartesian.elevation_rad, expected.elevation_rad, atol=1e-9)


def test_ears_are_known_by_their_side_and_delays_are_applied(tmp_path):
    plain = read_sofa(write_sofa(tmp_path / "a.sofa"))
    swapped = read_sofa(write_sofa(tmp_path / "b.sofa", receivers=[[0, -0.09, 0], [0, 0.09, 0]]))
    np.testing.assert_array_equal(swapped.impulses, plain.impulses[:, ::-1])
    late = read_sofa(write_sofa(tmp_path / "d.sofa", delay=np.array([[3.0, 0.0]])))
    np.testing.assert_allclose(late.impulses[:, 0, 3:243], plain.impulses[:, 0], atol=1e-9)


def test_another_rate_keeps_the_levels(tmp_path):
    head = rigid_sphere(*fibonacci_sphere(30), 44100)
    other = head.resampled(48000)
    hz = np.array([200.0, 1000.0, 8000.0])

    def response(of):
        turn = np.exp(-2j * np.pi * hz[:, None] * np.arange(of.impulses.shape[-1]) / of.sample_rate_hz)
        return np.abs(of.impulses @ turn.T)

    np.testing.assert_allclose(response(other), response(head), rtol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "TF"}, "SOFA data type 'TF'; only FIR"),
        ({"impulses": np.zeros((80, 1, 9))}, r"responses \(80, 1, 9\) and source positions \(80, 3\)"),
        ({"positions": np.zeros((79, 3))}, r"source positions \(79, 3\)"),
        ({"impulses": np.full((80, 2, 9), np.nan)}, r"Data\.IR is not finite"),
        ({"rate": 0.0}, "sampling rate"),
        ({"rate": [48000.0, 44100.0]}, "sampling rate"),
    ],
)
def test_sofa_files_that_cannot_be_used_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(InputError, match=rf"bad\.sofa: .*{message}"):
        read_sofa(write_sofa(tmp_path / "bad.sofa", **change))


def test_what_is_no_sofa_file_is_refused(tmp_path):
    (tmp_path / "no.sofa").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with pytest.raises(InputError, match="not a SOFA file, or damaged"):
        read_sofa(tmp_path / "no.sofa")
    with pytest.raises(InputError, match="no such file"):
        read_sofa(tmp_path / "none.sofa")
    with h5py.File(tmp_path / "empty.sofa", "w") as file:
        file.attrs["DataType"] = "FIR"
    with pytest.raises(InputError, match=r"has no Data\.IR"):
        read_sofa(tmp_path / "empty.sofa")
