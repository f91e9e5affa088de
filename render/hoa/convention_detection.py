"""Detection of a recording's convention, normalisation and channel order, from its levels and covariances."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, fibonacci_sphere, spherical_harmonics, to_sn3d

if TYPE_CHECKING:
    from jaxtyping import Float

_FIRST_ORDER, _SECOND_ORDER = slice(1, 4), slice(4, 9)
_MIN_DIFFERENCE_DB = 2.0  # between the deviations from SN3D and N3D, for a clear answer
_MAX_MISFIT_RATIO = 0.5  # of the best channel order to the second best, for a clear answer


def order_levels_db(rms: Float[ndarray, " acn"]) -> Float[ndarray, " order"]:
    """Level of each order (the power of its channels added up) relative to W, in dB.

    In SN3D the squared harmonics of an order sum to 1 in every direction (Unsöld's theorem), so each order is as
    strong as W, for one source as for many uncorrelated ones. In N3D order n is 10 lg(2n+1) dB stronger.
    """
    power = np.bincount(acn_orders(order_of(len(rms))), np.square(rms))
    return 10 * np.log10(np.maximum(power, 1e-30) / np.maximum(power[0], 1e-30))


def likely_normalisation(level_db: Float[ndarray, " order"]) -> tuple[str, dict[str, float]]:
    """Infer the normalisation from the levels of the orders, as `order_levels_db` returns them.

    Returns
    -------
    name : str
        ``SN3D``, ``N3D``, or ``unclear`` if the mean deviations from both differ by less than 2 dB.
    deviation_db : dict
        Mean absolute deviation of the orders from each hypothesis.
    """
    orders = np.arange(1, len(level_db))
    expected = {"SN3D": np.zeros(len(orders)), "N3D": 10 * np.log10(2 * orders + 1)}
    deviation = {name: float(np.abs(level_db[1:] - level).mean()) for name, level in expected.items()}
    best, second = sorted(deviation, key=deviation.__getitem__)
    return (best if deviation[second] - deviation[best] >= _MIN_DIFFERENCE_DB else "unclear"), deviation


def channel_order_misfits(covariance: Float[ndarray, "channel channel"]) -> dict[str, float]:
    """Misfit of each channel order (ACN, FuMa) to any sound field, 0 to 1, from nine channels or more.

    The covariance of uncorrelated plane waves is a sum of y(θ) y(θ)ᵀ, wherever they come from. Products of
    harmonics of orders 1 and 2 are harmonics of orders 1 and 3, so that the 3 x 5 covariances between these two
    orders span only 10 of 15 dimensions. The misfit is the share (in amplitude) outside these dimensions. It does
    not depend on the gain of an order, and thus neither on the normalisation nor on the microphone's equalisation.
    """
    inside = _first_second_order_basis()
    result = {}
    for name, convention in (("ACN", "sn3d"), ("FuMa", "fuma")):
        matrix = to_sn3d(2, convention)
        vector = (matrix @ covariance[:9, :9] @ matrix.T)[_FIRST_ORDER, _SECOND_ORDER].ravel()
        outside = vector - inside @ (inside.T @ vector)
        result[name] = float(np.sqrt(outside @ outside / max(vector @ vector, 1e-300)))
    return result


def likely_channel_order(misfits: dict[str, float]) -> str:
    """Channel order with at most half the misfit of any other, or ``unclear``."""
    best, second = sorted(misfits, key=misfits.__getitem__)[:2]
    return best if misfits[best] < _MAX_MISFIT_RATIO * misfits[second] else "unclear"


@cache
def _first_second_order_basis() -> Float[ndarray, "entry dimension"]:
    """Orthonormal basis of the covariances between orders 1 and 2 of plane waves."""
    waves = spherical_harmonics(2, *fibonacci_sphere(200))
    products = np.einsum("da,db->dab", waves[:, _FIRST_ORDER], waves[:, _SECOND_ORDER]).reshape(len(waves), -1)
    return np.linalg.svd(products, full_matrices=False)[2][:10].T
