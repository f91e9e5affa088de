"""Faults of the format, planted in scenes to test and to benchmark `analysis.format_check.diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from analysis.format_check.channel_maps import FUMA, SID, transformation
from analysis.format_check.diagnose import normalisations
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, yaw_matrix

Samples = Float32[ndarray, "acn time"]


def _order(x: Samples, rng: np.random.Generator) -> Samples:
    count = len(x)
    swap = np.arange(count)
    a, b = rng.choice(np.arange(1, count), size=2, replace=False)
    swap[[a, b]] = b, a
    sequences = [FUMA, SID, np.argsort(FUMA), (0, 3, 1, 2, *range(4, count)), swap]
    return x[np.array(sequences[rng.integers(len(sequences))])[:count]]


def _mirror(x: Samples, rng: np.random.Generator) -> Samples:
    signs = np.ones(3)
    signs[rng.integers(3)] = -1
    return transformation(order_of(len(x)), np.diag(signs)) @ x


def _rotation(x: Samples, rng: np.random.Generator) -> Samples:
    angle_deg = rng.uniform(5, 175) * rng.choice([-1, 1])
    return yaw_matrix(order_of(len(x)), np.deg2rad(angle_deg)) @ x


def _normalisation(x: Samples, rng: np.random.Generator) -> Samples:
    gains = list(normalisations(order_of(len(x))).values())
    return x * gains[rng.integers(len(gains))][:, None]


def _gain(x: Samples, rng: np.random.Generator) -> Samples:
    return x * 10 ** (rng.uniform(1, 12) * rng.choice([-1, 1]) / 20)


def _delay(x: Samples, rng: np.random.Generator) -> Samples:
    lag = int(rng.integers(1, 2000)) * int(rng.choice([-1, 1]))
    silence = np.zeros((len(x), abs(lag)), x.dtype)
    return np.concatenate([silence, x[:, :-lag]] if lag > 0 else [x[:, -lag:], silence], axis=1)


def _dropped(x: Samples, rng: np.random.Generator) -> Samples:
    orders = acn_orders(order_of(len(x)))
    return x * (orders <= rng.integers(1, orders[-1]))[:, None]


def _collapsed(x: Samples, rng: np.random.Generator) -> Samples:
    gain = rng.choice([0.0, 0.1, 0.3])
    return x * np.where(np.arange(len(x)) == 0, gain, 1.0)[:, None]


FAULTS: dict[str, Callable[[Samples, np.random.Generator], ndarray]] = {
    "channel order": _order,
    "mirror": _mirror,
    "rotation": _rotation,
    "normalisation": _normalisation,
    "polarity": lambda x, rng: -x,
    "gain": _gain,
    "delay": _delay,
    "dropped orders": _dropped,
    "collapsed W": _collapsed,
}
"""Name of a fault, as in `Finding.fault` -> function that makes it, with random details."""


def plant_faults(scene: Samples, faults: Sequence[str], rng: np.random.Generator) -> tuple[Samples, set[str]]:
    """Plant faults of these names in a scene; also return the names as a set.

    They are planted in the reversed order of `FAULTS`: first what a decoder does to the signals, then what the
    file gets wrong.
    """
    for name in reversed(list(FAULTS)):
        if name in faults:
            scene = FAULTS[name](scene, rng).astype(np.float32)
    return scene, set(faults)
