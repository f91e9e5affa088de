"""Place dry clips in a room that was measured with a microphone array: speech and music for tests of a codec.

    python -m stimuli.place talk.flac trumpet.flac --turn 30 -60 --response room_3oa.wav -o scene.wav

Each clip is convolved with the Ambisonic room response (ACN/SN3D, one source), which is turned about the vertical
axis by the clip's angle, the room with it. All begin at once; the scene ends with the last reverberation. It has
the response's order and rate, as 32-bit float. The clips' levels stay as they are, however loud their sum: the
response is scaled to unit energy in W. Clips of several channels are averaged. A record beside the scene
(.wav.json) says what it was made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.cli import progress
from render.common.errors import InputError
from render.common.files import record_path, sha256, write_json
from render.dsp.block_processing import resampled, resampled_length
from render.dsp.convolution import Filters, convolved
from render.fileio.audio_file import blocks, info, read, writer
from render.hoa.spherical_harmonics import yaw_matrix

BLOCK_FRAMES = 65_536


MAX_RESPONSE_S = 20.0


WHAT = "dry clips in a measured room response, made by stimuli.place; no recording of a sound field"


def clip_blocks(path: Path, rate_hz: int, frames: int) -> Iterator[Float32[ndarray, "1 time"]]:
    """Mean of a clip's channels at a rate, in blocks of `BLOCK_FRAMES`, followed by silence up to `frames`."""
    about = info(path)
    mono = (block.mean(axis=0, keepdims=True) for block in blocks(path))
    length = resampled_length(about.length, about.sample_rate_hz, rate_hz)
    parts = resampled(mono, 1, about.sample_rate_hz, rate_hz, length)
    waiting = np.zeros((1, 0), np.float32)
    for start in range(0, frames, BLOCK_FRAMES):
        wanted = min(BLOCK_FRAMES, frames - start)
        while waiting.shape[1] < wanted:
            part = next(parts, None)
            if part is None:
                part = np.zeros((1, wanted - waiting.shape[1]), np.float32)
            waiting = np.concatenate((waiting, part), axis=1)
        yield waiting[:, :wanted]
        waiting = waiting[:, wanted:]


def filters_of(response: Path, turns_deg: Sequence[float]) -> tuple[Filters, int]:
    """Filters from clips to channels, one response turned by each angle, and their rate.

    Raises
    ------
    InputError
        If the response is no Ambisonic one, is too long or silent in W.
    """
    about = info(response)
    order = about.ambisonic_order
    if about.duration_s > MAX_RESPONSE_S:
        raise InputError(
            f"{response}: {about.duration_s:.1f} s; a room response of at most {MAX_RESPONSE_S:g} s is needed"
        )
    taps = read(response)[0].astype(np.float64)
    energy = np.square(taps[0]).sum()
    if energy <= 1e-12:
        raise InputError(f"{response}: W is silent; is it a room response?")
    turned = [yaw_matrix(order, np.deg2rad(angle)) @ taps for angle in turns_deg]
    return Filters(np.stack(turned, axis=1) / np.sqrt(energy)), about.sample_rate_hz


def place(
    clips: Sequence[Path], turns_deg: Sequence[float], response: Path, target: Path, force: bool = False
) -> None:
    """Write the scene and its record; memory does not depend on the clips' lengths."""
    filters, rate_hz = filters_of(response, turns_deg)
    lengths = [resampled_length(about.length, about.sample_rate_hz, rate_hz) for about in map(info, clips)]
    frames = max(lengths) + filters.taps.shape[-1] - 1
    streams = zip(*(clip_blocks(clip, rate_hz, frames) for clip in clips), strict=True)
    dry = (np.concatenate(several) for several in streams)
    with writer(target, len(filters.taps), rate_hz, "FLOAT", force=force) as file:
        for block in progress(convolved(dry, filters), "place block", -(-frames // BLOCK_FRAMES)):
            file.write(block)
    record = {
        "what": WHAT,
        "convention": "ACN/SN3D",
        "response": {"file": response.name, "sha256": sha256(response)},
        "clips": [
            {"file": clip.name, "sha256": sha256(clip), "turn_deg": turn}
            for clip, turn in zip(clips, turns_deg, strict=True)
        ],
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)
