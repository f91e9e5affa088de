"""Random excerpts: item i of a step is a pure function of (seed, step, i), so that any step can be replayed.

There is no sampler state to save and no order to keep: W processes with batches of b items see the same items as
one process with batches of W·b. The work is divided between host and device. A thread on the host copies 16-bit
samples from mapped files and draws what happens to them (`Draw`); the device turns them into scenes: scaled,
rotated, mirrored and mixed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int16, Int64
from numpy import ndarray
from torch import Tensor

from codec.training.recordings import NormalisedRecording
from render.common.errors import InputError
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders

PREFETCHED = 2  # draws that wait while one is in use
MIX_RANGE_DB = 12.0  # the second excerpt of a mixture is up to this much quieter than the first
# Uniform variables of an item, in this order. All of them are always drawn, so that no choice shifts another.
# An excerpt takes four: recording, start, yaw, mirror.
_FIRST, _SECOND, _IS_MIXED, _BALANCE, _PHASE, _VARIABLES = slice(0, 4), slice(4, 8), 8, 9, 10, 11


class Purpose(IntEnum):
    """What random numbers are for. Each purpose has an independent stream of them at every step."""

    TRAINING = 0
    INITIALISATION = 1
    UPDATE = 2
    CODEBOOKS = 3


def random_generator(
    seed: int, step: int, purpose: Purpose = Purpose.TRAINING, item: int | None = None
) -> np.random.Generator:
    """Return the counter-based generator (Philox) of a step, or of one item of it; all streams are independent."""
    counter = [0, 0 if item is None else item + 1, 0, 0]
    return np.random.Generator(np.random.Philox(key=[seed, (int(purpose) << 48) + step], counter=counter))


@dataclass(frozen=True)
class Augmentation:
    """What happens to excerpts at random.

    Attributes
    ----------
    rotate : bool
        Rotate each excerpt by a uniformly distributed yaw and mirror every second one (Ambisonics only). Both mix
        channels only within an order, so the microphone's influence on the orders is preserved.
    mix : float
        Share of the items that are the sum of two excerpts, the second 0 to 12 dB quieter: sound fields add. The
        weights are cos θ and sin θ, so the sum of independent scenes has the level of one.
    shift_phase : bool
        Shift each item by a uniformly distributed phase (`shifted_phase`).

    Raises
    ------
    InputError
        If `mix` is outside 0..1.
    """

    rotate: bool = False
    mix: float = 0.0
    shift_phase: bool = False

    def __post_init__(self):
        if not 0 <= self.mix <= 1:
            raise InputError(f"mix = {self.mix}; the share of items that are mixtures must be from 0 to 1")


@dataclass(frozen=True, eq=False)
class Draw:
    """Excerpts as the host hands them to the device.

    Attributes
    ----------
    samples : int16 tensor (excerpt, time, channel)
        As in the files: one excerpt for each item of the batch, then the second excerpts of the mixtures.
    factors : float32 tensor (2, excerpt, channel)
        Channel c becomes ``factors[0, :, c]`` times itself plus ``factors[1, :, c]`` times channel
        ``opposite[c]``: level, share in the mixture, yaw and mirroring. It is not written as a matrix product,
        because autocast and TF32 would round that to 8 or 11 bits.
    opposite : int64 tensor (channel,)
        ACN of degree -m for each ACN of degree m; empty if nothing is rotated.
    mixed : int64 tensor (mixture,)
        Items to which the second excerpts are added.
    phase_rad : float32 tensor (item,)
        Phase by which each item is shifted; empty if none is.
    """

    samples: Int16[Tensor, "excerpt time channel"]
    factors: Float[Tensor, "2 excerpt channel"]
    opposite: Int64[Tensor, " channel"]
    mixed: Int64[Tensor, " mixture"]
    phase_rad: Float[Tensor, " item"]

    def to(self, device: torch.device | str = "cpu") -> Float[Tensor, "batch channel time"]:
        """Make the scenes on a device, full scale being 1; copies from pinned memory are asynchronous."""
        samples = self.samples.to(device, non_blocking=True).transpose(1, 2)
        own, other = self.factors.to(device, non_blocking=True)[..., None]
        scenes = torch.empty(samples.shape, device=samples.device).copy_(samples)
        if len(self.opposite):
            opposite = scenes[:, self.opposite.to(device, non_blocking=True)]
            scenes.mul_(own).addcmul_(opposite, other)
        else:
            scenes.mul_(own)
        batch = len(scenes) - len(self.mixed)
        if len(self.mixed):
            scenes = scenes[:batch].index_add(0, self.mixed.to(device, non_blocking=True), scenes[batch:])
        if len(self.phase_rad):
            scenes = shifted_phase(scenes, self.phase_rad.to(device, non_blocking=True))
        return scenes


def shifted_phase(
    scenes: Float[Tensor, "batch channel time"], phase_rad: Float[Tensor, " batch"]
) -> Float[Tensor, "batch channel time"]:
    """Shift all positive frequencies of each item by one phase, all negative ones by its opposite.

    The result is cos φ x - sin φ H(x), H being Hilbert's transform over the excerpt taken as periodic. The same φ
    for all channels leaves their covariances as they are. The published ``ShiftPhase`` does the same window by
    window. The mean, which has no phase, is kept.
    """
    spectrum = torch.fft.rfft(scenes)
    factor = torch.polar(torch.ones_like(phase_rad), phase_rad)[:, None, None]
    spectrum[..., 1:] = spectrum[..., 1:] * factor
    return torch.fft.irfft(spectrum, scenes.shape[-1])


class Excerpts:
    """Random excerpts of recordings, optionally rotated, mirrored and mixed.

    Parameters
    ----------
    recordings : list of NormalisedRecording
        All with the same number of channels, and at least `length` samples long.
    length : int
        Samples per channel of an excerpt.
    seed : int
    augmentation : Augmentation

    Raises
    ------
    InputError
        If excerpts are to be rotated whose channel count is not that of an Ambisonic scene.
    """

    def __init__(
        self,
        recordings: list[NormalisedRecording],
        length: int,
        seed: int,
        augmentation: Augmentation = Augmentation(),  # noqa: B008, immutable
    ):
        self.recordings, self.length, self.seed, self.augmentation = recordings, length, seed, augmentation
        self.channels = recordings[0].samples.about.channels
        self._order = _ambisonic_order(self.channels) if augmentation.rotate else None
        lengths = [recording.length for recording in recordings]
        self._ends = np.cumsum(lengths) / np.sum(lengths)

    def batch(
        self, step: int, size: int, purpose: Purpose = Purpose.TRAINING, rank: int = 0
    ) -> Float[Tensor, "batch channel time"]:
        """Return the excerpts of one step on the CPU, see `draw`."""
        return self.draw(step, size, purpose, rank).to()

    def draw(
        self,
        step: int,
        size: int,
        purpose: Purpose = Purpose.TRAINING,
        rank: int = 0,
        pin: bool = False,
        into: Int16[Tensor, "excerpt time channel"] | None = None,
    ) -> Draw:
        """Copy the items ``rank * size`` to ``(rank + 1) * size - 1`` of a step.

        Parameters
        ----------
        step : int
        size : int
            Items of this process.
        purpose : Purpose
        rank : int
            Rank of this process.
        pin : bool
            Allocate pinned memory, from which a CUDA device copies asynchronously.
        into : int16 tensor (excerpt, time, channel), optional
            Memory for the samples, ``2 * size`` excerpts if all items may be mixtures; by default new memory. The
            first touch of new memory costs more than the copy; torch reuses pinned memory for the next draw.
        """
        items = range(rank * size, (rank + 1) * size)
        uniform = np.stack([random_generator(self.seed, step, purpose, i).random(_VARIABLES) for i in items])
        mixed = np.flatnonzero(uniform[:, _IS_MIXED] < self.augmentation.mix)
        theta = np.zeros(size)
        theta[mixed] = np.arctan(10 ** (-MIX_RANGE_DB / 20 * uniform[mixed, _BALANCE]))
        weights = np.concatenate([np.cos(theta), np.sin(theta[mixed])])
        variables = np.concatenate([uniform[:, _FIRST], uniform[mixed, _SECOND]])

        if into is None:
            shape = (len(variables), self.length, self.channels)
            into = torch.empty(shape, dtype=torch.int16, pin_memory=pin)
        samples = into[: len(variables)]
        for excerpt, memory in enumerate(samples.numpy()):
            recording, start = self._position(variables[excerpt])
            recording.samples.copy(start, memory)
            weights[excerpt] *= recording.factor
        factors, opposite = self._factors(weights, variables[:, 2], variables[:, 3])
        shifted = uniform[:, _PHASE] if self.augmentation.shift_phase else np.zeros(0)
        phase_rad = (np.pi * (2 * shifted - 1)).astype(np.float32)
        tensors = (torch.from_numpy(array) for array in (factors, opposite, mixed, phase_rad))
        return Draw(samples, *(tensor.pin_memory() if pin else tensor for tensor in tensors))

    def _position(self, variables: Float64[ndarray, " variable"]) -> tuple[NormalisedRecording, int]:
        """Return recording and first sample of an excerpt; recordings are chosen in proportion to their length."""
        recording = self.recordings[int(np.searchsorted(self._ends, variables[0], side="right"))]
        return recording, int(variables[1] * (recording.length - self.length + 1))

    def sources(self, step: int, size: int, purpose: Purpose = Purpose.TRAINING) -> list[str]:
        """Describe where each item of a step comes from: file and first sample, both of them for a mixture."""
        described = []
        for item in range(size):
            uniform = random_generator(self.seed, step, purpose, item).random(_VARIABLES)
            parts = [_FIRST, _SECOND] if uniform[_IS_MIXED] < self.augmentation.mix else [_FIRST]
            positions = [self._position(uniform[part]) for part in parts]
            described.append(" + ".join(f"{recording.path} from sample {start}" for recording, start in positions))
        return described

    def _factors(
        self,
        weights: Float64[ndarray, " excerpt"],
        yaw: Float64[ndarray, " excerpt"],
        mirror: Float64[ndarray, " excerpt"],
    ) -> tuple[Float32[ndarray, "2 excerpt channel"], Int64[ndarray, " channel"]]:
        """Return `Draw.factors` and `Draw.opposite` for random variables in [0, 1).

        A rotation by the yaw φ takes degree m to cos(mφ) a(n, m) - sin(mφ) a(n, -m), in SN3D as in N3D; mirroring
        left and right changes the sign of m < 0 (`render.hoa.spherical_harmonics.yaw_matrix`, `mirror_signs`).
        """
        if self._order is None:
            factors = np.zeros((2, len(weights), self.channels), np.float32)
            factors[0] = weights[:, None]
            return factors, np.zeros(0, np.int64)
        orders = acn_orders(self._order)
        degree_zero = orders * (orders + 1)  # ACN of the channel with the same order and degree 0
        degree = np.arange(self.channels) - degree_zero
        angle = 2 * np.pi * yaw[:, None] * degree
        sign = np.where((mirror[:, None] < 0.5) & (degree < 0), -1.0, 1.0)
        factors = weights[:, None] * sign * np.stack([np.cos(angle), -np.sin(angle)])
        return factors.astype(np.float32), degree_zero - degree

    def prefetch(
        self,
        first_step: int,
        size: int,
        purpose: Purpose = Purpose.TRAINING,
        rank: int = 0,
        pin: bool | None = None,
    ) -> Generator[Draw, None, None]:
        """Yield the draws of `first_step` and of all later steps; a thread prepares the next two.

        The thread ends with the iterator (on ``close()``, or when it is no longer referenced). Its errors are
        raised here. Memory is pinned if `pin`, by default if there is a CUDA device.
        """
        pinned = torch.cuda.is_available() if pin is None else pin
        thread = ThreadPoolExecutor(1, "excerpts")
        try:
            waiting: deque[Future[Draw]] = deque()
            for step in count(first_step):
                waiting.append(thread.submit(self.draw, step, size, purpose, rank, pinned))
                if len(waiting) > PREFETCHED:
                    yield waiting.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def _ambisonic_order(channels: int) -> int:
    try:
        return order_of(channels)
    except InputError:
        raise InputError(
            f"{channels} channels are not an Ambisonic scene and cannot be rotated; set turn = false, or give the "
            "layout"
        ) from None
