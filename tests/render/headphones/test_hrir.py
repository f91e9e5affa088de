"""Heads: the rigid sphere against theory, and SOFA files good and bad."""

import tracemalloc

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


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What is read of a file without changes."""
    return read_sofa(write_sofa(tmp_path_factory.mktemp("plain") / "a.sofa"))


def test_a_sofa_file_of_the_sphere_is_the_sphere(tmp_path, plain):
    expected = rigid_sphere(*fibonacci_sphere(80), 48000)
    np.testing.assert_allclose(plain.impulses, expected.impulses, atol=1e-12)
    np.testing.assert_allclose(plain.azimuth_rad, expected.azimuth_rad, atol=1e-12)
    cartesian = read_sofa(write_sofa(tmp_path / "c.sofa", cartesian=True))
    np.testing.assert_allclose(cartesian.elevation_rad, expected.elevation_rad, atol=1e-9)


def test_ears_are_known_by_their_side_and_delays_are_applied(tmp_path, plain):
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


def changed(path, change):
    """A SOFA file after a change of its contents."""
    write_sofa(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def set_attribute(name, attribute, value):
    def change(file):
        (file[name] if name else file).attrs[attribute] = value

    return change


def replaced(name, values, **attributes):
    def change(file):
        kept = dict(file[name].attrs) | attributes if name in file else attributes
        if name in file:
            del file[name]
        file[name] = values
        file[name].attrs.update(kept)

    return change


STRING = h5py.string_dtype()
AZIMUTH, ELEVATION = fibonacci_sphere(80)
SPHERICAL_RIGHT_FIRST = [[[-90.0], [0.0], [0.09]], [[90.0], [0.0], [0.09]]]


@pytest.mark.parametrize(
    "change",
    [
        set_attribute("SourcePosition", "Type", "Spherical "),
        set_attribute("SourcePosition", "Units", "Degree,Degree , Metre"),
        set_attribute("SourcePosition", "Units", "degrees, degrees, meters"),
        set_attribute("SourcePosition", "Type", np.array(["spherical"], STRING)),
        set_attribute("SourcePosition", "Type", np.array([b"spherical"])),
        set_attribute("", "DataType", np.array(["fir "], STRING)),
        replaced("SourcePosition", np.stack([AZIMUTH, ELEVATION, np.ones(80)], 1), Units="Radian, radian, metre"),
        replaced("SourcePosition", np.degrees(np.stack([AZIMUTH, ELEVATION, np.zeros(80)], 1))),
    ],
)
def test_words_of_a_sofa_file_are_read_without_case_and_spaces(tmp_path, plain, change):
    found = read_sofa(changed(tmp_path / "a.sofa", change))
    np.testing.assert_allclose(found.azimuth_rad, plain.azimuth_rad, atol=1e-12)
    np.testing.assert_allclose(found.elevation_rad, plain.elevation_rad, atol=1e-12)
    np.testing.assert_array_equal(found.impulses, plain.impulses)


def test_receivers_in_spherical_coordinates_tell_the_ears(tmp_path, plain):
    spherical = {"Type": "spherical", "Units": "degree, degree, metre"}
    right_first = changed(tmp_path / "b.sofa", replaced("ReceiverPosition", SPHERICAL_RIGHT_FIRST, **spherical))
    np.testing.assert_array_equal(read_sofa(right_first).impulses, plain.impulses[:, ::-1])
    left_first = changed(
        tmp_path / "c.sofa", replaced("ReceiverPosition", SPHERICAL_RIGHT_FIRST[::-1], **spherical)
    )
    np.testing.assert_array_equal(read_sofa(left_first).impulses, plain.impulses)
    # One position for each direction
    each = np.tile(np.array([[0, -0.09, 0], [0, 0.09, 0]])[..., None], 80)
    np.testing.assert_array_equal(
        read_sofa(changed(tmp_path / "d.sofa", replaced("ReceiverPosition", each))).impulses,
        plain.impulses[:, ::-1],
    )


def test_directions_are_those_that_the_listener_sees(tmp_path, plain):
    # Who looks to the left sees what is in front on the right
    for view in ([[0.0, 1.0, 0.0]], np.tile([0.0, 2.0, 0.0], (80, 1))):
        turned = read_sofa(changed(tmp_path / "b.sofa", replaced("ListenerView", view, Type="cartesian")))
        difference = np.angle(np.exp(1j * (plain.azimuth_rad - turned.azimuth_rad)))
        np.testing.assert_allclose(difference, np.pi / 2, atol=1e-9)
        np.testing.assert_allclose(turned.elevation_rad, plain.elevation_rad, atol=1e-9)
    spherical = replaced("ListenerView", [[90.0, 0.0, 1.0]], Type="spherical", Units="degree, degree, metre")
    np.testing.assert_allclose(
        read_sofa(changed(tmp_path / "c.sofa", spherical)).azimuth_rad, turned.azimuth_rad, atol=1e-9
    )
    # Upside down, left is right
    upside_down = read_sofa(changed(tmp_path / "d.sofa", replaced("ListenerUp", [[0.0, 0.0, -1.0]])))
    np.testing.assert_allclose(upside_down.elevation_rad, -plain.elevation_rad, atol=1e-9)
    np.testing.assert_allclose(np.sin(upside_down.azimuth_rad), -np.sin(plain.azimuth_rad), atol=1e-9)
    moved = changed(tmp_path / "e.sofa", replaced("ListenerPosition", [[0.0, 0.0, -1000.0]]))
    assert np.degrees(read_sofa(moved).elevation_rad.min()) > 89.9


def in_another_file(name, folder):
    def change(file):
        with h5py.File(folder / "secret.h5", "w") as other:
            other["x"] = np.zeros((80, 2, 240))
        del file[name]
        file[name] = h5py.ExternalLink(str(folder / "secret.h5"), "/x")

    return change


def raw_bytes_of_another_file(name, folder):
    def change(file):
        (folder / "secret").write_bytes(bytes(80 * 2 * 240 * 8))
        del file[name]
        file.create_dataset(name, (80, 2, 240), "f8", external=[(str(folder / "secret"), 0, 80 * 2 * 240 * 8)])

    return change


def virtual(name, folder):
    def change(file):
        with h5py.File(folder / "secret.h5", "w") as other:
            other["x"] = np.zeros((80, 2, 240))
        layout = h5py.VirtualLayout((80, 2, 240), "f8")
        layout[:] = h5py.VirtualSource(folder / "secret.h5", "x", (80, 2, 240))
        del file[name]
        file.create_virtual_dataset(name, layout)

    return change


@pytest.mark.parametrize("change", [in_another_file, raw_bytes_of_another_file, virtual])
def test_no_other_file_is_read(tmp_path, change):
    with pytest.raises(InputError, match=r"bad\.sofa: Data\.IR lies in another file"):
        read_sofa(changed(tmp_path / "bad.sofa", change("Data.IR", tmp_path)))


def created(name, *arguments, **settings):
    def change(file):
        del file[name]
        file.create_dataset(name, *arguments, **settings)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("Data.Delay", [[2e9, 2e9]]), "delays of 2e\\+09 to 2e\\+09 samples; possible are 0 to 1 s"),
        (replaced("Data.Delay", [[-1.0, 0.0]]), "delays of -1 to 0 samples"),
        (replaced("ReceiverPosition", np.zeros((2, 2, 1))), r"ReceiverPosition of shape \(2, 2, 1\)"),
        (replaced("ReceiverPosition", np.zeros(7)), r"ReceiverPosition of shape \(7,\)"),
        (replaced("ReceiverPosition", np.zeros((4, 3, 1))), r"ReceiverPosition of shape \(4, 3, 1\)"),
        (set_attribute("SourcePosition", "Type", "spherical harmonics"), "of type 'sphericalharmonics'"),
        (set_attribute("SourcePosition", "Units", "gon, gon, metre"), "coordinates of type 'spherical' in 'gon'"),
        (set_attribute("SourcePosition", "Type", np.array(["a", "b"], STRING)), "coordinates of type ''"),
        (set_attribute("", "DataType", "x" * 10_000), r"SOFA data type 'X{40}'"),
        (replaced("ListenerView", [[0.0, 0.0, 1.0]]), "ListenerView and ListenerUp are parallel"),
        (replaced("ListenerView", np.ones((3, 3))), r"ListenerView of shape \(3, 3\)"),
        # Not stored, filled in by HDF5; and one chunk that is larger than what it holds
        (created("Data.IR", (80, 2, 100_000), "f8"), "declares 128000000 bytes, 0 are stored"),
        (created("Data.IR", (80, 2, 240), "f8", chunks=(80, 2, 2**20), maxshape=(80, 2, None)), "declares"),
        (created("Data.IR", data=np.zeros((80, 2, 20_000)), compression=9), "declares 25600000 bytes"),
    ],
)  # fmt: skip
def test_hostile_sofa_files_cost_one_line_and_no_memory(tmp_path, change, message):
    path = changed(tmp_path / "bad.sofa", change)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"bad\.sofa: .*{message}"):
        read_sofa(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_set_that_is_compressed_twenty_times_is_read(tmp_path):
    sparse = np.zeros((80, 2, 4000))
    sparse[:, :, :200] = np.random.default_rng(0).standard_normal((80, 2, 200))
    path = changed(tmp_path / "a.sofa", created("Data.IR", data=sparse, compression=9, chunks=(80, 2, 4000)))
    np.testing.assert_array_equal(read_sofa(path).impulses, sparse)
