"""Place dry clips in a measured room: one room response, rotated to the direction of each clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.files import record_path, sha256, write_json
from render.common.progress import progress
from render.dsp.block_processing import resampled, resampled_length
from render.dsp.convolution import convolved
from render.fileio.audio_file import blocks, info, writer
from stimuli.auralisation.room_response import rotated_filters

BLOCK_LENGTH = 65_536  # samples
DESCRIPTION = "dry clips in a measured room response, made by stimuli.place; no recording of a sound field"


def place(
    clips: Sequence[Path], azimuths_deg: Sequence[float], response: Path, target: Path, force: bool = False
) -> None:
    """Write a scene of clips in a room, and its record; memory does not depend on the lengths of the clips.

    Parameters
    ----------
    clips : sequence of Path
        Dry sounds of any rate. The channels of a clip are averaged.
    azimuths_deg : sequence of float
        Angle by which the response is rotated for each clip, anticlockwise.
    response : Path
        Ambisonic room response, see `rotated_filters`. The scene has its order and rate.
    target : Path
        The scene, 32-bit float.
    force : bool
        Replace a file that differs.

    Raises
    ------
    InputError
        If the response cannot be used, or the target exists and differs.
    """
    filters, rate_hz = rotated_filters(response, azimuths_deg)
    lengths = [resampled_length(about.length, about.sample_rate_hz, rate_hz) for about in map(info, clips)]
    length = max(lengths) + filters.taps.shape[-1] - 1
    streams = zip(*(_mono_blocks(clip, rate_hz, length) for clip in clips), strict=True)
    dry = (np.concatenate(signals) for signals in streams)
    with writer(target, len(filters.taps), rate_hz, "FLOAT", force=force) as file:
        for block in progress(convolved(dry, filters), "place block", -(-length // BLOCK_LENGTH)):
            file.write(block)
    record = {
        "what": DESCRIPTION,
        "convention": "ACN/SN3D",
        "response": {"file": response.name, "sha256": sha256(response)},
        "clips": [
            {"file": clip.name, "sha256": sha256(clip), "turn_deg": azimuth}
            for clip, azimuth in zip(clips, azimuths_deg, strict=True)
        ],
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)


def _mono_blocks(clip: Path, rate_hz: int, length: int) -> Iterator[Float32[ndarray, "1 time"]]:
    """Mean of a clip's channels, resampled and continued by silence to `length`, in blocks of `BLOCK_LENGTH`."""
    about = info(clip)
    mono = (block.mean(axis=0, keepdims=True) for block in blocks(clip))
    clip_length = resampled_length(about.length, about.sample_rate_hz, rate_hz)
    parts = resampled(mono, 1, about.sample_rate_hz, rate_hz, clip_length)
    pending = np.zeros((1, 0), np.float32)
    for start in range(0, length, BLOCK_LENGTH):
        wanted = min(BLOCK_LENGTH, length - start)
        while pending.shape[1] < wanted:
            part = next(parts, None)
            if part is None:
                part = np.zeros((1, wanted - pending.shape[1]), np.float32)
            pending = np.concatenate((pending, part), axis=1)
        yield pending[:, :wanted]
        pending = pending[:, wanted:]
