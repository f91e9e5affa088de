"""The two signals of this project: `Scene`, an Ambisonic sound field, and `Feed`, loudspeaker signals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.layout import Layout

MAX_ORDER = 7
_EXTRA_CHANNELS = {1: "an empty channel", 2: "a head-locked stereo pair (RFC 8486)"}
SAMPLE_RATES_HZ = (8_000, 192_000)  # lowest and highest


def order_of(channels: int) -> int:
    """Ambisonic order N of a full-sphere scene with (N+1)² channels.

    Raises
    ------
    InputError
        If no order 0..7 has that many channels.
    """
    order = math.isqrt(max(channels, 1)) - 1
    if (order + 1) ** 2 != channels or not 0 <= order <= MAX_ORDER:
        possible = ", ".join(f"{(n + 1) ** 2} (order {n})" for n in range(MAX_ORDER + 1))
        extra = channels - (order + 1) ** 2
        hint = ""
        if 1 <= order <= MAX_ORDER and extra in _EXTRA_CHANNELS:
            hint = (
                f". They are {extra} more than the {(order + 1) ** 2} of order {order}, probably "
                f"{_EXTRA_CHANNELS[extra]}: write the first {(order + 1) ** 2} to a file of their own"
            )
        raise InputError(f"{channels} channels are not an Ambisonic scene; possible are {possible}{hint}")
    return order


def check_samples(samples: ndarray, where: str, first_sample: int = 0) -> None:
    """Raise `InputError` unless `samples` is float32 (channel, time) and finite everywhere.

    The message gives the first offending channel and sample, counted from 0, and `where`; `first_sample` is the
    position of the block in its file.
    """
    if samples.dtype != np.float32 or samples.ndim != 2:
        raise InputError(f"{where}: need float32 (channel, time), got {samples.dtype} {samples.shape}")
    # The sum is not finite if any term is not: one cheap pass instead of a mask as large as the signal
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf; an overflow of the sum is examined below
        if np.isfinite(np.sum(samples)):
            return
    bad = np.argwhere(~np.isfinite(samples))
    if len(bad):
        channel, sample = bad[np.argmin(bad[:, 1])]
        raise InputError(
            f"{where}: {samples[channel, sample]} in channel {channel} at sample {first_sample + sample}; "
            "repair or re-export the recording"
        )


def check_rate(sample_rate_hz: int) -> None:
    """Raise `InputError` unless the sample rate lies in the supported range."""
    low, high = SAMPLE_RATES_HZ
    if not low <= sample_rate_hz <= high:
        raise InputError(f"sample rate {sample_rate_hz} Hz; possible are {low} to {high} Hz")


@dataclass(frozen=True, eq=False)
class Scene:
    """An Ambisonic sound field, always in ACN channel order and SN3D normalisation (ambiX).

    Attributes
    ----------
    samples : float32 (acn, time)
        Finite; full scale is 1.
    sample_rate_hz : int
    """

    samples: Float32[ndarray, "acn time"]
    sample_rate_hz: int

    def __post_init__(self):
        order_of(self.samples.shape[0] if self.samples.ndim == 2 else 0)
        check_samples(self.samples, "scene")
        check_rate(self.sample_rate_hz)

    @property
    def order(self) -> int:
        """Ambisonic order N; the scene has (N+1)² channels."""
        return order_of(self.samples.shape[0])

    @property
    def length(self) -> int:
        """Length in samples per channel."""
        return self.samples.shape[1]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length / self.sample_rate_hz


@dataclass(frozen=True, eq=False)
class Feed:
    """Loudspeaker signals in the channel order of their `Layout` (ITU-R BS.2051).

    Attributes
    ----------
    samples : float32 (channel, time)
        Finite; full scale is 1.
    sample_rate_hz : int
    layout : Layout
    """

    samples: Float32[ndarray, "channel time"]
    sample_rate_hz: int
    layout: Layout

    def __post_init__(self):
        if self.samples.shape[0] != len(self.layout.loudspeakers):
            raise InputError(
                f"feed of {self.samples.shape[0]} channels, but layout {self.layout.name} "
                f"has {len(self.layout.loudspeakers)}"
            )
        check_samples(self.samples, "feed")
        check_rate(self.sample_rate_hz)

    @property
    def length(self) -> int:
        """Length in samples per channel."""
        return self.samples.shape[1]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length / self.sample_rate_hz
