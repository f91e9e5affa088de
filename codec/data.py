"""Training excerpts: a pure function of seed and step, so that any step can be replayed by its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from render.audio_file import blocks, info
from render.errors import InputError
from render.sphere import mirror_signs, yaw_matrix


def generator(seed: int, step: int, purpose: int = 0) -> np.random.Generator:
    """Counter-based generator (Philox) of one step: no state to save, no order to keep."""
    return np.random.Generator(np.random.Philox(key=[seed, (purpose << 48) + step]))


def level_gain(path: Path, level_dbfs: float) -> float:
    """Return the gain that brings the rms of channel 0 over the whole file to `level_dbfs`; 1 for silence."""
    energy, frames = 0.0, 0
    for block in blocks(path):
        energy += float(np.square(block[0], dtype=np.float64).sum())
        frames += block.shape[1]
    rms = np.sqrt(energy / max(frames, 1))
    return float(10 ** (level_dbfs / 20) / rms) if rms > 1e-7 else 1.0


class Excerpts:
    """Random excerpts of recordings, each recording at one level, optionally turned and mirrored.

    Parameters
    ----------
    paths : list of Path
        Audio files of equal channel count and rate.
    frames : int
        Samples per excerpt.
    level_dbfs : float
        Rms of channel 0 of every recording after its gain: one gain for all channels, so that levels
        between channels are kept.
    turn : bool
        Whether to turn each excerpt by a random yaw and to mirror every second one (Ambisonics only;
        both mix channels within an order, so they keep what the microphone did to the orders).
    """

    def __init__(
        self,
        paths: list[Path],
        frames: int,
        channels: int,
        sample_rate_hz: int,
        level_dbfs: float,
        turn: bool,
        seed: int,
    ):
        self.paths, self.frames, self.seed = paths, frames, seed
        self.order = round(channels**0.5) - 1 if turn else None
        self.lengths = []
        for path in paths:
            about = info(path)
            if about.channels != channels or about.sample_rate_hz != sample_rate_hz:
                raise InputError(
                    f"{path}: {about.channels} channels at {about.sample_rate_hz} Hz; the model takes "
                    f"{channels} at {sample_rate_hz} Hz; run stimuli.prepare first"
                )
            if about.frames < frames:
                raise InputError(f"{path}: {about.frames} samples, an excerpt needs {frames}")
            self.lengths.append(about.frames)
        self.gains = [level_gain(path, level_dbfs) for path in paths]

    def batch(self, step: int, size: int, purpose: int = 0) -> Float[Tensor, "batch channel time"]:
        """Return the excerpts of one training step."""
        random = generator(self.seed, step, purpose)
        share = np.cumsum(self.lengths) / np.sum(self.lengths)
        return torch.from_numpy(np.stack([self._excerpt(random, share) for _ in range(size)]))

    def _excerpt(
        self, random: np.random.Generator, share: Float[ndarray, " file"]
    ) -> Float32[ndarray, "channel time"]:
        index = int(np.searchsorted(share, random.random()))
        start = int(random.integers(self.lengths[index] - self.frames + 1))
        with soundfile.SoundFile(self.paths[index]) as file:
            file.seek(start)
            samples = file.read(self.frames, dtype="float32", always_2d=True).T
        transform = np.float32(self.gains[index])
        if self.order is not None:
            matrix = yaw_matrix(self.order, random.uniform(0, 2 * np.pi))
            if random.random() < 0.5:
                matrix = matrix * mirror_signs(self.order)[:, None]
            return (matrix * transform).astype(np.float32) @ samples
        return np.ascontiguousarray(samples * transform)
