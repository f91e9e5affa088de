"""Adapt recordings to what a model codes, its sample rate and its channels, and decoded signals back to theirs.

Of a scene of higher order the first channels are kept, which are the scene of the model's order. Both directions
work block by block, in memory that does not depend on the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.format import Header, Origin
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.hoa.scene import check_rate, order_of

Blocks = Iterator[Float32[ndarray, "channel time"]]


class Recording(NamedTuple):
    """A signal before it is adapted; `read` returns its blocks and may be called more than once."""

    channels: int
    sample_rate_hz: int
    length: int
    read: Callable[[], Blocks]


class AdaptedSignal(NamedTuple):
    """A signal as a model codes it.

    Attributes
    ----------
    read : callable
        Returns its blocks; may be called more than once.
    origin : Origin
        What the header stores of the recording.
    changes : tuple of str
        What was done to it, in words; empty if nothing.
    """

    read: Callable[[], Blocks]
    origin: Origin
    changes: tuple[str, ...]


def adapted(recording: Recording, config: ModelConfig, where: str) -> AdaptedSignal:
    """Resample a recording to the rate of a model, and leave out the channels of orders that it does not code.

    Raises
    ------
    InputError
        If the recording is empty, has another number of channels and is no scene of higher order, or has a rate
        outside of 8 to 192 kHz; `where` names it.
    """
    channels, rate_hz, length, read = recording
    if length == 0:
        raise InputError(f"{where}: no samples")
    is_scene = config.signal_layout == "ambiX" and config.channels > 1
    if channels != config.channels and not (is_scene and channels > config.channels):
        remedy = f" or a scene of higher order than {order_of(config.channels)}" if is_scene else ""
        raise InputError(f"{where}: {channels} channels, the model codes {config.channels}{remedy}")
    changes, order, surplus, coded_hz = [], 0, 0, config.sample_rate_hz
    if channels > config.channels:
        order, kept_order = order_of(channels), order_of(config.channels)
        changes.append(f"kept the first {config.channels} of {channels} channels, order {kept_order} of {order}")
    coded_length = length
    if rate_hz != coded_hz:
        check_rate(rate_hz)
        coded_length = -(-length * coded_hz // rate_hz)
        surplus = coded_length * rate_hz // coded_hz - length
        changes.append(f"resampled from {rate_hz} to {coded_hz} Hz")

    def blocks() -> Blocks:
        kept = (block[: config.channels] for block in read())
        return resampled(kept, config.channels, rate_hz, coded_hz, coded_length)

    return AdaptedSignal(blocks, Origin(rate_hz if rate_hz != coded_hz else 0, surplus, order), tuple(changes))


def length_at(header: Header, rate_hz: int) -> int:
    """Samples per channel of a decoded stream at `rate_hz`: those of the recording at the recording's rate."""
    if rate_hz == header.original_rate_hz:
        return header.original_length
    return resampled_length(header.length, header.sample_rate_hz, rate_hz)
