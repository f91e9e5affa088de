"""Training excerpts: item i of a step is a pure function of (seed, step, i), so that any step can be replayed.

There is no state to save and no order to keep: W processes with batches of b items see the same items as one
process with batches of W·b. The work is divided in two. A thread copies 16-bit samples from mapped files and
chooses what happens to them (`Draw`); the device makes scenes of them, with the level, turned, mirrored and mixed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int16, Int64
from numpy import ndarray
from torch import Tensor

from codec.training.recordings import Samples, level_gain
from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, info
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders

AHEAD = 2  # draws that wait while one is used
MIX_RANGE_DB = 12.0  # the second scene of a mixture is up to this much quieter than the first
# Uniform variables of an item, in this order; all are drawn always, so that no choice shifts another
# (four for an excerpt: recording, start, yaw, mirror)
_FIRST, _SECOND, _IS_MIXED, _BALANCE, _CHOICES = slice(0, 4), slice(4, 8), 8, 9, 10


def generator(seed: int, step: int, purpose: int = 0, item: int | None = None) -> np.random.Generator:
    """Counter-based generator (Philox) of one step, or of one item of it; all are independent streams."""
    counter = [0, 0 if item is None else item + 1, 0, 0]
    return np.random.Generator(np.random.Philox(key=[seed, (purpose << 48) + step], counter=counter))


@dataclass(frozen=True, eq=False)
class Draw:
    """Excerpts as the host hands them to the device.

    Attributes
    ----------
    samples : int16 tensor (excerpt, time, channel)
        As in the files; first one for each item of the batch, then the second ones of those that are mixtures.
    factors : float32 tensor (2, excerpt, channel)
        Channel c becomes ``factors[0, :, c]`` times itself plus ``factors[1, :, c]`` times channel
        ``opposite[c]``: level, share in the mixture, yaw and mirror. Not a matrix product, which autocast and TF32
        would round to 8 or 11 bits.
    opposite : int64 tensor (channel,)
        ACN of degree -m for each ACN of degree m; empty if nothing is turned.
    mixed : int64 tensor (mixture,)
        Items to which the second excerpts are added.
    """

    samples: Int16[Tensor, "excerpt time channel"]
    factors: Float[Tensor, "2 excerpt channel"]
    opposite: Int64[Tensor, " channel"]
    mixed: Int64[Tensor, " mixture"]

    def to(self, device: torch.device | str = "cpu") -> Float[Tensor, "batch channel time"]:
        """Make the scenes on a device, full scale being 1; from pinned memory without waiting for it."""
        samples = self.samples.to(device, non_blocking=True).transpose(1, 2)
        own, other = self.factors.to(device, non_blocking=True)[..., None]
        scenes = torch.empty(samples.shape, device=samples.device).copy_(samples)
        if len(self.opposite):
            opposite = scenes[:, self.opposite.to(device, non_blocking=True)]
            scenes.mul_(own).addcmul_(opposite, other)
        else:
            scenes.mul_(own)
        batch = len(scenes) - len(self.mixed)
        if not len(self.mixed):
            return scenes
        return scenes[:batch].index_add(0, self.mixed.to(device, non_blocking=True), scenes[batch:])


class Excerpts:
    """Random excerpts of recordings, each recording at one level, optionally turned, mirrored and mixed.

    Parameters
    ----------
    paths : list of Path
        Audio files of equal channel count and rate. 16-bit PCM (as `stimuli.prepare` writes) is mapped; others are
        decoded at every visit, and rounded to the 16 bits that a power of two makes the most of.
    frames : int
        Samples per excerpt.
    level_dbfs : float
        Level of every recording after its gain (`codec.training.recordings.level_gain`): one gain for all
        channels, so
        that levels between channels are kept.
    turn : bool
        Whether to turn each excerpt by a random yaw and to mirror every second one (Ambisonics only; both mix
        channels within an order, so they keep what the microphone did to the orders). Feeds stay as they are.
    mix : float
        Share of the items that are the sum of two excerpts, the second one 0 to 12 dB quieter: sound fields add.
        The weights are cos θ and sin θ: the sum of independent scenes has the level of one.
    layout : str
        Loudspeaker layout of the recordings, if they are feeds.
    gains : list of float, optional
        Of the recordings, instead of those that bring them to `level_dbfs`.

    Raises
    ------
    InputError
        If there is no recording; one differs in rate or channels, is shorter than an excerpt, silent or clipped;
        or `turn` is asked of what is no Ambisonics.
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
        mix: float = 0.0,
        layout: str = "",
        gains: list[float] | None = None,
    ):
        if not paths:
            raise InputError("there are no recordings to take excerpts from")
        if not 0 <= mix <= 1:
            raise InputError(f"mix = {mix}; the share of items that are mixtures is 0 to 1")
        self.paths, self.frames, self.seed, self.mix = paths, frames, seed, mix
        self.channels, self.order = channels, None
        if turn and not layout:
            self.order = _order(channels)
        for path in paths:
            _check(info(path), frames, channels, sample_rate_hz)
        if gains is None:
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                gains = list(threads.map(lambda path: level_gain(path, level_dbfs, layout), paths))
        self.gains = gains
        self.recordings = [Samples(path) for path in paths]
        self.lengths = [recording.about.length for recording in self.recordings]

    def batch(self, step: int, size: int, purpose: int = 0, rank: int = 0) -> Float[Tensor, "batch channel time"]:
        """Return the excerpts of one training step, see `draw`."""
        return self.draw(step, size, purpose, rank).to()

    def draw(
        self,
        step: int,
        size: int,
        purpose: int = 0,
        rank: int = 0,
        pin: bool = False,
        into: Int16[Tensor, "excerpt time channel"] | None = None,
    ) -> Draw:
        """Copy the items ``rank * size`` to ``(rank + 1) * size - 1`` of a step.

        The samples go to the beginning of `into` (twice `size` excerpts, if all are mixtures), else into new
        memory, pinned if `pin`. The first touch of new memory costs more than the copy; torch keeps pinned memory
        for the next draw.
        """
        items = range(rank * size, (rank + 1) * size)
        uniform = np.stack([generator(self.seed, step, purpose, item).random(_CHOICES) for item in items])
        mixed = np.flatnonzero(uniform[:, _IS_MIXED] < self.mix)
        theta = np.zeros(size)
        theta[mixed] = np.arctan(10 ** (-MIX_RANGE_DB / 20 * uniform[mixed, _BALANCE]))
        weights = np.concatenate([np.cos(theta), np.sin(theta[mixed])])
        choices = np.concatenate([uniform[:, _FIRST], uniform[mixed, _SECOND]])

        if into is None:
            shape = (len(choices), self.frames, self.channels)
            into = torch.empty(shape, dtype=torch.int16, pin_memory=pin)
        samples = into[: len(choices)]
        for excerpt, place in enumerate(samples.numpy()):
            index, start = self._place(choices[excerpt])
            self.recordings[index].copy(start, place)
            weights[excerpt] *= self.gains[index] * self.recordings[index].step
        factors, opposite = self._factors(weights, choices[:, 2], choices[:, 3])
        draw = (torch.from_numpy(array) for array in (factors, opposite, mixed))
        return Draw(samples, *(tensor.pin_memory() if pin else tensor for tensor in draw))

    def _place(self, choices: Float64[ndarray, " choice"]) -> tuple[int, int]:
        """Return the recording and the first sample of an excerpt: every sample of all is as likely."""
        ends = np.cumsum(self.lengths) / np.sum(self.lengths)
        index = int(np.searchsorted(ends, choices[0], side="right"))
        return index, int(choices[1] * (self.lengths[index] - self.frames + 1))

    def sources(self, step: int, size: int, purpose: int = 0) -> list[str]:
        """Where the items of a step come from, in words: file and first sample, both of a mixture."""
        told = []
        for item in range(size):
            uniform = generator(self.seed, step, purpose, item).random(_CHOICES)
            parts = [_FIRST, _SECOND] if uniform[_IS_MIXED] < self.mix else [_FIRST]
            places = [self._place(uniform[part]) for part in parts]
            told.append(" + ".join(f"{self.paths[index]} from sample {start}" for index, start in places))
        return told

    def _factors(
        self,
        weights: Float64[ndarray, " excerpt"],
        yaw: Float64[ndarray, " excerpt"],
        mirror: Float64[ndarray, " excerpt"],
    ) -> tuple[Float32[ndarray, "2 excerpt channel"], Int64[ndarray, " channel"]]:
        """Return `Draw.factors` and `Draw.opposite` for random variables in [0, 1).

        A yaw of φ takes degree m to cos(mφ) a(n, m) - sin(mφ) a(n, -m), in SN3D as in N3D; mirroring left and
        right turns the sign of m < 0 (`render.hoa.spherical_harmonics.yaw_matrix`, `mirror_signs`).
        """
        if self.order is None:
            factors = np.zeros((2, len(weights), self.channels), np.float32)
            factors[0] = weights[:, None]
            return factors, np.zeros(0, np.int64)
        order = acn_orders(self.order)
        middle = order * (order + 1)  # the channel of degree 0
        degree = np.arange(self.channels) - middle
        angle = 2 * np.pi * yaw[:, None] * degree
        sign = np.where((mirror[:, None] < 0.5) & (degree < 0), -1.0, 1.0)
        factors = weights[:, None] * sign * np.stack([np.cos(angle), -np.sin(angle)])
        return factors.astype(np.float32), middle - degree

    def ahead(
        self, first_step: int, size: int, purpose: int = 0, rank: int = 0, pin: bool | None = None
    ) -> Generator[Draw, None, None]:
        """Yield the draws of `first_step` and all steps after it, two of them made ahead by a thread.

        The thread ends with the iterator (``close()``, or when nothing refers to it); its errors are raised here.
        Memory is pinned if `pin`, by default if there is a CUDA device.
        """
        pinned = torch.cuda.is_available() if pin is None else pin
        thread = ThreadPoolExecutor(1, "excerpts")
        try:
            waiting: deque[Future[Draw]] = deque()
            for step in count(first_step):
                waiting.append(thread.submit(self.draw, step, size, purpose, rank, pinned))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def _order(channels: int) -> int:
    try:
        return order_of(channels)
    except InputError:
        raise InputError(
            f"{channels} channels are no Ambisonics and cannot be turned; set turn = false, or give the layout"
        ) from None


def _check(about: AudioInfo, frames: int, channels: int, sample_rate_hz: int) -> None:
    """Raise `InputError` unless excerpts can be taken of a file for the model."""
    if about.channels != channels or about.sample_rate_hz != sample_rate_hz:
        raise InputError(
            f"{about.path}: {about.channels} channels at {about.sample_rate_hz} Hz; the model takes "
            f"{channels} at {sample_rate_hz} Hz; run stimuli.prepare first"
        )
    if about.length < frames:
        raise InputError(
            f"{about.path}: {about.length} samples ({about.duration_s:.2f} s), an excerpt needs {frames}; use a "
            "smaller excerpt_frames, or remove the recording"
        )
