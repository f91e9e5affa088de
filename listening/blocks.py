"""Streams of signal blocks: resampled to an exact length, cut into frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from jaxtyping import Float32
from numpy import ndarray


def resampled_length(frames: int, from_hz: int, to_hz: int) -> int:
    """Return the length of a signal at another rate, to the nearest sample."""
    return (2 * frames * to_hz + from_hz) // (2 * from_hz)


def resampled(
    blocks: Iterable[Float32[ndarray, "channel time"]], channels: int, from_hz: int, to_hz: int, frames: int
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Resample (soxr VHQ, linear phase, no delay) to `frames` samples in all.

    Where the resampler gives a sample more or less than that, the end is cut or filled with zero.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="VHQ")
    left = frames
    for block in blocks:
        chunk = stream.resample_chunk(np.ascontiguousarray(block.T))[:left]
        left -= len(chunk)
        yield chunk.T
    chunk = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)[:left]
    yield np.pad(chunk, ((0, left - len(chunk)), (0, 0))).T


def framed(
    blocks: Iterable[Float32[ndarray, "channel time"]], channels: int, length: int, tail: int
) -> Iterator[Float32[ndarray, "time channel"]]:
    """Cut a signal, and at least `tail` zeros behind it, into interleaved frames of `length` samples."""
    rest = np.zeros((0, channels), np.float32)
    for block in blocks:
        rest = np.concatenate((rest, block.T))
        whole = len(rest) - len(rest) % length
        yield from rest[:whole].reshape(-1, length, channels)
        rest = rest[whole:]
    rest = np.pad(rest, ((0, tail + -(len(rest) + tail) % length), (0, 0)))
    yield from rest.reshape(-1, length, channels)
