"""Principal components in Opus streams: rate, exact length of the file, what is kept, damage."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listening.conditions import pca_opus
from listening.conditions.alignment import measured_lag
from render.common.errors import InputError
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics

RATE = 44_100


def moving_waves(directions_deg, seconds=2.0, level=0.05):
    """Plane waves of lowpassed noise, one for each direction."""
    random = np.random.default_rng(len(directions_deg))
    noise = random.standard_normal((len(directions_deg), round(seconds * RATE)))
    noise = np.apply_along_axis(np.convolve, 1, noise, np.hanning(17) / np.hanning(17).sum(), "same")
    azimuth = np.radians(directions_deg)
    gains = spherical_harmonics(3, azimuth, np.zeros(len(directions_deg)))
    return Scene((level * gains.T @ noise).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def one_wave():
    return moving_waves([40.0])


@pytest.fixture(scope="module")
def payload(one_wave):
    return pca_opus.encode(one_wave, 32)


@pytest.mark.parametrize(("kbps", "count"), [(16, 1), (32, 2), (64, 4), (8, 1), (256, 16)])
def test_all_bytes_together_have_the_rate(one_wave, kbps, count):
    coded = pca_opus.encode(one_wave, kbps)
    assert pca_opus.parse_header(coded, "x").components == pca_opus.components(kbps) == count
    assert 0.99 <= 8 * len(coded) / one_wave.duration_s / 1000 / kbps <= 1


def test_a_single_wave_keeps_its_direction_in_one_component(one_wave):
    decoded = pca_opus.decode(pca_opus.encode(one_wave, 16))
    assert decoded.samples.shape == one_wave.samples.shape
    gains = spherical_harmonics(3, np.radians([40.0]), np.zeros(1))[0]
    correlation = decoded.samples @ decoded.samples[0] / (decoded.samples[0] @ decoded.samples[0])
    np.testing.assert_allclose(correlation, gains, atol=0.02)


def test_as_many_waves_as_components_are_told_apart():
    scene = moving_waves([30.0, -100.0])
    decoded = pca_opus.decode(pca_opus.encode(scene, 64))
    shift = measured_lag(scene, decoded, 8)
    assert abs(shift) <= 2
    error = scene.samples - np.roll(decoded.samples, -shift, axis=1)
    inner = slice(RATE // 4, -RATE // 4)
    assert np.square(error[:, inner]).sum() < 0.5 * np.square(scene.samples[:, inner]).sum()
    for azimuth, other in ((30.0, -100.0), (-100.0, 30.0)):  # nulled towards one wave, the other is heard
        a, b = (spherical_harmonics(3, np.radians([d]), np.zeros(1))[0] for d in (azimuth, other))
        weights = np.linalg.pinv(np.stack([a, b]).T)[0]
        before, after = weights @ scene.samples, weights @ np.roll(decoded.samples, -shift, axis=1)
        assert np.corrcoef(before, after)[0, 1] > 0.6


def test_every_damaged_byte_is_noticed(payload):
    random = np.random.default_rng(0)
    for position in [*range(pca_opus.HEADER_BYTES), *random.integers(40, len(payload), 60)]:
        damaged = bytearray(payload)
        damaged[position] ^= 1 << random.integers(8)
        with pytest.raises(InputError, match=r"x\.pcao: "):
            pca_opus.decode(bytes(damaged), "x.pcao")


@pytest.mark.parametrize("cut", [0, 3, 39, 40, 41, 500, -1])
def test_a_cut_or_longer_file_is_refused(payload, cut):
    with pytest.raises(InputError, match=r"x\.pcao: .*(cut|header has 40)"):
        pca_opus.decode(payload[:cut], "x.pcao")
    with pytest.raises(InputError, match="followed by other bytes"):
        pca_opus.decode(payload + b"\0", "x.pcao")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8), st.binary(min_size=4, max_size=4))
def test_hostile_headers_ask_for_no_memory(numbers, small):
    fields = struct.pack("<4sB3s7I", b"PCAO", 1, small[:3], *numbers[:7])
    with pytest.raises(InputError):
        pca_opus.decode(fields + struct.pack("<I", zlib.crc32(fields)), "x")


@pytest.mark.parametrize("kbps", [0, 7, 257, 1000])
def test_rates_out_of_range(one_wave, kbps):
    with pytest.raises(InputError, match="possible are 8 to 256"):
        pca_opus.encode(one_wave, kbps)


def test_a_scene_too_short_for_its_header_is_refused():
    with pytest.raises(InputError, match="leave no room"):
        pca_opus.encode(moving_waves([0.0], seconds=0.03), 8)
