"""Streams of signal blocks, cut into frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32
from numpy import ndarray


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
