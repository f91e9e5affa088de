"""The spatial layer: channel levels and correlations, sent once per packet, restored after the decoder.

A small network at 16 kbit/s keeps the timbre of a scene better than its spatial image: weak high orders, and
correlations (the R of eq. 3) that come out too small or in the wrong place. Both are few numbers that change
slowly, so they are sent: per packet of 256 frames (3 s) one level per channel and one correlation per pair,
0.3 kbit/s for 16 channels. The decoder measures its own covariance and mixes its channels by the matrix that
brings it to the one sent with the least change to the waveforms.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.signal import firwin, oaconvolve

from codec.stages import workers

LEVEL_BITS, CORRELATION_BITS = 8, 6
LEVEL_STEP_DB = 0.5
_FLOOR_DB = -120.0
_MOST_GAIN = 8.0  # of any direction in channel space
_CROSSOVER_HZ = 4_000.0  # above, R is decided by microphone noise and the network's channels are left alone
_TAPS = 511
FADE = 4096  # samples over which one packet's mixing goes over into the next


def product(a: Float[ndarray, "row inner"], b: Float[ndarray, "inner column"]) -> Float[ndarray, "row column"]:
    """Matrix product on one thread: NumPy's depends in the last bits on how many there are."""
    left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    return workers(1).submit(torch.matmul, left, right).result().numpy()


def measure(samples: Float32[ndarray, "channel time"]) -> Int[ndarray, " number"]:
    """Quantised levels (rms, half decibels) and correlations (6 bits) of the channels of one packet."""
    x = samples.astype(np.float64)
    x = x - x.mean(1, keepdims=True)
    power = np.square(x).mean(1)
    level = np.round((10 * np.log10(power + 1e-30) - _FLOOR_DB) / LEVEL_STEP_DB)
    scaled = x / np.sqrt(power + 1e-30)[:, None]
    correlation = (product(scaled, scaled.T) / x.shape[1])[np.triu_indices(len(x), 1)]
    return np.concatenate([np.clip(level, 0, 2**LEVEL_BITS - 1), _quantised_correlation(correlation)]).astype(
        np.int64
    )


def _quantised_correlation(correlation: Float[ndarray, " pair"]) -> Float[ndarray, " pair"]:
    # odd number of steps, so that 0 stands for itself
    top = 2 ** (CORRELATION_BITS - 1) - 1
    return np.round(np.clip(correlation, -1, 1) * top) + top


def bits(channels: int) -> int:
    """Bits of one packet's spatial layer."""
    return channels * LEVEL_BITS + channels * (channels - 1) // 2 * CORRELATION_BITS


def channels(numbers: int) -> int:
    """Return how many channels have so many levels and pairs: the inverse of C + C(C-1)/2."""
    return (math.isqrt(8 * numbers + 1) - 1) // 2


def covariance(numbers: Int[ndarray, " number"]) -> Float[ndarray, "channel channel"]:
    """Covariance matrix that the numbers of `measure` stand for, made positive semidefinite."""
    count = channels(len(numbers))
    deviation = 10 ** ((numbers[:count] * LEVEL_STEP_DB + _FLOOR_DB) / 20)
    deviation = np.where(numbers[:count] > 0, deviation, 0.0)
    top = 2 ** (CORRELATION_BITS - 1) - 1
    correlation = np.eye(count)
    upper = np.triu_indices(count, 1)
    correlation[upper] = (numbers[count:] - top) / top
    correlation = correlation + correlation.T - np.eye(count)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = deviation / np.sqrt(np.diag(correlation))
    return correlation * scale[:, None] * scale


def mixing_matrix(
    source: Float[ndarray, "channel channel"], target: Float[ndarray, "channel channel"]
) -> Float[ndarray, "channel channel"]:
    """Matrix M with M·source·Mᵀ = target that changes the signals least, in units of the target's levels.

    M = S^-½ (S^½ T S^½)^½ S^-½, the optimal transport between two Gaussians (Olkin and Pukelsheim 1982).
    Directions that the source hardly has are not amplified beyond 18 dB.
    """
    deviation = np.sqrt(np.diag(target))
    heard = deviation > 0
    unit = np.where(heard, 1 / np.where(heard, deviation, 1), 0.0)
    s, t = (c * unit[:, None] * unit for c in (source, target))
    values, vectors = np.linalg.eigh(s)
    floor = np.maximum(values, 1 / _MOST_GAIN**2)
    root, inverse = (vectors * floor**p @ vectors.T for p in (0.5, -0.5))
    inner_values, inner_vectors = np.linalg.eigh(root @ t @ root)
    middle = inner_vectors * np.sqrt(np.maximum(inner_values, 0)) @ inner_vectors.T
    return deviation[:, None] * (inverse @ middle @ inverse) * unit


