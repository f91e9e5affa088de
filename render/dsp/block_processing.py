"""Operations on a signal that arrives block by block; the lengths of the blocks do not matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Float32

    Blocks = Iterable[Float32[ndarray, "channel time"]]

_MARGIN_S = 0.1  # longer than the impulse response of the resampler at 8 kHz and above
_LFE_CUTOFF_HZ = 120.0


def resampled_length(length: int, from_hz: int, to_hz: int) -> int:
    """Return the length in samples of a signal at another rate, rounded to the nearest sample."""
    return (2 * length * to_hz + from_hz) // (2 * from_hz)


def resampled(
    signal: Blocks, channels: int, from_hz: int, to_hz: int, length: int
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Resample with soxr VHQ (linear phase, no delay) to a total of `length` samples per channel."""
    if from_hz == to_hz:
        yield from signal
        return

    import soxr  # which a signal that keeps its rate saves

    stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="VHQ")
    left = length
    for block in signal:
        chunk = stream.resample_chunk(np.ascontiguousarray(block.T))[:left]
        left -= len(chunk)
        yield chunk.T
    chunk = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)[:left]
    yield np.pad(chunk, ((0, left - len(chunk)), (0, 0))).T


def resampled_part(
    read: Callable[[int, int], Blocks],
    channels: int,
    length: int,
    from_hz: int,
    to_hz: int,
    start: int,
    stop: int,
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Resample a part of a signal; it differs from that part of the whole, resampled, by rounding only.

    Parameters
    ----------
    read : callable
        ``(begin, end) -> blocks`` reads a range of samples of the signal.
    channels, length : int
        Of the signal; only the needed part of it is read.
    from_hz, to_hz : int
        Its rate in Hz, and the new one.
    start, stop : int
        First sample, and the one after the last, at the new rate.
    """
    if from_hz == to_hz:
        yield from read(start, stop)
        return
    common = math.gcd(from_hz, to_hz)
    # both grids meet once in a period: there the resampler may begin without a change of its phase
    period, new_period = from_hz // common, to_hz // common
    first = max(0, math.floor((start / to_hz - _MARGIN_S) * common))
    end = min(length, math.ceil((stop / to_hz + _MARGIN_S) * from_hz))
    skipped = start - first * new_period
    signal = read(first * period, max(end, first * period))
    for block in resampled(signal, channels, from_hz, to_hz, stop - first * new_period):
        kept = block[:, skipped:]
        skipped = max(0, skipped - block.shape[1])
        yield kept


def scaled_and_delayed(
    signal: Blocks, gains: Sequence[float], delays: Sequence[int]
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Scale and delay each channel, delays in samples; the longest delay lengthens the signal."""
    scale = np.asarray(gains, np.float32)[:, None]
    waiting = [np.zeros(delay, np.float32) for delay in delays]

    def shifted(block: ndarray) -> ndarray:
        output = np.empty_like(block)
        for channel, row in enumerate(block):
            joined = np.concatenate((waiting[channel], row))
            output[channel], waiting[channel] = joined[: row.size], joined[row.size :]
        return output

    for block in signal:
        yield shifted(scale * block)
    if longest := max(delays):
        yield shifted(np.zeros((len(waiting), longest), np.float32))


def with_low_passed_w(signal: Blocks, sample_rate_hz: int) -> Iterator[Float32[ndarray, "channel time"]]:
    """Append the first channel (W), low-passed as libiamf does for its LFE: 120 Hz, second order, Q = 1."""
    from scipy.signal import lfilter  # takes 0.4 s to import, which most commands save

    c = 1 / np.tan(np.pi * _LFE_CUTOFF_HZ / sample_rate_hz)
    numerator = np.array([1.0, 2.0, 1.0]) / (1 + c + c * c)
    denominator = np.array([1 + c + c * c, 2 * (1 - c * c), 1 - c + c * c]) / (1 + c + c * c)
    state = np.zeros(2)
    for block in signal:
        low_passed, state = lfilter(numerator, denominator, block[0], zi=state)
        yield np.concatenate((block, low_passed[None].astype(np.float32)))


def dithered(signal: Blocks, bits: int, seed: int = 0) -> Iterator[Float32[ndarray, "channel time"]]:
    """Add triangular (TPDF) dither of ±1 step of `bits` bits, for rounding to that word length.

    Mean and power of the rounding error then no longer depend on the signal (Lipshitz, Wannamaker &
    Vanderkooy 1992). Digital silence stays silent.
    """
    random = np.random.Generator(np.random.Philox(seed))
    step = np.float32(2.0 ** (1 - bits))
    for block in signal:
        noise = random.random(block.shape, np.float32) - random.random(block.shape, np.float32)
        noise[~block.any(axis=1)] = 0
        yield block + step * noise
