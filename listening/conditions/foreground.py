"""Foreground objects: sounds that are rendered by themselves and mixed alike into every condition.

The paper proposes to code the ambience alone and to transmit objects beside it. Here the scene is coded, and
the same samples of the objects, encoded as plane waves of the scene's order, are added to every rendition.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32
from numpy import ndarray

from listening.test_design.test_plan import ForegroundObject
from render.common.errors import InputError
from render.fileio.audio_file import info, read
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import spherical_harmonics


def check(objects: tuple[ForegroundObject, ...]) -> None:
    """Raise `InputError` unless every object's file is there and mono."""
    for one in objects:
        about = info(Path(one.file))
        if about.channels != 1:
            raise InputError(f"{one.file}: {about.channels} channels; a foreground object is mono")


def foreground(
    objects: tuple[ForegroundObject, ...], excerpt: Scene, roll: int
) -> Float32[ndarray, "acn time"] | None:
    """Render the objects for an excerpt that has `roll` samples before and behind it; None without objects.

    Each object's level is set against the rms of W over the excerpt without its rolls. What would sound
    beyond the excerpt and its rolls is cut.
    """
    if not objects:
        return None
    mixed = np.zeros_like(excerpt.samples)
    inner = excerpt.samples[0, roll : excerpt.length - roll].astype(np.float64)
    level = np.sqrt(np.square(inner).mean())
    for one in objects:
        samples, rate_hz = read(Path(one.file))
        mono = samples[0]
        if rate_hz != excerpt.sample_rate_hz:
            mono = soxr.resample(mono, rate_hz, excerpt.sample_rate_hz, quality="VHQ")
        rms = np.sqrt(np.square(mono, dtype=np.float64).mean())
        if not rms:
            raise InputError(f"{one.file}: is silent; a foreground object must sound")
        begin = roll + round(one.start_s * excerpt.sample_rate_hz)
        kept = mono[: max(excerpt.length - begin, 0)] * (10 ** (one.level_db / 20) * level / rms)
        direction = np.radians([one.azimuth_deg]), np.radians([one.elevation_deg])
        gains = spherical_harmonics(excerpt.order, *direction)[0]
        mixed[:, begin : begin + len(kept)] += (gains[:, None] * kept).astype(np.float32)
    return mixed


def mixed(scene: Scene, objects: Float32[ndarray, "acn time"] | None) -> Scene:
    """Add rendered objects to a scene."""
    return scene if objects is None else Scene(scene.samples + objects, scene.sample_rate_hz)
