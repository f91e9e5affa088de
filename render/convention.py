"""Which convention the channels of a recording are in: their covariances tell."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.sphere import CONVENTIONS, fibonacci_sphere, spherical_harmonics, to_sn3d

NAMES = {"sn3d": "ACN/SN3D", "n3d": "ACN/N3D", "fuma": "FuMa"}
_HIGHEST_ORDER = 3  # FuMa ends there; more would not tell more


def misfits(covariance: Float[ndarray, "channel channel"]) -> dict[str, float]:
    """Misfit of each convention to a sound field, 0 to 1, from the covariance of an Ambisonic recording.

    Whatever arrives from wherever, if the waves are uncorrelated, the covariance is a sum of y(θ) y(θ)ᵀ. These
    matrices span only (2N+1)² of the (N+1)²((N+1)²+1)/2 dimensions that symmetric matrices have (products of two
    harmonics of order N are harmonics up to order 2N). The misfit is the share of the covariance outside, after
    each channel was scaled to what it has in a diffuse field. At first order only W² = X² + Y² + Z² remains to be
    tested: it tells the normalisation, but not the order of the channels.
    """
    order = min(int(np.sqrt(len(covariance))) - 1, _HIGHEST_ORDER)
    channels = (order + 1) ** 2
    inside = _field_covariances(order)
    result = {}
    for convention in CONVENTIONS:
        matrix = to_sn3d(order, convention)
        vector = _vector(matrix @ covariance[:channels, :channels] @ matrix.T, order)
        outside = vector - inside @ (inside.T @ vector)
        result[NAMES[convention]] = float(np.sqrt(outside @ outside / max(vector @ vector, 1e-300)))
    return result


def likely(misfit: dict[str, float]) -> str | None:
    """Return the convention that clearly fits best, half the misfit of any other; None if none does."""
    best, second = sorted(misfit, key=misfit.__getitem__)[:2]
    return best if misfit[best] < 0.5 * misfit[second] else None


def _vector(covariance: ndarray, order: int) -> ndarray:
    """Symmetric matrix as a vector, in N3D, where a diffuse field has the same power in every channel."""
    degree = np.sqrt(2.0 * np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1) + 1)
    scaled = covariance * np.outer(degree, degree)
    upper = np.triu_indices(len(scaled))
    return scaled[upper] * np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))


@cache
def _field_covariances(order: int) -> Float[ndarray, "entry dimension"]:
    """Orthonormal basis of the covariances of uncorrelated plane waves."""
    waves = spherical_harmonics(order, *fibonacci_sphere(8 * (2 * order + 1) ** 2))
    vectors = np.stack([_vector(np.outer(wave, wave), order) for wave in waves])
    return np.linalg.svd(vectors, full_matrices=False)[2][: (2 * order + 1) ** 2].T
