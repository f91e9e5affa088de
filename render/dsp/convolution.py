"""Matrices of FIR filters, applied to a signal that arrives block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float, Float32
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class Filters:
    """A filter from every input to every output.

    Attributes
    ----------
    taps : (output, input, tap)
    origin : int
        Tap that belongs to time 0: what stands before it answers before the input, so that an output can
        be aligned with the input although its filters are not causal.
    """

    taps: Float[ndarray, "output input tap"]
    origin: int = 0

    def after(self, matrix: Float[ndarray, "input source"]) -> Filters:
        """Filters of the sources that `matrix` mixes into the inputs."""
        return Filters(np.einsum("oit,is->ost", self.taps, matrix), self.origin)

    def permuted(self, outputs: Sequence[int]) -> Filters:
        """Outputs in another order."""
        return Filters(self.taps[list(outputs)], self.origin)


PIECE_LENGTH = 1024  # divides every block that is read; so few that BLAS takes one thread


def _mixed(signal: Float32[ndarray, "time input"], matrix: Float32[ndarray, "input output"]) -> ndarray:
    """Multiply in pieces of one shape and layout: BLAS sums in an order that depends on both (OpenBLAS on AMD)."""
    length = len(signal)
    output = np.empty((-(-length // PIECE_LENGTH) * PIECE_LENGTH, matrix.shape[1]), np.float32)
    for start in range(0, length, PIECE_LENGTH):
        piece = np.ascontiguousarray(signal[start : start + PIECE_LENGTH])
        if len(piece) < PIECE_LENGTH:
            piece = np.pad(piece, ((0, PIECE_LENGTH - len(piece)), (0, 0)))
        np.matmul(piece, matrix, out=output[start : start + PIECE_LENGTH])
    return output[:length]


def convolved(
    blocks: Iterable[Float32[ndarray, "input time"]], filters: Filters
) -> Iterator[Float32[ndarray, "output time"]]:
    """Filter a signal; the output has its length and is aligned with it (overlap-save)."""
    _, inputs, length = filters.taps.shape
    if length == 1:
        matrix = np.ascontiguousarray(filters.taps[:, :, 0].T, np.float32)
        for block in blocks:
            yield _mixed(block.T, matrix).T
        return

    size = 1 << (4 * length).bit_length()
    spectra = scipy.fft.rfft(filters.taps.astype(np.float32), size, axis=-1)
    waiting = np.zeros((inputs, length - 1), np.float32)
    skip = filters.origin

    def filtered(segment: ndarray) -> ndarray:
        product = np.einsum("oib,ib->ob", spectra, scipy.fft.rfft(segment, size, axis=-1))
        return scipy.fft.irfft(product, size, axis=-1)[:, length - 1 :]

    for block in blocks:
        waiting = np.concatenate((waiting, block), axis=1)
        ready = []
        while waiting.shape[1] >= size:
            ready.append(filtered(waiting[:, :size]))
            waiting = waiting[:, size - length + 1 :]
        if ready:
            output = np.concatenate(ready, axis=1)
            yield output[:, skip:]
            skip = max(0, skip - output.shape[1])
    waiting = np.pad(waiting, ((0, 0), (0, filters.origin)))  # the last outputs hear what follows: silence
    while waiting.shape[1] >= length:
        output = filtered(waiting[:, :size])[:, : waiting.shape[1] - length + 1]
        yield output[:, skip:]
        skip = max(0, skip - output.shape[1])
        waiting = waiting[:, output.shape[1] :]
