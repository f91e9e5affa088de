"""Decoders optimised for the loudspeakers as they stand: even energy without loss of direction.

A given decoder, that of BS.2127, is the starting point and the bound. Over the region that the layout serves,
and for layouts with height over the sphere too, the result has no shorter energy vector and no larger direction
errors, on average and in the 95th percentile; its energy is made as even as that allows (augmented Lagrangian,
Nocedal & Wright 2006, algorithm 17.4, with L-BFGS and the exact gradient).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize

from render.hoa.layout import Layout
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, unit_vectors

_DIRECTIONS = 2400
_OUTSIDE_WEIGHT = 0.05  # of the energy outside the served region
_ROUNDS, _STEPS, _PENALTY, _GROWTH = 6, 50, 10.0, 2.0  # of the augmented Lagrangian
_DIRECTION = 0.03  # squared dB that a degree of direction error counts
_QUARTIC = 1.0  # fourth power of the energy's dB beside the square: what is far out counts more
_SCALE = np.array([0.01, 0.5, 1.0])  # of |rE|, mean error and 95th percentile of the error in degrees
_MARGIN = np.array([0.001, 0.05, 0.15])  # wanted beyond the bound, since other directions are asked for later
_PERCENTILES = (0.935, 0.965)  # whose mean stands for the 95th: one alone would jump
_MARGIN_DEG = 10.0  # around the middle layer that is served without loudspeakers above or below


def served_deg(layout: Layout) -> tuple[float, float]:
    """Lowest and highest elevation that a layout serves.

    From 10 degrees below its middle layer to the zenith; layouts without height, 10 degrees up and down.
    """
    elevation = [speaker.elevation_deg for speaker in layout.loudspeakers if not speaker.is_lfe]
    return -_MARGIN_DEG, 90.0 if max(elevation) > 2 * _MARGIN_DEG else _MARGIN_DEG


@dataclass(frozen=True, eq=False)
class _Task:
    """Directions of the design, the regions that are bounded (the served one first), weights of the energy."""

    harmonics: Float[ndarray, "direction acn"]
    waves: Float[ndarray, "direction 3"]
    speakers: Float[ndarray, "loudspeaker 3"]
    regions: tuple[ndarray, ...]
    weight: Float[ndarray, " direction"]


def optimised(
    layout: Layout, order: int, start: Float[ndarray, "loudspeaker acn"]
) -> Float[ndarray, "loudspeaker acn"]:
    """Improve a decoder in all of energy, |rE| and direction; N3D columns, LFE rows zero, any level."""
    heard = np.array([not speaker.is_lfe for speaker in layout.loudspeakers])
    task = _task(layout, order, heard)
    decoder = start[heard] / np.linalg.norm(start)
    energy = np.square(task.harmonics @ decoder.T).sum(axis=1)[task.regions[0]]
    decoder /= np.sqrt(np.exp(np.log(energy).mean()))
    _, constraints, _ = _evaluate(decoder, task)
    bound = constraints + np.tile(_MARGIN / _SCALE, len(task.regions))
    multiplier, penalty = np.zeros(len(bound)), _PENALTY
    for _ in range(_ROUNDS):
        found = minimize(
            _lagrangian,
            decoder.ravel(),
            args=(decoder.shape, task, bound, multiplier, penalty),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "maxcor": 20},
        )
        decoder = found.x.reshape(decoder.shape)
        _, constraint, _ = _evaluate(decoder, task)
        multiplier = np.maximum(0.0, multiplier + penalty * (bound - constraint))
        penalty *= _GROWTH
    result = np.zeros_like(start)
    result[heard] = decoder
    return result


def _lagrangian(
    values: ndarray, shape: tuple[int, int], task: _Task, bound: ndarray, multiplier: ndarray, penalty: float
) -> tuple[float, ndarray]:
    loss, constraints, gradient = _evaluate(values.reshape(shape), task)
    pressed = np.maximum(0.0, multiplier + penalty * (bound - constraints))
    return loss + float(pressed @ pressed) / (2 * penalty), gradient(-pressed).ravel()


def _task(layout: Layout, order: int, heard: ndarray) -> _Task:
    azimuth, elevation = fibonacci_sphere(_DIRECTIONS // 2)
    # Left and right alike, so that a symmetric layout keeps its symmetry
    azimuth, elevation = np.concatenate([azimuth, -azimuth]), np.tile(elevation, 2)
    low, high = np.radians(served_deg(layout))
    served = (elevation >= low) & (elevation <= high)
    angles = np.radians([(speaker.azimuth_deg, speaker.elevation_deg) for speaker in layout.loudspeakers])
    weight = np.where(served, 1.0, _OUTSIDE_WEIGHT)
    return _Task(
        spherical_harmonics(order, azimuth, elevation) * sn3d_to_n3d(order),
        unit_vectors(azimuth, elevation),
        unit_vectors(*angles[heard].T),
        (np.flatnonzero(served), np.arange(_DIRECTIONS)) if high > 1 else (np.flatnonzero(served),),
        weight / weight.sum(),
    )


def _evaluate(decoder: ndarray, task: _Task):
    """Energy loss, constraints (larger is better) and the gradient of loss plus weighted constraints."""
    gains = task.harmonics @ decoder.T
    power = gains**2
    energy = power.sum(axis=1)
    level_db = 10 * np.log10(energy)
    vector = power @ task.speakers / energy[:, None]
    length = np.linalg.norm(vector, axis=1)
    cosine = np.clip(np.einsum("di,di->d", vector, task.waves) / length, -1, 1)
    error_deg = np.degrees(np.arccos(cosine))
    parts = []
    for region in task.regions:
        ranked = region[np.argsort(error_deg[region])]
        parts.append((region, ranked[slice(*(int(share * len(ranked)) for share in _PERCENTILES))]))
    loss = float(task.weight @ (level_db**2 + _QUARTIC * level_db**4 + _DIRECTION * error_deg))
    constraints = np.concatenate(
        [
            np.array([length[region].mean(), -error_deg[region].mean(), -error_deg[around].mean()]) / _SCALE
            for region, around in parts
        ]
    )

    def gradient(weights: ndarray) -> ndarray:
        by_length, by_error = np.zeros(len(energy)), _DIRECTION * task.weight
        for (region, around), (of_length, of_mean, of_rank) in zip(
            parts, weights.reshape(-1, 3) / _SCALE, strict=True
        ):
            by_length[region] += of_length / len(region)
            by_error[region] -= of_mean / len(region)
            by_error[around] -= of_rank / len(around)
        by_energy = task.weight * (2 * level_db + 4 * _QUARTIC * level_db**3) * 10 / np.log(10) / energy
        along = vector / length[:, None]
        sine = np.maximum(np.sqrt(1 - cosine**2), 1e-3)
        by_vector = by_length[:, None] * along
        by_vector -= (np.degrees(by_error) / sine / length)[:, None] * (task.waves - cosine[:, None] * along)
        by_power = (
            by_energy[:, None]
            + (by_vector @ task.speakers.T - np.einsum("di,di->d", by_vector, vector)[:, None]) / energy[:, None]
        )
        return (2 * gains * by_power).T @ task.harmonics

    return loss, constraints, gradient
