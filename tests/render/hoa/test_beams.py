"""Beams: what they pick up from a plane wave and from a diffuse field is known in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.legendre import legval

from render.hoa.beams import beam_power, beam_weights, max_re_approximation, max_re_weights
from render.hoa.spherical_harmonics import (
    fibonacci_sphere,
    spherical_harmonics,
    unit_vectors,
)

GRID = fibonacci_sphere(200)


def cosines(azimuth_rad, elevation_rad):
    """Cosine of the angle between each direction of the grid and one other."""
    return unit_vectors(*GRID) @ unit_vectors(azimuth_rad, elevation_rad)


def plane_wave(order, azimuth_rad, elevation_rad):
    gains = spherical_harmonics(order, np.array([azimuth_rad]), np.array([elevation_rad]))[0]
    return np.outer(gains, gains)


@given(st.integers(0, 7), st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
def test_plane_wave_decomposition_follows_the_christoffel_darboux_formula(order, azimuth, elevation):
    """Σ (2n+1) P_n(x) = (N+1) (P_N(x) - P_(N+1)(x)) / (1 - x)."""
    x = cosines(azimuth, elevation)
    x = np.minimum(x, 1 - 1e-6)
    last = legval(x, [0] * order + [1]) - legval(x, [0] * (order + 1) + [1])
    expected = np.square((order + 1) * last / (1 - x))
    found = beam_power(plane_wave(order, azimuth, elevation), beam_weights(*GRID, np.ones(order + 1)))
    assert found == pytest.approx(expected, rel=2e-3, abs=1e-8)


@given(st.integers(0, 7), st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
def test_weighted_beams_have_the_pattern_of_their_legendre_series(order, azimuth, elevation):
    weights = max_re_approximation(order)
    expected = np.square(legval(cosines(azimuth, elevation), weights * (2 * np.arange(order + 1) + 1)))
    found = beam_power(plane_wave(order, azimuth, elevation), beam_weights(*GRID, weights))
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("order", range(8))
def test_the_power_in_a_diffuse_field_is_the_same_in_every_direction(order):
    """A diffuse field of unit power has the covariance 1 / (2n+1) in SN3D; the beam picks up Σ (2n+1) a_n²."""
    n = np.arange(order + 1)
    covariance = np.diag(np.repeat(1 / (2 * n + 1), 2 * n + 1))
    weights = max_re_approximation(order)
    found = beam_power(covariance, beam_weights(*GRID, weights))
    assert found == pytest.approx(np.full(200, ((2 * n + 1) * weights**2).sum()))


def test_a_batch_of_covariances_keeps_its_shape_and_precision():
    covariances = (
        np.stack([plane_wave(3, 0.3 * i, 0.1) for i in range(6)]).astype(np.float32).reshape(2, 3, 16, 16)
    )
    weights = beam_weights(*GRID, np.ones(4))
    found = beam_power(covariances, weights)
    assert found.shape == (2, 3, 200)
    assert found.dtype == np.float32
    assert found[1, 2] == pytest.approx(beam_power(covariances[1, 2], weights), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("order", range(8))
def test_the_approximation_of_max_re_is_close(order):
    assert max_re_approximation(order) == pytest.approx(max_re_weights(order), abs=3e-3)


def test_max_re_weights():
    """Daniel 2000, table 3.5; the approximation by cos(137.9°/(N+1.51)) of Zotter & Frank 2012."""
    np.testing.assert_allclose(max_re_weights(1), [1.0, np.sqrt(1 / 3)], atol=1e-12)
    np.testing.assert_allclose(max_re_weights(2), [1.0, np.sqrt(0.6), 0.4], atol=1e-12)
    approximate = np.cos(np.radians(137.9 / (3 + 1.51)))
    np.testing.assert_allclose(max_re_weights(3), legendre_polynomials(3, approximate), atol=1e-3)


def legendre_polynomials(order, at):
    return np.polynomial.legendre.legvander(np.array([at]), order)[0]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_no_weights_have_a_longer_energy_vector_than_max_re(order):
    """|rE| = Σ 2(n+1) g_n g_(n+1) / Σ (2n+1) g_n² of an ideal decoder is largest, and changes to second order."""

    def energy_vector(weights):
        n = np.arange(order + 1)
        return np.sum(2 * n[1:] * weights[:-1] * weights[1:]) / np.sum((2 * n + 1) * weights**2)

    best = energy_vector(max_re_weights(order))
    assert best == pytest.approx(np.polynomial.legendre.leggauss(order + 1)[0].max(), abs=1e-12)
    for change in np.random.default_rng(0).normal(0, 0.05, (50, order + 1)):
        assert energy_vector(max_re_weights(order) + change) < best
    # The option maxRE of the reference renderer (ear 2.1.0) gives every order above the weight of order 1
    theirs = np.where(np.arange(order + 1) == 0, 1.0, max_re_weights(order)[1])
    assert order == 1 or energy_vector(theirs) < best - 0.01
