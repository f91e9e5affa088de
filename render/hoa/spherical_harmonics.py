"""Real spherical harmonics and the geometry of directions.

Azimuth is anticlockwise from the front, elevation upwards, both in radians; x points to the front, y to
the left, z up. Channels are in ACN order, acn = n² + n + m.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float


def acn_orders(order: int) -> ndarray:
    """Order n of each ACN channel of a scene: 0, 1, 1, 1, 2, 2, 2, 2, 2 and so on."""
    return np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)


def sn3d_to_n3d(order: int) -> Float[ndarray, " acn"]:
    """Factors sqrt(2n+1) that turn SN3D channels into N3D (Daniel 2000, eq. 3.9)."""
    return np.sqrt(2.0 * acn_orders(order) + 1.0)


def spherical_harmonics(
    order: int, azimuth_rad: Float[ndarray, " direction"], elevation_rad: Float[ndarray, " direction"]
) -> Float[ndarray, "direction acn"]:
    """Real spherical harmonics, ACN order, SN3D normalisation, no Condon-Shortley phase (ambiX).

    They are the gains of a plane wave from each direction: W is 1, the first order is (y, z, x).

    Examples
    --------
    >>> spherical_harmonics(1, np.array([np.pi / 2]), np.array([0.0])).round(6).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    azimuth = np.atleast_1d(np.asarray(azimuth_rad, dtype=np.float64))
    elevation = np.atleast_1d(np.asarray(elevation_rad, dtype=np.float64))
    sine, cosine = np.sin(elevation), np.cos(elevation)
    result = np.empty((azimuth.size, (order + 1) ** 2))
    # Own recurrences over n (Abramowitz & Stegun 8.5.3), since loading scipy takes longer than decoding a minute
    sectoral = np.ones(azimuth.size)
    for m in range(order + 1):
        if m:
            sectoral = sectoral * (2 * m - 1) * cosine
        cos_m, sin_m = np.cos(m * azimuth), np.sin(m * azimuth)
        previous, legendre = np.zeros(azimuth.size), sectoral
        for n in range(m, order + 1):
            if n > m:
                previous, legendre = legendre, ((2 * n - 1) * sine * legendre - (n + m - 1) * previous) / (n - m)
            norm = math.sqrt((2 - (m == 0)) * math.exp(math.lgamma(n - m + 1) - math.lgamma(n + m + 1)))
            result[:, n * n + n + m] = norm * legendre * cos_m
            if m:
                result[:, n * n + n - m] = norm * legendre * sin_m
    return result


CONVENTIONS = ("sn3d", "n3d", "fuma")


def to_sn3d(order: int, convention: str) -> Float[ndarray, "acn channel"]:
    """Matrix from the channels of another convention to ACN/SN3D.

    ``n3d``: ACN order, orthonormal. ``fuma``: Furse-Malham, W X Y Z R S T U V K L M N O P Q, up to third order,
    with each harmonic scaled to a maximum of 1 and W scaled by sqrt(1/2) (Malham 2003).

    Raises
    ------
    InputError
        For FuMa above third order, where it is not defined, or an unknown convention.
    """
    channels = (order + 1) ** 2
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is unknown; known are {', '.join(CONVENTIONS)}")
    if convention != "fuma":
        return np.diag(1 / sn3d_to_n3d(order) if convention == "n3d" else np.ones(channels))
    if order > 3:
        raise InputError(f"FuMa is defined up to order 3, but the scene has order {order}")
    # Within each order: X Y Z, and above m = 0, 1, -1, 2, -2, 3, -3
    acn = [0, *(3, 1, 2)[: channels - 1]]
    for n in range(2, order + 1):
        acn += [n * n + n + m for k in range(n + 1) for m in ({k: None, -k: None})]
    elevation = np.linspace(-np.pi / 2, np.pi / 2, 20_001)
    matrix = np.zeros((channels, channels))
    for channel, index in enumerate(acn):
        n = int(np.sqrt(index))
        m = index - n * n - n
        azimuth = 0.0 if m >= 0 else np.pi / (2 * abs(m))  # where cos mφ or sin |m|φ is 1
        largest = np.abs(spherical_harmonics(n, np.full(elevation.shape, azimuth), elevation)[:, index]).max()
        matrix[index, channel] = largest
    matrix[0, 0] = np.sqrt(2)
    return matrix


