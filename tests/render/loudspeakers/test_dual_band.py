"""The two-band decoder: the velocity vector below, the crossover, the other decoder above."""

import numpy as np
import pytest

from render.common.errors import InputError
from render.dsp.convolution import convolved
from render.hoa.layout import layout
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics
from render.loudspeakers.decoder_quality import quality
from render.loudspeakers.design import decoding_filters, decoding_matrix
from render.loudspeakers.dual_band import CROSSOVER_HZ, low_band

AZIMUTH, ELEVATION = fibonacci_sphere(20_000)  # other directions than those of the design


@pytest.mark.parametrize("name", ["7.1.4", "5.1.2", "22.2"])
def test_the_low_band_has_the_velocity_of_the_wave_everywhere(name):
    of = layout(name)
    matrix = low_band(of, decoding_matrix(of, 3))
    found = quality(matrix, of, AZIMUTH, ELEVATION)
    assert found.rv_error_deg.max() < 0.01
    np.testing.assert_allclose(found.rv_length, 1.0, atol=1e-9)
    pressure = (spherical_harmonics(3, AZIMUTH, ELEVATION) @ matrix.T).sum(axis=1)
    np.testing.assert_allclose(pressure, pressure[0], rtol=1e-9)


def test_both_bands_are_equally_loud_over_the_served_region():
    of = layout("7.1.4")
    high = decoding_matrix(of, 3)
    waves = spherical_harmonics(3, AZIMUTH, ELEVATION)[np.radians(-10) <= ELEVATION]
    energies = [np.square(waves @ matrix.T).sum(axis=1).mean() for matrix in (high, low_band(of, high))]
    assert 10 * np.log10(energies[1] / energies[0]) == pytest.approx(0.0, abs=0.02)


def test_no_decoder_with_exact_velocity_is_nearer_to_the_high_band():
    of = layout("7.1.4")
    high = decoding_matrix(of, 3)
    low = low_band(of, high)
    heard = np.array([not s.is_lfe for s in of.loudspeakers])
    angles = np.radians([(s.azimuth_deg, s.elevation_deg) for s in of.loudspeakers])[heard]
    x = np.cos(angles[:, 0]) * np.cos(angles[:, 1])
    y, z = np.sin(angles[:, 0]) * np.cos(angles[:, 1]), np.sin(angles[:, 1])
    onto = np.stack([np.ones(len(x)), x, y, z])
    # What may be added without changing pressure and velocity is orthogonal to the difference
    free = np.linalg.svd(onto)[2][4:]
    assert np.abs(free @ (low - high)[heard]).max() < 1e-9


@pytest.mark.parametrize(("hz", "band"), [(100.0, "low"), (4000.0, "high")])
def test_dual_decodes_each_band_by_its_matrix_without_delay(hz, band):
    of = layout("5.1")
    filters = decoding_filters(of, 1, "dual", 48000)
    high = decoding_matrix(of, 1, "pareto")
    expected = high if band == "high" else low_band(of, high)
    time_s = np.arange(9600) / 48000
    tone = np.cos(2 * np.pi * hz * time_s).astype(np.float32)
    scene = np.outer([1.0, 0.6, 0.0, 0.8], tone).astype(np.float32)
    feed = np.concatenate(list(convolved([scene], filters)), axis=1)
    middle = slice(2000, 7600)
    np.testing.assert_allclose(feed[:, middle], (expected @ scene)[:, middle], atol=2e-3)


def test_the_bands_add_up_to_the_whole_where_they_agree():
    """For equal matrices the crossover must vanish: linear phase, complementary."""
    from render.loudspeakers.dual_band import crossed_over

    matrix = decoding_matrix(layout("5.1"), 1)
    filters = crossed_over(matrix, matrix, 44100)
    taps = filters.taps.copy()
    taps[:, :, filters.origin] -= matrix
    assert np.abs(taps).max() < 1e-15
    assert CROSSOVER_HZ < 1000


def test_dual_has_no_single_matrix():
    with pytest.raises(
        InputError, match=r"dual has a matrix for each of its two bands; use it with render\.decode"
    ):
        decoding_matrix(layout("7.1.4"), 3, "dual")
