"""Random scenes of dry clips in a measured room, as training material that no synthesis provides."""

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
from stimuli.auralisation.room_response import damped, rotated_filters
from stimuli.eigenscape.corpus import CLASSES

CLIPS_PER_SCENE = 3
LEVEL_RANGE_DBFS = (-36.0, -24.0)  # of a clip, before the scene is scaled
REVERBERATION_S = (0.4, 0.8, 1.5, None)  # None: the response is left as it is
W_DBFS = -24.0
DESCRIPTION = (
    "dry clips scattered in a measured room response, made by stimuli.scatter; no recording of a sound field"
)


def scatter(
    clips: Sequence[Path], response: Path, folder: Path, seed: int, scene_class: str, recording: int,
    seconds: float, force: bool = False,
) -> str:  # fmt: skip
    """Write one scene, 24 bit, and its record; return the file's name.

    Parameters
    ----------
    clips : sequence of Path
        At least three dry sounds of any rate; which of them are drawn depends on their order.
    response : Path
        Ambisonic room response, see `rotated_filters`. The scene has its order and rate.
    folder : Path
    seed : int
        Not negative.
    scene_class, recording : str, int
        Name of the scene, one of EigenScape's. It selects the random numbers and does not describe the content.
    seconds : float
        At most 60, as a scene is made in memory.
    force : bool
        Replace a file that differs.

    Raises
    ------
    InputError
        If the response cannot be used, a clip is silent where it was drawn, or the file exists and differs.
    """
    random = np.random.default_rng([seed, CLASSES.index(scene_class), recording])
    drawn = random.choice(len(clips), CLIPS_PER_SCENE, replace=False)
    azimuths_deg = random.uniform(0, 360, CLIPS_PER_SCENE).tolist()
    levels_dbfs = random.uniform(*LEVEL_RANGE_DBFS, CLIPS_PER_SCENE).tolist()
    reverberation_s = REVERBERATION_S[random.integers(len(REVERBERATION_S))]
    filters, rate_hz = rotated_filters(response, azimuths_deg)
    length = round(seconds * rate_hz)
    scene = np.zeros((len(filters.taps), length))
    clip_records: list[dict[str, Any]] = []
    for source, (index, azimuth_deg, level_dbfs) in enumerate(zip(drawn, azimuths_deg, levels_dbfs, strict=True)):
        clip, taps = clips[index], filters.taps[:, source]
        if reverberation_s is not None:
            taps = damped(taps, rate_hz, reverberation_s)
        # The clip starts before the scene, so that its reverberation is complete when the scene starts
        dry = repeated(clip, rate_hz, length + taps.shape[1] - 1, random) * 10 ** (level_dbfs / 20)
        scene += oaconvolve(dry[None], taps, mode="valid", axes=1)
        clip_records.append(
            {"file": clip.name, "sha256": sha256(clip), "turn_deg": azimuth_deg, "level_dbfs": level_dbfs}
        )
    scene *= 10 ** (W_DBFS / 20) / np.sqrt(np.square(scene[0]).mean())
    target = folder / f"{scene_class}.{recording}.wav"
    with writer(target, len(scene), rate_hz, "PCM_24", force=force) as file:
        file.write(scene.astype(np.float32))
    record = {
        "what": DESCRIPTION,
        "convention": "ACN/SN3D",
        "seed": seed,
        "reverberation_s": reverberation_s,
        "response": {"file": response.name, "sha256": sha256(response)},
        "clips": clip_records,
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)
    return target.name


def repeated(clip: Path, rate_hz: int, length: int, random: np.random.Generator) -> Float[ndarray, " time"]:
    """Mean of a clip's channels, resampled, and repeated from a random moment on; `length` samples, rms 1.

    Raises
    ------
    InputError
        If the part that was drawn is silent.
    """
    about = info(clip)
    begin = int(random.integers(about.length))
    wanted = min(about.length, resampled_length(length, rate_hz, about.sample_rate_hz) + 1)
    until_end = min(wanted, about.length - begin)
    parts = [read(clip, begin, until_end)[0], read(clip, 0, wanted - until_end)[0]]
    mono = np.concatenate(parts, axis=1).mean(axis=0, keepdims=True)
    once_length = resampled_length(wanted, about.sample_rate_hz, rate_hz)
    once = np.concatenate(list(resampled([mono], 1, about.sample_rate_hz, rate_hz, once_length)), axis=1)[0]
    signal = np.resize(once.astype(np.float64), length)
    rms = np.sqrt(np.square(signal).mean())
    if rms < 1e-6:
        raise InputError(
            f"{clip}: the {length / rate_hz:g} s that begin at {begin / about.sample_rate_hz:.1f} s are silent"
        )
    return signal / rms
