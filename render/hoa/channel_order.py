"""In which sequence the channels of a recording stand, ACN or Furse-Malham: their covariances tell."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics, to_sn3d

_FIRST, _SECOND = slice(1, 4), slice(4, 9)
_CLEAR = 0.5  # of the misfit of any other sequence


def misfits(covariance: Float[ndarray, "channel channel"]) -> dict[str, float]:
    """Misfit of each sequence to a sound field, 0 to 1, from the covariance of nine channels or more.

    Whatever arrives from wherever, if the waves are uncorrelated the covariance is a sum of y(θ) y(θ)ᵀ. Products
    of harmonics of order 1 and 2 are harmonics of order 1 and 3, so that the 3 x 5 covariances between the two
    orders span 10 of 15 dimensions only; the misfit is the share outside. The gain of an order, and so its
    normalisation and what a microphone makes of it, leaves that as it is.
    """
    inside = _between_orders()
    result = {}
    for name, convention in (("ACN", "sn3d"), ("FuMa", "fuma")):
        matrix = to_sn3d(2, convention)
        vector = (matrix @ covariance[:9, :9] @ matrix.T)[_FIRST, _SECOND].ravel()
        outside = vector - inside @ (inside.T @ vector)
        result[name] = float(np.sqrt(outside @ outside / max(vector @ vector, 1e-300)))
    return result


def likely(misfit: dict[str, float]) -> str:
    """Sequence that clearly fits best, with half the misfit of any other; otherwise ``unclear``."""
    best, second = sorted(misfit, key=misfit.__getitem__)[:2]
    return best if misfit[best] < _CLEAR * misfit[second] else "unclear"


@cache
def _between_orders() -> Float[ndarray, "entry dimension"]:
    """Orthonormal basis of the covariances between order 1 and order 2 of plane waves."""
    waves = spherical_harmonics(2, *fibonacci_sphere(200))
    products = np.einsum("da,db->dab", waves[:, _FIRST], waves[:, _SECOND]).reshape(len(waves), -1)
    return np.linalg.svd(products, full_matrices=False)[2][:10].T
