"""Beams steered over the sphere, their order weights (max-rE), and their power in a sound field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.hoa.spherical_harmonics import acn_orders, spherical_harmonics

if TYPE_CHECKING:
    from jaxtyping import Float


def beam_weights(
    azimuth_rad: Float[ndarray, " direction"],
    elevation_rad: Float[ndarray, " direction"],
    order_weights: Float[ndarray, " order"],
) -> Float[ndarray, "direction acn"]:
    """Weights of axisymmetric beams for ACN/SN3D channels: ``weights @ scene`` are the beams' signals.

    By the addition theorem a beam with the weights a_n picks up a plane wave at the angle γ to its axis with the
    gain Σ a_n (2n+1) P_n(cos γ).

    Parameters
    ----------
    azimuth_rad, elevation_rad : (direction,)
        Axes of the beams.
    order_weights : (order + 1,)
        a_n. All ones give the plane-wave decomposition, the beam of maximum directivity.

    Examples
    --------
    >>> beam_weights(np.zeros(1), np.zeros(1), np.ones(2)).round(6).tolist()
    [[1.0, 0.0, 0.0, 3.0]]
    """
    order = len(order_weights) - 1
    orders = acn_orders(order)
    gains = np.asarray(order_weights, np.float64)[orders] * (2 * orders + 1)
    return spherical_harmonics(order, azimuth_rad, elevation_rad) * gains


def max_re_weights(order: int) -> Float[ndarray, " order"]:
    """Weights P_n(rE), which maximise the energy vector of a plane wave (Zotter & Frank 2019, eq. 4.41).

    rE, the largest root of P_(N+1), is the length of the energy vector that they reach.

    Examples
    --------
    >>> max_re_weights(3).round(4).tolist()
    [1.0, 0.8611, 0.6123, 0.3047]
    """
    longest = np.polynomial.legendre.leggauss(order + 1)[0].max()
    return np.polynomial.legendre.legvander(longest, order)[0]


def max_re_approximation(order: int) -> Float[ndarray, " order"]:
    """Approximate max-rE weights P_n(cos(137.9° / (N + 1.51))) (Zotter & Frank 2012, eq. 10).

    They lie within 3e-3 of `max_re_weights`. The spatial measures of this project are defined with them.
    """
    return np.polynomial.legendre.legvander(np.cos(np.radians(137.9 / (order + 1.51))), order)[0]


def beam_power(
    covariance: Float[ndarray, "*batch acn acn"], weights: Float[ndarray, "direction acn"]
) -> Float[ndarray, "*batch direction"]:
    """Power wᵀ C w of each beam's signal, at least 0, in the precision of the covariance.

    Parameters
    ----------
    covariance : (..., acn, acn)
        Real part of the covariance of ACN/SN3D channels.
    weights : (direction, acn)
        As `beam_weights` returns them.
    """
    # Linear in the covariance: one matrix product over all pairs of channels
    products = (weights[:, :, None] * weights[:, None, :]).reshape(len(weights), -1)
    pairs = covariance.reshape(*covariance.shape[:-2], -1)
    return np.maximum(pairs @ np.ascontiguousarray(products.T, covariance.dtype), 0)
