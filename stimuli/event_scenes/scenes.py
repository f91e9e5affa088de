"""Event scenes: an event over low diffuse noise, dry or in a room, written with its truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from numpy.random import Generator
from scipy.signal import oaconvolve

from render.common.errors import InputError, did_you_mean
from render.common.files import record_path, sha256, write_json
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene
from stimuli.event_scenes.events import EVENTS, RATE_HZ
from stimuli.event_scenes.room import REVERBERATION_S, diffuse_gains, reverberation
from stimuli.synthesis.sound_sources import noise, slope

PLACES = ("dry", "room")
W_DBFS = -24.0
PEAK_DBFS = -1.0
NOISE_DB = -54.0
"""Level of the diffuse noise in W, re that of the event."""
SECONDS = (2.0, 60.0)


def event_scene(
    name: str, place: str, seed: int, seconds: float
) -> tuple[Float32[ndarray, "acn time"], dict[str, Any]]:
    """Make a scene and its record; the same arguments give the same samples.

    W has `W_DBFS` rms, or less where a channel's peak would pass `PEAK_DBFS`.

    Parameters
    ----------
    name : str
        One of `EVENTS`.
    place : str
        One of `PLACES`.
    seed : int
        Not negative. The event is the same in all places.
    seconds : float

    Returns
    -------
    samples : float32 (acn, time)
        Third order, ACN/SN3D, 44.1 kHz.
    record : dict
        ``what``, ``truth`` and the parameters, as JSON values.

    Raises
    ------
    InputError
        If there is no such event or place, or `seconds` is out of range.
    """
    _check(name, place, seed, seconds)
    number, length = list(EVENTS).index(name), round(seconds * RATE_HZ)
    event = EVENTS[name](np.random.default_rng([seed, number]), length)
    scene, rng = event.direct, np.random.default_rng([seed, number, 1])
    if place == "room":
        azimuth_deg, elevation_deg = (np.ravel(event.truth.get(of, [0.0]))[0] for of in _DIRECTION)
        response = reverberation(rng, float(azimuth_deg), float(elevation_deg))
        scene = scene + oaconvolve(event.send[None], response, axes=1)[:, :length]
    scene = scene / np.sqrt(np.square(scene[0]).mean())
    scene = scene + 10 ** (NOISE_DB / 20) * _diffuse_noise(rng, length)
    scale = min(10 ** (W_DBFS / 20), 10 ** (PEAK_DBFS / 20) / np.abs(scene).max())
    truth = event.truth | ({"reverberation_s": REVERBERATION_S} if place == "room" else {})
    record = {
        "what": f"synthetic event: {event.what}, {_WHERE[place]}; made by stimuli.events, no recording",
        "convention": "ACN/SN3D",
        "event": name,
        "place": place,
        "seed": seed,
        "noise_db": NOISE_DB,
        "truth": truth,
    }
    return (scale * scene).astype(np.float32), record


_DIRECTION = ("azimuth_deg", "elevation_deg")
_WHERE = {"dry": "in free field", "room": "in a synthetic room"}


def _check(name: str, place: str, seed: int, seconds: float) -> None:
    if name not in EVENTS:
        raise InputError(f"event {name!r}; possible are {', '.join(EVENTS)}{did_you_mean(name, list(EVENTS))}")
    if place not in PLACES:
        raise InputError(f"place {place!r}; possible are {', '.join(PLACES)}")
    if seed < 0:
        raise InputError(f"seed {seed}; a seed is 0 or more")
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        raise InputError(f"{seconds:g} s; possible are {SECONDS[0]:g} to {SECONDS[1]:g}")


def _diffuse_noise(rng: Generator, length: int) -> Float64[ndarray, "acn time"]:
    """Isotropic noise of unit power in W, -4.5 dB per octave."""
    channels = [noise(rng, length, RATE_HZ, slope(-4.5)).astype(np.float64) for _ in diffuse_gains()]
    return np.stack(channels) / 0.25 * diffuse_gains()[:, None]


def write_event_scene(name: str, place: str, seed: int, seconds: float, folder: Path, force: bool = False) -> Path:
    """Write ``<name>_<place>.wav`` (24 bit) and its record; return the file's path.

    Raises
    ------
    InputError
        As `event_scene`; if the file exists and differs and not `force`.
    """
    samples, record = event_scene(name, place, seed, seconds)
    path = folder / f"{name}_{place}.wav"
    write_scene(path, Scene(samples, RATE_HZ), "PCM_24", force=force)
    write_json(record_path(path), {**record, "sha256": sha256(path)}, force=True)
    return path
