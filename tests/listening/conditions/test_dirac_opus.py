"""DirAC: parameters of known fields, bits, and what the synthesis makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.metrics.registry import measure
from listening.conditions import dirac_opus
from listening.conditions.dirac_opus import BANDS, analysed, pack_parameters, synthesised, tile_count
from listening.conditions.parametric_file import parse
from listening.conditions.registry import condition
from render.common.errors import InputError
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import acn_orders, spherical_harmonics, unit_vectors

RATE = 44_100


def noise(count, seconds=1.0, seed=1):
    return 0.05 * np.random.default_rng(seed).standard_normal((count, round(seconds * RATE)))


def wave(azimuth_deg, elevation_deg=0.0, seconds=1.0):
    gains = spherical_harmonics(3, np.radians([azimuth_deg]), np.radians([elevation_deg]))[0]
    return Scene((gains[:, None] * noise(1, seconds)).astype(np.float32), RATE)


def diffuse(seconds=1.0):
    return Scene((noise(16, seconds) / np.sqrt(2 * acn_orders(3) + 1)[:, None]).astype(np.float32), RATE)


@pytest.mark.parametrize(("azimuth_deg", "elevation_deg"), [(0, 0), (70, 0), (-130, 40), (10, -60)])
def test_a_wave_has_its_direction_and_no_diffuseness(azimuth_deg, elevation_deg):
    direction, diffuseness = analysed(wave(azimuth_deg, elevation_deg))
    assert direction.shape == (tile_count(RATE), BANDS, 3)
    expected = unit_vectors(np.radians(azimuth_deg), np.radians(elevation_deg))
    assert direction[1:-1] @ expected == pytest.approx(np.ones((len(direction) - 2, BANDS)), abs=1e-4)
    assert diffuseness[1:-1] == pytest.approx(np.zeros((len(direction) - 2, BANDS)), abs=1e-4)


def test_a_diffuse_field_is_diffuse_where_a_tile_has_many_bins_and_silence_is_diffuse():
    _, diffuseness = analysed(diffuse(2.0))
    assert diffuseness[1:-1, 8:].mean() > 0.85
    direction, silent = analysed(Scene(np.zeros((16, 5000), np.float32), RATE))
    assert np.all(silent == 1)
    assert not direction.any()


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_parameters_come_back_from_their_bits(tiles, seed):
    random = np.random.default_rng(seed)
    direction, diffuseness = (random.integers(0, top, (tiles, BANDS)) for top in (256, 8))
    data = pack_parameters(direction, diffuseness)
    assert len(data) == -(-tiles * BANDS * 11 // 8)
    back = dirac_opus.unpack_parameters(data, tiles)
    np.testing.assert_array_equal(back, (direction, diffuseness))
    first = int.from_bytes(data[:2], "big") >> 5
    assert first == direction[0, 0] << 3 | diffuseness[0, 0]


def test_a_direct_field_is_a_plane_wave_of_third_order():
    """From the grid point next to the source, with the waveform that was sent."""
    w = noise(1)[0].astype(np.float32)
    tiles = tile_count(len(w))
    point = int(dirac_opus._nearest(unit_vectors(np.radians(70.0), 0.0)[None, None])[0, 0])
    made = synthesised(w, np.full((tiles, BANDS), point), np.zeros((tiles, BANDS)), 3, RATE)
    azimuth, elevation = (of[[point]] for of in dirac_opus._grid())
    expected = spherical_harmonics(3, azimuth, elevation)[0][:, None] * w
    assert np.abs(made.samples - expected).max() < 1e-5
    angle = np.degrees(np.arccos((unit_vectors(azimuth, elevation) @ unit_vectors(np.radians(70.0), 0.0))[0]))
    assert angle < 10  # 256 points are about 13 degrees apart


def test_a_diffuse_field_has_incoherent_channels_of_the_right_powers():
    w = noise(1, 4.0)[0].astype(np.float32)
    tiles = tile_count(len(w))
    samples = synthesised(w, np.zeros((tiles, BANDS), int), np.ones((tiles, BANDS)), 3, RATE).samples
    inner = samples[:, RATE // 4 :].astype(np.float64)
    powers = np.square(inner).mean(axis=1) * (2 * acn_orders(3) + 1)
    assert 10 * np.log10(powers / powers[0]) == pytest.approx(np.zeros(16), abs=0.3)
    assert np.abs(np.corrcoef(inner) - np.eye(16)).max() < 0.2


@pytest.mark.parametrize("kbps", [16, 24, 32])
def test_all_bytes_have_the_rate_and_a_source_stays_where_it_is(kbps):
    scene = wave(40.0, 20.0, 3.0)
    made = condition(f"dirac_opus_{kbps}").apply(scene)
    assert 8 * len(made.payload) / 3 / 1000 == pytest.approx(kbps, rel=2e-3)
    side_kbps = 8 * len(parse(made.payload, b"DROP", "x").side_info) / 3 / 1000
    assert side_kbps == pytest.approx(BANDS * 11 / (4 * 512 / RATE) / 1000, rel=0.03)
    found = measure(scene, made.scene)
    assert found["doa_deg"] < 9
    assert found["diff_mae"] < 0.1
    again = dirac_opus.decode(made.payload)
    np.testing.assert_array_equal(
        np.roll(again.samples, -made.facts["lag_compensated_samples"], axis=1), made.scene.samples
    )


def test_what_is_refused():
    with pytest.raises(InputError, match="9 kbit/s; possible are 10 to 128"):
        condition("dirac_opus_9")
    with pytest.raises(InputError, match="are left for"):
        condition("dirac_opus_16").apply(Scene(noise(16, 0.02).astype(np.float32), RATE))
    payload = condition("dirac_opus_16").apply(wave(0)).payload
    file = parse(payload, b"DROP", "x")
    short = replace(file, side_info=file.side_info[:-1]).pack(b"DROP")
    with pytest.raises(InputError, match=r"z: .* bytes of side information, not"):
        dirac_opus.decode(short, "z")
