"""A synthetic room around the microphone: first reflections of a shoebox and a diffuse tail."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.random import Generator

from render.hoa.spherical_harmonics import acn_orders, unit_vectors
from stimuli.event_scenes.events import ORDER, RATE_HZ, gains
from stimuli.synthesis.sound_sources import SPEED_OF_SOUND_M_S

SIZE_M = np.array([8.0, 6.0, 3.2])
"""Length (front to back), width and height; the microphone stands in the middle."""
SOURCE_M = 1.5
REFLECTION = 0.7
"""Pressure that a wall reflects."""
REVERBERATION_S = 0.6
TAIL_DB = -6.0
"""Energy of the diffuse tail re the direct sound, in W."""
_MIXING_S = 0.02


def diffuse_gains() -> Float64[ndarray, " acn"]:
    """Amplitude of every channel in an isotropic field of unit power in W."""
    return 1 / np.sqrt(2 * acn_orders(ORDER) + 1)


def reflections(azimuth_deg: float, elevation_deg: float) -> tuple[ndarray, ndarray, ndarray]:
    """First-order image sources of a source at `SOURCE_M` in a direction.

    Returns
    -------
    delay_s, amplitude : float (6,)
        Relative to the direct sound.
    direction_deg : float (2, 6)
        Azimuths and elevations.
    """
    source = SOURCE_M * unit_vectors(np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg))
    images = np.repeat(source[None], 6, axis=0)
    for axis in range(3):
        for side, sign in enumerate((1, -1)):
            images[2 * axis + side, axis] = sign * SIZE_M[axis] - source[axis]
    distance = np.linalg.norm(images, axis=1)
    azimuth = np.degrees(np.arctan2(images[:, 1], images[:, 0]))
    elevation = np.degrees(np.arcsin(images[:, 2] / distance))
    delay_s = (distance - SOURCE_M) / SPEED_OF_SOUND_M_S
    return delay_s, REFLECTION * SOURCE_M / distance, np.stack([azimuth, elevation])


def reverberation(rng: Generator, azimuth_deg: float, elevation_deg: float) -> Float64[ndarray, "acn time"]:
    """Response of the room without the direct sound, to a source in a direction.

    The tail is isotropic noise that begins after 20 ms and decays by 60 dB in `REVERBERATION_S`.
    """
    response = np.zeros((len(diffuse_gains()), round((_MIXING_S + REVERBERATION_S) * RATE_HZ)))
    delay_s, amplitude, direction_deg = reflections(azimuth_deg, elevation_deg)
    for delay, level, wave in zip(delay_s, amplitude, gains(*direction_deg), strict=True):
        response[:, round(delay * RATE_HZ)] += level * wave
    begin = round(_MIXING_S * RATE_HZ)
    length = response.shape[1] - begin
    decay = 10 ** (-3 * np.arange(length) / RATE_HZ / REVERBERATION_S)
    tail = rng.standard_normal((len(response), length)) * decay * diffuse_gains()[:, None]
    tail *= 10 ** (TAIL_DB / 20) / np.sqrt(np.square(tail[0]).sum())
    response[:, begin:] += tail
    return response
