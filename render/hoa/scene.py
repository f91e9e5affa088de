"""The two signals of this project: `Scene`, an Ambisonic sound field, and `Feed`, loudspeaker signals."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.layout import Layout
from render.hoa.spherical_harmonics import to_sn3d

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy.typing import ArrayLike

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
    # Both extremes are NaN if any sample is: two fast passes instead of a mask as large as the signal
    with np.errstate(invalid="ignore"):
        if np.isfinite(samples.max(initial=0)) and np.isfinite(samples.min(initial=0)):
            return
    bad = np.argwhere(~np.isfinite(samples))
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

    @classmethod
    def from_array(
        cls, array: ArrayLike, sample_rate_hz: float, axes: str = "channel time", convention: str = "sn3d"
    ) -> Scene:
        """Make a scene of an array of floating-point samples of any precision.

        Parameters
        ----------
        array : floating-point array with two axes
            NumPy array, or what `numpy.asarray` takes, such as a tensor on the CPU. Full scale is 1.
        sample_rate_hz : float
            A whole number.
        axes : {"channel time", "time channel"}
            What the axes of the array are. soundfile and most audio libraries return (time, channel).
        convention : {"sn3d", "n3d", "fuma"}
            Of the channels of the array: ACN order with SN3D or N3D, or Furse-Malham up to third order.

        Raises
        ------
        InputError
            If the array is not floating-point, not finite in float32, or its channels are no scene.

        Examples
        --------
        >>> import numpy as np
        >>> Scene.from_array(np.zeros((480, 16)), 48000, axes="time channel").samples.shape
        (16, 480)
        """
        if axes not in ("channel time", "time channel"):
            raise InputError(f"axes {axes!r}; possible are 'channel time' and 'time channel'")
        values = np.asarray(array)
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
            raise InputError(
                f"array: need floating-point samples in two axes, got {values.dtype} {values.shape}; integers "
                "must be divided by their full scale, such as 32768 for int16"
            )
        if sample_rate_hz != int(sample_rate_hz):
            raise InputError(f"sample rate {sample_rate_hz} Hz; a whole number is needed")
        own, other = values.shape if axes == "channel time" else values.shape[::-1]
        try:
            order = order_of(own)
        except InputError as error:
            hint = ""
            with suppress(InputError):
                order_of(other)
                turned = "time channel" if axes == "channel time" else "channel time"
                hint = f"; the array is {values.shape}: is it axes={turned!r}?"
            raise InputError(f"array: {error}{hint}") from None
        matrix = to_sn3d(order, convention)
        with np.errstate(over="ignore"):  # what exceeds float32 becomes infinite, and is refused with its place
            samples = (values if axes == "channel time" else values.T).astype(np.float32)
        if convention != "sn3d":
            samples = matrix.astype(np.float32) @ samples
        return cls(np.ascontiguousarray(samples), int(sample_rate_hz))

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
