"""Foreground objects: sounds that are encoded as plane waves and mixed identically into every condition.

The paper proposes to code the ambience alone and to transmit objects separately. Accordingly only the scene is
coded here, and the same samples of the objects, encoded in the scene's order, are added to every rendition.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32
from numpy import ndarray

from listening.test_design.foreground_object import ForegroundObject
from render.common.errors import InputError
from render.fileio.audio_file import info, read
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics


def check_objects(objects: tuple[ForegroundObject, ...]) -> None:
    """Raise `InputError` unless the file of every object exists and is mono."""
    for item in objects:
        channels = info(Path(item.file)).channels
        if channels != 1:
            raise InputError(f"{item.file}: {channels} channels; a foreground object is mono")


def encode_objects(
    objects: tuple[ForegroundObject, ...], excerpt: Scene, roll: int
) -> Float32[ndarray, "acn time"] | None:
    """Encode the objects as plane waves for an excerpt that includes `roll` samples before and after it.

    The level of each object is relative to the rms of W over the excerpt without its rolls. An object that lasts
    longer than the excerpt and its rolls is cut.

    Returns
    -------
    float32 (acn, time) or None
        Has the shape of the excerpt's samples; None if there are no objects.

    Raises
    ------
    InputError
        If an object is silent.
    """
    if not objects:
        return None
    mixture = np.zeros_like(excerpt.samples)
    inner = excerpt.samples[0, roll : excerpt.length - roll].astype(np.float64)
    level = np.sqrt(np.square(inner).mean())
    for item in objects:
        samples, rate_hz = read(Path(item.file))
        mono = samples[0]
        if rate_hz != excerpt.sample_rate_hz:
            mono = soxr.resample(mono, rate_hz, excerpt.sample_rate_hz, quality="VHQ")
        rms = np.sqrt(np.square(mono, dtype=np.float64).mean())
        if not rms:
            raise InputError(f"{item.file}: is silent; a foreground object must contain sound")
        begin = roll + round(item.start_s * excerpt.sample_rate_hz)
        scaled = mono[: max(excerpt.length - begin, 0)] * (10 ** (item.level_db / 20) * level / rms)
        direction = np.radians([item.azimuth_deg]), np.radians([item.elevation_deg])
        gains = spherical_harmonics(excerpt.order, *direction)[0]
        mixture[:, begin : begin + len(scaled)] += (gains[:, None] * scaled).astype(np.float32)
    return mixture


def mixed(scene: Scene, objects: Float32[ndarray, "acn time"] | None) -> Scene:
    """Add encoded objects to a scene; without objects the scene itself is returned."""
    return scene if objects is None else Scene(scene.samples + objects, scene.sample_rate_hz)
