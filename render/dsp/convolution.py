"""Matrices of FIR filters, and their convolution with a signal that arrives block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


@dataclass(frozen=True, eq=False)
class Filters:
    """A filter from every input to every output.

    Attributes
    ----------
    taps : (output, input, tap)
    origin : int
        Index of the tap at time 0. Taps before it respond before the input, so that the output of non-causal
        filters is aligned with the input.
    """

    taps: Float[ndarray, "output input tap"]
    origin: int = 0

    def after(self, matrix: Float[ndarray, "input source"]) -> Filters:
        """Filters from the sources that `matrix` mixes into the inputs."""
        return Filters(np.einsum("oit,is->ost", self.taps, matrix), self.origin)

    def following(self, first: Filters) -> Filters:
        """Filters that do what `first` does and then what these do."""
        if first.taps.shape[2] == 1:
            return Filters(self.after(first.taps[:, :, 0]).taps, self.origin + first.origin)

        from scipy.fft import irfft, rfft  # takes 0.2 s to import, which a matrix saves

        length = first.taps.shape[2] + self.taps.shape[2] - 1
        spectra = [rfft(filters.taps, length, axis=-1) for filters in (self, first)]
        taps = irfft(np.einsum("oib,isb->osb", *spectra), length, axis=-1)
        return Filters(taps, self.origin + first.origin)

    def permuted(self, outputs: Sequence[int]) -> Filters:
        """The same filters with the outputs in another order."""
        return Filters(self.taps[list(outputs)], self.origin)


PIECE_LENGTH = 1024  # samples; divides the length of blocks of files, and is so short that BLAS uses one thread
_PIECES_AT_ONCE = 32


def _product(signal: Float32[ndarray, "time input"], matrix: Float32[ndarray, "input output"]) -> ndarray:
    """Multiply in pieces of one shape and memory layout, on which the order of summation in BLAS may depend.

    The output thus has the same bits however the signal is cut into blocks (OpenBLAS on AMD needs this).
    """
    length = len(signal)
    output = np.empty((-(-length // PIECE_LENGTH), PIECE_LENGTH, matrix.shape[1]), np.float32)
    for first in range(0, len(output), _PIECES_AT_ONCE):
        products = output[first : first + _PIECES_AT_ONCE]
        samples = len(products) * PIECE_LENGTH
        part = np.ascontiguousarray(signal[first * PIECE_LENGTH :][:samples])
        if len(part) < samples:
            part = np.pad(part, ((0, samples - len(part)), (0, 0)))
        np.matmul(part.reshape(len(products), PIECE_LENGTH, -1), matrix, out=products)
    return output.reshape(-1, matrix.shape[1])[:length]


def convolved(
    blocks: Iterable[Float32[ndarray, "input time"]], filters: Filters
) -> Iterator[Float32[ndarray, "output time"]]:
    """Filter a signal by overlap-save; the output is as long as the signal and aligned with it.

    Filters of one tap are applied as a matrix.
    """
    _, inputs, length = filters.taps.shape
    if length == 1:
        matrix = np.ascontiguousarray(filters.taps[:, :, 0].T, np.float32)
        for block in blocks:
            yield _product(block.T, matrix).T
        return

    from scipy.fft import irfft, rfft  # takes 0.2 s to import, which a matrix saves

    # Channels lie side by side, as in files: transforms work on several of them at once, and nothing is transposed
    size = 1 << (4 * length).bit_length()
    hop = size - length + 1
    spectra = rfft(filters.taps.astype(np.float32).transpose(2, 0, 1), size, axis=0)  # (bin, output, input)
    waiting = np.zeros((length - 1, inputs), np.float32)
    skip = filters.origin

    def filtered(segment: ndarray) -> ndarray:
        product = np.matmul(spectra, rfft(segment, size, axis=0)[:, :, None])
        return irfft(product[:, :, 0], size, axis=0)[length - 1 :]

    for block in blocks:
        waiting = np.concatenate((waiting, block.T))
        ready = []
        while len(waiting) >= size:
            ready.append(filtered(waiting[:size]))
            waiting = waiting[hop:]
        if ready:
            output = np.concatenate(ready)
            yield output[skip:].T
            skip = max(0, skip - len(output))
    waiting = np.pad(waiting, ((0, filters.origin), (0, 0)))  # silence follows the signal
    while len(waiting) >= length:
        output = filtered(waiting[:size])[: len(waiting) - length + 1]
        yield output[skip:].T
        skip = max(0, skip - len(output))
        waiting = waiting[len(output) :]
