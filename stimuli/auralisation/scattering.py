"""Scatter dry clips in a measured room at random: scenes to train on, of sounds that no synthesis makes.

    python -m stimuli.scatter clips/*.flac --response room_3oa.wav --seed 1 --recordings 1-7 -o data/scattered/1

Every scene takes three of the clips, repeats each from a random moment on at a random level, and convolves it with
the Ambisonic room response (ACN/SN3D), turned about the vertical axis by a random angle. The response is damped to
a reverberation time drawn from 0.4, 0.8 and 1.5 s, where its own is longer, or left as it is. The scenes have the
response's order and rate, 24 bit, W at -24 dBFS, and are made from clips, response and seed alone. They are named
like EigenScape's (Beach.1.wav ... Woodland.8.wav), for the split into training and held-out parts; the names say
nothing of what is heard. A record beside each (.wav.json) says what it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import oaconvolve

from render.common.errors import InputError
from render.common.files import record_path, sha256, write_json
from render.dsp.block_processing import resampled, resampled_length
from render.fileio.audio_file import info, read, writer
from stimuli.auralisation.placement import filters_of
from stimuli.eigenscape.corpus import CLASSES

CLIPS_PER_SCENE = 3


LEVELS_DBFS = (-36.0, -24.0)


REVERBERATION_S = (0.4, 0.8, 1.5, None)


W_DBFS = -24.0


WHAT = "dry clips scattered in a measured room response, made by stimuli.scatter; no recording of a sound field"


def reverberation_time_s(response: Float[ndarray, " time"], rate_hz: int) -> float:
    """Time in which sound decays by 60 dB: T20, a line through -5 to -25 dB of the energy decay (ISO 3382-2).

    Raises
    ------
    InputError
        If the response does not decay by 25 dB.
    """
    decay = np.cumsum(np.square(response[::-1]))[::-1]
    decay_db = 10 * np.log10(decay / decay[0] + 1e-30)
    first, last = (int(np.argmax(decay_db < level)) for level in (-5, -25))
    if last <= first + 1:
        raise InputError("the room response does not decay by 25 dB; its reverberation time cannot be told")
    slope = np.polyfit(np.arange(first, last) / rate_hz, decay_db[first:last], 1)[0]
    return float(-60 / slope)


def damped(taps: Float[ndarray, "acn time"], rate_hz: int, reverberation_s: float) -> Float[ndarray, "acn time"]:
    """Let a response decay faster after its largest tap of W, so that it has this reverberation time at most."""
    present_s = reverberation_time_s(taps[0], rate_hz)
    if reverberation_s >= present_s:
        return taps
    time_s = np.maximum(np.arange(taps.shape[1]) - int(np.argmax(np.abs(taps[0]))), 0) / rate_hz
    return taps * 10 ** (-3 * time_s * (1 / reverberation_s - 1 / present_s))


def repeated(clip: Path, rate_hz: int, frames: int, random: np.random.Generator) -> Float[ndarray, " time"]:
    """Mean of a clip's channels at a rate, repeated from a random moment on, with an rms of 1.

    Raises
    ------
    InputError
        If what was drawn of the clip is silent.
    """
    about = info(clip)
    begin = int(random.integers(about.length))
    wanted = min(about.length, resampled_length(frames, rate_hz, about.sample_rate_hz) + 1)
    ends = min(wanted, about.length - begin)
    parts = [read(clip, begin, ends)[0], read(clip, 0, wanted - ends)[0]]
    mono = np.concatenate(parts, axis=1).mean(axis=0, keepdims=True)
    length = resampled_length(wanted, about.sample_rate_hz, rate_hz)
    once = np.concatenate(list(resampled([mono], 1, about.sample_rate_hz, rate_hz, length)), axis=1)[0]
    signal = np.resize(once.astype(np.float64), frames)
    rms = np.sqrt(np.square(signal).mean())
    if rms < 1e-6:
        raise InputError(f"{clip}: {frames / rate_hz:g} s from {begin / about.sample_rate_hz:.1f} s on are silent")
    return signal / rms


def scatter(
    clips: Sequence[Path], response: Path, folder: Path, seed: int, scene_class: str, recording: int,
    seconds: float, force: bool = False,
) -> str:  # fmt: skip
    """Write one scene and its record; return the file's name.

    Parameters
    ----------
    clips : sequence of Path
        At least three; which of them are taken depends on their order.
    response : Path
        Ambisonic room response of one source.
    folder : Path
    seed : int
        Not negative.
    scene_class, recording : str, int
        Name of the scene, see the module.
    seconds : float
        At most 60: a scene is made in memory.
    force : bool
        Replace a file that differs.
    """
    random = np.random.default_rng([seed, CLASSES.index(scene_class), recording])
    drawn = random.choice(len(clips), CLIPS_PER_SCENE, replace=False)
    turns_deg = random.uniform(0, 360, CLIPS_PER_SCENE).tolist()
    levels_dbfs = random.uniform(*LEVELS_DBFS, CLIPS_PER_SCENE).tolist()
    reverberation_s = REVERBERATION_S[random.integers(len(REVERBERATION_S))]
    filters, rate_hz = filters_of(response, turns_deg)
    frames = round(seconds * rate_hz)
    scene = np.zeros((len(filters.taps), frames))
    told: list[dict[str, Any]] = []
    for place, (index, level_dbfs) in enumerate(zip(drawn, levels_dbfs, strict=True)):
        clip, taps = clips[index], filters.taps[:, place]
        if reverberation_s is not None:
            taps = damped(taps, rate_hz, reverberation_s)
        # begins before the scene, which then begins with its reverberation
        dry = repeated(clip, rate_hz, frames + taps.shape[1] - 1, random) * 10 ** (level_dbfs / 20)
        scene += oaconvolve(dry[None], taps, mode="valid", axes=1)
        told.append(
            {"file": clip.name, "sha256": sha256(clip), "turn_deg": turns_deg[place], "level_dbfs": level_dbfs}
        )
    scene *= 10 ** (W_DBFS / 20) / np.sqrt(np.square(scene[0]).mean())
    target = folder / f"{scene_class}.{recording}.wav"
    with writer(target, len(scene), rate_hz, "PCM_24", force=force) as file:
        file.write(scene.astype(np.float32))
    record = {
        "what": WHAT,
        "convention": "ACN/SN3D",
        "seed": seed,
        "reverberation_s": reverberation_s,
        "response": {"file": response.name, "sha256": sha256(response)},
        "clips": told,
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)
    return target.name
