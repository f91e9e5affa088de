import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from render.hoa.spherical_harmonics import (
    fibonacci_sphere,
    gauss_legendre_sphere,
    mirror_signs,
    rotation_matrices,
    sn3d_to_n3d,
    spherical_harmonics,
    to_sn3d,
    unit_vectors,
    yaw_matrix,
)


@pytest.mark.parametrize("order", [0, 1, 3, 7, 20])
def test_harmonics_are_those_of_scipy(order):
    """Real from complex (Condon-Shortley phase taken out), SN3D from orthonormal."""
    azimuth, elevation = fibonacci_sphere(60)
    expected = np.empty((60, (order + 1) ** 2))
    for n in range(order + 1):
        for m in range(n + 1):
            complex_one = sph_harm_y(n, m, np.pi / 2 - elevation, azimuth) * (-1) ** m
            scaled = complex_one * np.sqrt((2 - (m == 0)) * 4 * np.pi / (2 * n + 1))
            expected[:, n * n + n + m] = scaled.real
            if m:
                expected[:, n * n + n - m] = scaled.imag
    np.testing.assert_allclose(spherical_harmonics(order, azimuth, elevation), expected, atol=1e-10)


def test_harmonics_are_finite_at_the_poles_and_orthonormal_on_the_sphere():
    assert np.isfinite(spherical_harmonics(7, np.zeros(2), np.array([-np.pi / 2, np.pi / 2]))).all()
    azimuth, elevation, weights = gauss_legendre_sphere(8)
    n3d = spherical_harmonics(7, azimuth, elevation) * sn3d_to_n3d(7)
    np.testing.assert_allclose(n3d.T @ (weights[:, None] * n3d), np.eye(64), atol=1e-12)


def test_first_order_is_the_unit_vector():
    azimuth, elevation = fibonacci_sphere(30)
    found = spherical_harmonics(1, azimuth, elevation)
    np.testing.assert_allclose(found[:, [3, 1, 2]], unit_vectors(azimuth, elevation), atol=1e-14)


def test_turning_and_mirroring_move_the_wave():
    azimuth, elevation = fibonacci_sphere(30)
    waves = spherical_harmonics(5, azimuth, elevation)
    np.testing.assert_allclose(
        waves @ yaw_matrix(5, 0.7).T, spherical_harmonics(5, azimuth + 0.7, elevation), atol=1e-12
    )
    np.testing.assert_allclose(waves * mirror_signs(5), spherical_harmonics(5, -azimuth, elevation), atol=1e-12)


def fuma_harmonics(azimuth, elevation):
    """Third-order Furse-Malham set as published (Malham 2003, "Higher order Ambisonic systems", table 1)."""
    a, e = azimuth, elevation
    sa, ca, se, ce = np.sin(a), np.cos(a), np.sin(e), np.cos(e)
    return np.stack([
        np.full(a.shape, np.sqrt(0.5)), ca * ce, sa * ce, se,
        1.5 * se**2 - 0.5, ca * np.sin(2 * e), sa * np.sin(2 * e), np.cos(2 * a) * ce**2, np.sin(2 * a) * ce**2,
        se * (5 * se**2 - 3) / 2,
        np.sqrt(135 / 256) * ca * ce * (5 * se**2 - 1), np.sqrt(135 / 256) * sa * ce * (5 * se**2 - 1),
        np.sqrt(27 / 4) * np.cos(2 * a) * se * ce**2, np.sqrt(27 / 4) * np.sin(2 * a) * se * ce**2,
        np.cos(3 * a) * ce**3, np.sin(3 * a) * ce**3,
    ], axis=1)  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3])
def test_fuma_is_the_published_set(order):
    azimuth, elevation = fibonacci_sphere(50)
    channels = fuma_harmonics(azimuth, elevation)[:, : (order + 1) ** 2]
    expected = spherical_harmonics(order, azimuth, elevation)
    np.testing.assert_allclose(channels @ to_sn3d(order, "fuma").T, expected, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 3, 7])
def test_a_rotation_moves_plane_waves_to_where_it_moves_their_directions(order):
    rotations = Rotation.random(5, random_state=0).as_matrix()
    matrices = rotation_matrices(order, rotations)
    azimuth, elevation = fibonacci_sphere(20)
    for rotation, matrix in zip(rotations, matrices, strict=True):
        x, y, z = rotation @ unit_vectors(azimuth, elevation).T
        there = spherical_harmonics(order, np.arctan2(y, x), np.arcsin(z))
        np.testing.assert_allclose(spherical_harmonics(order, azimuth, elevation) @ matrix.T, there, atol=1e-12)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)


def test_a_rotation_about_the_vertical_axis_is_the_yaw():
    turn = Rotation.from_euler("z", 0.7).as_matrix()
    np.testing.assert_allclose(rotation_matrices(4, turn), yaw_matrix(4, 0.7), atol=1e-12)
