"""Description of a synthetic sound field: textures, events, reverberation.

A *bed* is a stationary Gaussian texture with a distribution over directions, modulated by an envelope; an *event*
is a mono signal that comes from one direction or moves along a path; the *reverberation* is a decaying isotropic
field to which events are sent. All directions are those of a grid of 256 points. `stimuli.synthesis.renderer`
turns a description into Ambisonic signals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from render.hoa.spherical_harmonics import fibonacci_sphere, unit_vectors

GRID_AZIMUTH_RAD, GRID_ELEVATION_RAD = fibonacci_sphere(256)
GRID_VECTORS = unit_vectors(GRID_AZIMUTH_RAD, GRID_ELEVATION_RAD)


@dataclass(frozen=True, eq=False)
class Bed:
    """A diffuse texture.

    Attributes
    ----------
    level_db : float
        Power of W relative to the other sources, before the common equalisation.
    spectrum : callable
        Frequencies in Hz -> amplitude (any scale).
    spread : float (direction,)
        Power over the directions of the grid (any scale), see `lobe`.
    envelope : callable
        Times in s -> amplitude, about 1 on average.
    """

    level_db: float
    spectrum: Callable[[ndarray], ndarray]
    spread: Float[ndarray, " direction"]
    envelope: Callable[[ndarray], ndarray] = np.ones_like


@dataclass(frozen=True, eq=False)
class Event:
    """A sound of finite length from one direction or along a path.

    Attributes
    ----------
    start_s : float
        May be negative: the event began before the recording.
    duration_s : float
        Length of the signal.
    signal : callable
        No argument -> float32 (time,), the same at every call, with peaks near 1.
    level_db : float
        Gain relative to the beds, before the common equalisation.
    path : callable
        Times in s since the start -> (azimuth, elevation) in radians, arrays of the same length.
    send_db : float
        Gain into the reverberation, relative to the direct sound.
    """

    start_s: float
    duration_s: float
    signal: Callable[[], Float32[ndarray, " time"]]
    level_db: float
    path: Callable[[ndarray], tuple[ndarray, ndarray]]
    send_db: float = -120.0


@dataclass(frozen=True, eq=False)
class SoundField:
    """Everything that the microphone picks up, and which microphone it is.

    Attributes
    ----------
    beds : list of Bed
    events : list of Event
    ltas_db : callable
        Frequencies in Hz -> long-term level density of W in dB, which one common filter gives to the mixture.
    level_dbfs : float
        Level of W (rms).
    t60_s : callable
        Frequencies in Hz -> reverberation time.
    microphone_seed : int
        The microphone, that is, the mismatch between its capsules.
    """

    beds: list[Bed]
    events: list[Event]
    ltas_db: Callable[[ndarray], ndarray]
    level_dbfs: float
    t60_s: Callable[[ndarray], ndarray]
    microphone_seed: int


def lobe(azimuth_deg: float, elevation_deg: float, concentration: float) -> Float[ndarray, " direction"]:
    """Power over the grid of a von Mises-Fisher lobe; the sum is 1, and a concentration of 0 is isotropic."""
    centre = unit_vectors(np.radians(azimuth_deg), np.radians(elevation_deg))
    power = np.exp(concentration * (GRID_VECTORS @ centre - 1))
    return power / power.sum()