def low_pass_taps(sample_rate_hz: int) -> Float[ndarray, " tap"]:
    """Linear-phase low-pass at the crossover, `_TAPS` long."""
    return firwin(_TAPS, min(_CROSSOVER_HZ, 0.45 * sample_rate_hz), fs=sample_rate_hz)


REACH = _TAPS // 2  # samples that the filter needs on both sides


def _covariance(x: Float[ndarray, "channel time"]) -> Float[ndarray, "channel channel"]:
    centred = x - x.mean(1, keepdims=True)
    return product(centred, centred.T) / x.shape[1]


def _positive_semidefinite(matrix: Float[ndarray, "channel channel"]) -> Float[ndarray, "channel channel"]:
    """Nearest matrix without negative eigenvalues, in units of the channels' levels."""
    deviation = np.sqrt(np.maximum(np.diag(matrix), 0))
    unit = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0.0)
    values, vectors = np.linalg.eigh(matrix * unit[:, None] * unit)
    return deviation[:, None] * ((vectors * np.maximum(values, 0)) @ vectors.T) * deviation


def interior(length: int, margin: int) -> slice:
    """Where a packet is measured: without the margins, if more than half of it is left."""
    return slice(margin, length - margin) if 4 * margin < length else slice(0, length)


def filtered(
    samples: Float[ndarray, "channel time"], taps: Float[ndarray, " tap"], inner: slice
) -> Float[ndarray, "channel time"]:
    """Samples through a linear-phase filter, those of `inner` computed apart.

    The rounding of a fast convolution depends on all samples that it transforms at once. So the inner ones depend
    on no sample, to the last bit, that the filter does not reach.
    """
    reach, length = len(taps) // 2, samples.shape[1]
    edges = [0, min(max(inner.start, 0), length), min(max(inner.stop, 0), length), length]
    parts = []
    for begin, end in pairwise(edges):
        first = max(begin - reach, 0)
        part = (
            oaconvolve(samples[:, first : end + reach], taps[None], mode="same", axes=1)
            if begin < end
            else samples
        )
        parts.append(part[:, begin - first :][:, : end - begin])
    return np.concatenate(parts, axis=1)


class Restorer:
    """Applies the spatial layer packet after packet; the mixing of one fades into that of the next."""

    def __init__(self, sample_rate_hz: int):
        self._taps = low_pass_taps(sample_rate_hz)
        self._previous: tuple[ndarray, ndarray] | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        numbers: Int[ndarray, " number"],
        margin: int = 0,
    ) -> Float32[ndarray, "channel time"]:
        """Restore `length` samples of a packet.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with what is known on both sides of it.
        before : int
            Samples before the packet.
        length : int
        numbers : int (number,)
            As sent, from `measure`.
        margin : int
            Samples at either end that are not measured, if more than half of the packet is left.
        """
        identity = np.eye(len(samples))
        inside = slice(before, before + length)
        inner = interior(length, margin)
        apart = slice(before + inner.start, before + inner.stop)
        low = filtered(samples.astype(np.float64), self._taps, apart)[:, inside]
        packet = samples[:, inside].astype(np.float64)
        # what lies above the crossover stays, so the part below is to bring the rest of the covariance
        missing = covariance(numbers) - _covariance((packet - low)[:, inner])
        matrix = mixing_matrix(_covariance(low[:, inner]), _positive_semidefinite(missing))
        change = product(matrix - identity, low)
        heard = np.where(numbers[: len(samples)] > 0, 1.0, 0.0)[
            :, None
        ]  # a silent channel is silent at every frequency
        level = np.broadcast_to(heard, packet.shape)
        if self._previous is not None:
            matrix_before, heard_before = self._previous
            fade = min(FADE, length)
            ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
            old = product(matrix_before - identity, low[:, :fade])
            change[:, :fade] = ramp * change[:, :fade] + (1 - ramp) * old
            level = level.copy()
            level[:, :fade] = ramp * heard + (1 - ramp) * heard_before
        self._previous = matrix, heard
        return (level * (packet + change)).astype(np.float32)