def unit_vectors(
    azimuth_rad: Float[ndarray, "*direction"], elevation_rad: Float[ndarray, "*direction"]
) -> Float[ndarray, "*direction 3"]:
    """Cartesian unit vectors (x front, y left, z up)."""
    azimuth, elevation = np.asarray(azimuth_rad, float), np.asarray(elevation_rad, float)
    horizontal = np.cos(elevation)
    return np.stack([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)], -1)


def fibonacci_sphere(count: int) -> tuple[Float[ndarray, " direction"], Float[ndarray, " direction"]]:
    """Nearly uniform directions (azimuth, elevation) on the sphere, by the golden-angle spiral."""
    index = np.arange(count) + 0.5
    azimuth = np.mod(np.pi * (1 + np.sqrt(5.0)) * index + np.pi, 2 * np.pi) - np.pi
    return azimuth, np.arcsin(1 - 2 * index / count)


def gauss_legendre_sphere(
    elevations: int,
) -> tuple[Float[ndarray, " direction"], Float[ndarray, " direction"], Float[ndarray, " direction"]]:
    """Quadrature nodes and weights (azimuth, elevation, weight); the weights sum to 1.

    Gauss-Legendre in sin(elevation) times 2·`elevations` equal steps in azimuth: exact for products of
    spherical harmonics up to order `elevations` - 1. The nodes are symmetric left/right and up/down.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(elevations)
    steps = 2 * elevations
    azimuth = (np.arange(steps) + 0.5) * (2 * np.pi / steps) - np.pi
    weights = np.repeat(node_weights / (2 * steps), steps)
    return np.tile(azimuth, elevations), np.repeat(np.arcsin(nodes), steps), weights


def yaw_matrix(order: int, angle_rad: float) -> Float[ndarray, "acn acn"]:
    """Matrix that rotates a scene anticlockwise by `angle_rad` about the vertical axis.

    It mixes only the pairs (n, m) and (n, -m), so it is the same for SN3D and N3D.
    """
    matrix = np.zeros(((order + 1) ** 2,) * 2)
    for n in range(order + 1):
        matrix[n * n + n, n * n + n] = 1.0
        for m in range(1, n + 1):
            cosine, sine = np.cos(m * angle_rad), np.sin(m * angle_rad)
            plus, minus = n * n + n + m, n * n + n - m
            matrix[plus, plus] = matrix[minus, minus] = cosine
            matrix[plus, minus], matrix[minus, plus] = -sine, sine
    return matrix


def rotation_matrices(
    order: int, rotations: Float[ndarray, "*rotation 3 3"]
) -> Float[ndarray, "*rotation acn acn"]:
    """Matrices that rotate scenes: a plane wave from θ becomes one from Rθ, for SN3D and N3D alike.

    By the orthogonality of the harmonics, M = Σ w_k y(R θ_k) y(θ_k)ᵀ (2n + 1) over the nodes of a quadrature that
    is exact for products of two harmonics of this order.
    """
    azimuth, elevation, weights = gauss_legendre_sphere(order + 1)
    turned = np.einsum("...ij,kj->...ki", np.asarray(rotations, float), unit_vectors(azimuth, elevation))
    to_azimuth = np.arctan2(turned[..., 1], turned[..., 0])
    to_elevation = np.arcsin(np.clip(turned[..., 2], -1, 1))
    harmonics = spherical_harmonics(order, to_azimuth.ravel(), to_elevation.ravel())
    harmonics = harmonics.reshape(*to_azimuth.shape, -1)
    there = spherical_harmonics(order, azimuth, elevation) * weights[:, None] * (2 * acn_orders(order) + 1)
    matrices = np.einsum("...ka,kb->...ab", harmonics, there)
    orders = acn_orders(order)
    return np.where(orders[:, None] == orders, matrices, 0.0)  # a rotation does not mix orders


def mirror_signs(order: int) -> Float[ndarray, " acn"]:
    """Factors that mirror a scene left to right: -1 for every m < 0."""
    degree = np.concatenate([np.arange(-n, n + 1) for n in range(order + 1)])
    return np.where(degree < 0, -1.0, 1.0)
