"""Decoders optimised for given loudspeaker positions: even energy without loss of direction.

A given decoder, that of BS.2127 or its mixture with the one with max-rE weights, is both the starting point and
the bound. Over the region that the layout covers, and on request over the whole sphere too, the mean energy vector
of the result is no shorter and its direction errors are no larger, on average and in the 95th percentile. Within
these constraints its energy is made as even as possible (augmented Lagrangian, Nocedal & Wright 2006, algorithm
17.4, with L-BFGS and the exact gradient).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.hoa.layout import Layout
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float

_DIRECTIONS = 2400
_OUTSIDE_WEIGHT = 0.05  # of the energy outside the covered region, relative to inside
# Augmented Lagrangian: outer iterations, L-BFGS iterations in each, first penalty and its growth
_ROUNDS, _STEPS, _PENALTY, _GROWTH = 6, 50, 10.0, 2.0
_DIRECTION = 0.03  # squared dB that one degree of direction error costs
_QUARTIC = 1.0  # weight of the fourth power of the energy in dB beside its square, against outliers
# Constraints: mean |rE|, mean direction error and its 95th percentile, in degrees
_SCALE = np.array([0.01, 0.5, 1.0])  # that makes them comparable
_MARGIN = np.array([0.001, 0.05, 0.15])  # beyond the bound, since the result is assessed in other directions
_PERCENTILES = (0.935, 0.965)  # the mean between them stands for the 95th, which alone is not smooth
_BOTTOM_LAYER_DEG = -30.0
_MARGIN_DEG = 10.0  # around the middle layer, covered without loudspeakers above or below


def covered_elevation_deg(layout: Layout) -> tuple[float, float]:
    """Lowest and highest elevation that a layout covers.

    It is -10 degrees up to the zenith for layouts with loudspeakers above the middle layer, -10 to 10 degrees for
    layouts without, and the whole sphere where loudspeakers are lower than the bottom layer of BS.2051.
    """
    elevation = [speaker.elevation_deg for speaker in layout.loudspeakers if not speaker.is_lfe]
    low = -90.0 if min(elevation) < _BOTTOM_LAYER_DEG else -_MARGIN_DEG
    return low, 90.0 if max(elevation) > 2 * _MARGIN_DEG else _MARGIN_DEG


@dataclass(frozen=True, eq=False)
class _Problem:
    """Sampled directions, the regions with constraints (the covered one first) and the weights of the energy."""

    harmonics: Float[ndarray, "direction acn"]
    waves: Float[ndarray, "direction 3"]
    speakers: Float[ndarray, "loudspeaker 3"]
    regions: tuple[ndarray, ...]
    weight: Float[ndarray, " direction"]


def optimised(
    layout: Layout, order: int, start: Float[ndarray, "loudspeaker acn"], whole_sphere: bool
) -> Float[ndarray, "loudspeaker acn"]:
    """Optimise a decoder for even energy, from and no worse than `start` in |rE| and direction.

    Columns are N3D and LFE rows 0, in `start` as in the result, whose overall level is arbitrary. `whole_sphere`
    also holds |rE| and direction of layouts with height in directions that they do not cover.
    """
    from scipy.optimize import minimize  # takes 0.1 s to import, which the other decoders save

    full_range = layout.full_range
    problem = _problem(layout, order, whole_sphere)
    decoder = start[full_range] / np.linalg.norm(start)
    energy = np.square(problem.harmonics @ decoder.T).sum(axis=1)[problem.regions[0]]
    decoder /= np.sqrt(np.exp(np.log(energy).mean()))
    _, constraints, _ = _evaluate(decoder, problem)
    bound = constraints + np.tile(_MARGIN / _SCALE, len(problem.regions))
    multiplier, penalty = np.zeros(len(bound)), _PENALTY
    for _ in range(_ROUNDS):
        found = minimize(
            _lagrangian,
            decoder.ravel(),
            args=(decoder.shape, problem, bound, multiplier, penalty),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "maxcor": 20},
        )
        decoder = found.x.reshape(decoder.shape)
        _, constraint, _ = _evaluate(decoder, problem)
        multiplier = np.maximum(0.0, multiplier + penalty * (bound - constraint))
        penalty *= _GROWTH
    result = np.zeros_like(start)
    result[full_range] = decoder
    return result


def _lagrangian(
    values: ndarray, shape: tuple[int, int], problem: _Problem, bound: ndarray, multiplier: ndarray, penalty: float
) -> tuple[float, ndarray]:
    loss, constraints, gradient = _evaluate(values.reshape(shape), problem)
    pressed = np.maximum(0.0, multiplier + penalty * (bound - constraints))
    return loss + float(pressed @ pressed) / (2 * penalty), gradient(-pressed).ravel()


def _problem(layout: Layout, order: int, whole_sphere: bool) -> _Problem:
    azimuth, elevation = fibonacci_sphere(_DIRECTIONS // 2)
    # The same directions left and right, so that the design of a symmetric layout is symmetric
    azimuth, elevation = np.concatenate([azimuth, -azimuth]), np.tile(elevation, 2)
    low, high = np.radians(covered_elevation_deg(layout))
    covered = (elevation >= low) & (elevation <= high)
    weight = np.where(covered, 1.0, _OUTSIDE_WEIGHT)
    return _Problem(
        spherical_harmonics(order, azimuth, elevation) * sn3d_to_n3d(order),
        unit_vectors(azimuth, elevation),
        unit_vectors(*layout.directions_rad())[layout.full_range],
        (np.flatnonzero(covered), *([np.arange(_DIRECTIONS)] if whole_sphere and high > 1 else [])),
        weight / weight.sum(),
    )


def _evaluate(
    decoder: ndarray, problem: _Problem
) -> tuple[float, Float[ndarray, " constraint"], Callable[[ndarray], ndarray]]:
    """Energy loss, constraints (larger is better), and the gradient of loss plus constraints for given weights."""
    gains = problem.harmonics @ decoder.T
    power = gains**2
    energy = power.sum(axis=1)
    level_db = 10 * np.log10(energy)
    vector = power @ problem.speakers / energy[:, None]
    length = np.linalg.norm(vector, axis=1)
    cosine = np.clip(np.einsum("di,di->d", vector, problem.waves) / length, -1, 1)
    error_deg = np.degrees(np.arccos(cosine))
    parts = []
    for region in problem.regions:
        ranked = region[np.argsort(error_deg[region])]
        parts.append((region, ranked[slice(*(int(share * len(ranked)) for share in _PERCENTILES))]))
    loss = float(problem.weight @ (level_db**2 + _QUARTIC * level_db**4 + _DIRECTION * error_deg))
    constraints = np.concatenate(
        [
            np.array([length[region].mean(), -error_deg[region].mean(), -error_deg[around].mean()]) / _SCALE
            for region, around in parts
        ]
    )

    def gradient(weights: ndarray) -> ndarray:
        by_length, by_error = np.zeros(len(energy)), _DIRECTION * problem.weight
        for (region, around), (of_length, of_mean, of_rank) in zip(
            parts, weights.reshape(-1, 3) / _SCALE, strict=True
        ):
            by_length[region] += of_length / len(region)
            by_error[region] -= of_mean / len(region)
            by_error[around] -= of_rank / len(around)
        by_energy = problem.weight * (2 * level_db + 4 * _QUARTIC * level_db**3) * 10 / np.log(10) / energy
        along = vector / length[:, None]
        sine = np.maximum(np.sqrt(1 - cosine**2), 1e-3)
        by_vector = by_length[:, None] * along
        by_vector -= (np.degrees(by_error) / sine / length)[:, None] * (problem.waves - cosine[:, None] * along)
        by_power = (
            by_energy[:, None]
            + (by_vector @ problem.speakers.T - np.einsum("di,di->d", by_vector, vector)[:, None])
            / energy[:, None]
        )
        return (2 * gains * by_power).T @ problem.harmonics

    return loss, constraints, gradient
