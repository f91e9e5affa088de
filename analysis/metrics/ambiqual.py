"""AMBIQUAL (Narbutt, Skoglund, Allen, Chinen, Barry and Hines 2020): similarity of short-time phases.

Listening quality LQ is the similarity of W; localisation accuracy LA is a product of powers of the similarities of
the other channels. This module computes what the published program does with its default settings (an intensity
threshold of -180 dB, which masks nothing, and no equal-loudness correction), without the dependencies of that
program. The results agree to 2e-16.

AMBIQUAL compares nothing but phases: a delay of one sample, inverted polarity, or a generative decoder that sounds
right ruin its scores, while a low-pass at 3.5 kHz hardly changes them. Do not judge a neural codec by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CONTEXT, LENGTH, Segment, accumulate
from analysis.metrics.side_by_side import Transform, bin_of, half_spectrum, side_by_side, transform_with
from render.common.compiled import compiled
from render.common.vectors import LANES, filled, larger, load, product_sum, root, store
from render.hoa.scene import order_of

# Frames of the program, which was made for 48 kHz, at every sample rate
_WINDOW, _HOP, _FFT = 1536, 768, 2048
_PATCH = 30  # frames
_BINS = 640
# Bins in each of the 32 bands
_BAND_BINS = np.array(
    [
        2,
        2,
        2,
        2,
        3,
        3,
        3,
        4,
        4,
        4,
        6,
        6,
        7,
        8,
        9,
        10,
        11,
        14,
        14,
        17,
        19,
        22,
        25,
        28,
        32,
        36,
        41,
        47,
        53,
        60,
        68,
        78,
    ]
)
_RANGE = 2 * np.pi
_C1, _C3 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2 / 2
# Exponents of the channels in LA; the similarity of channels that a first-order scene does not have is 0.1
_EXPONENTS = {1: 0.999, 3: 0.999, 4: 0.034, 8: 0.034, 9: 0.078, 15: 0.078, 5: 0.001, 7: 0.001,
              10: 0.001, 14: 0.001, 11: 0.001, 13: 0.001, 2: 0.095 + 0.174, 6: 0.135}  # fmt: skip
_MISSING = 0.1
_KERNEL = np.array([0.6193, 0.0838, 0.0113]) / (0.6193 + 4 * 0.0838 + 4 * 0.0113)
"""Weights of a point, of its four neighbours and of the four on the diagonals."""
_ORDERS = (1, 3)


@dataclass(frozen=True, eq=False)
class Patches:
    """Phases of the patches of a segment, in groups of 16 channels (`analysis.metrics.side_by_side`).

    Attributes
    ----------
    phases : tuple of float (patch, frame, bin, lane)
        For each group.
    channels : int
    """

    phases: tuple[Float64[ndarray, "patch frame bin lane"], ...]
    channels: int


@dataclass(frozen=True, eq=False)
class SimilaritySums:
    """Sum of the similarities of the patches for each channel, and the number of patches."""

    similarity: Float64[ndarray, " acn"]
    count: int

    def __add__(self, other: SimilaritySums) -> SimilaritySums:
        return SimilaritySums(self.similarity + other.similarity, self.count + other.count)


def describe(segment: Segment) -> Patches:
    """Return the phases of the patches that begin in a segment.

    Patch p consists of the frames 30 p - 1 to 30 p + 28; frame j is centred at sample 768 j. As in the program,
    the samples before the scene are zeros, and a patch that contains the last frame is left out.
    """
    samples = segment.extended[:, CONTEXT - 2 * _HOP : -CONTEXT].astype(np.float64)
    if segment.is_first:
        samples[:, : 2 * _HOP] = 0
    frames_left = -(-(segment.total - segment.start) // _HOP)
    count = (frames_left - 1) // _PATCH if segment.is_last else LENGTH // (_PATCH * _HOP)
    found = []
    for group in side_by_side(samples):
        parts = np.empty((2, count, _PATCH, _BINS, LANES))
        _spectra(group.reshape(-1), _tables(), *parts.reshape(2, -1))
        found.append(np.arctan2(parts[1], parts[0], out=parts[0]))
    return Patches(tuple(found), len(samples))


@cache
def _tables() -> Transform:
    """Tables of the program's transform: a Hamming window, and zeros up to the length of the transform."""
    window = np.zeros(_FFT)
    window[:_WINDOW] = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    return transform_with(window)


@compiled()
def _spectra(samples, tables, real, imaginary):  # pragma: no cover, compiled
    """Real and imaginary parts of the first bins but bin 0 of one frame after the other."""
    work, zero = np.empty((4, (_FFT // 2 + 1) * LANES)), filled(np.float64(0))
    for frame in range(real.size // (_BINS * LANES)):
        z, z_i = half_spectrum(samples, frame * _HOP, tables, work[0], work[1], work[2], work[3])
        for k in range(_BINS):
            a, b = bin_of(z, z_i, tables, k + 1)
            at = (frame * _BINS + k) * LANES
            store(real, at, a + zero)  # no -0, of which the angle may be π
            store(imaginary, at, b + zero)


def similarities(
    a: Float64[ndarray, "patch frame bin lane"], b: Float64[ndarray, "patch frame bin lane"]
) -> Float64[ndarray, "patch lane"]:
    """Return the neurogram similarity (NSIM) of phases: mean over 32 bands of means over bins and frames."""
    found = np.zeros((len(a), LANES))
    weights = np.repeat(1 / _BAND_BINS, _BAND_BINS) / (len(_BAND_BINS) * _PATCH)
    for patch, of_a, of_b in zip(found, a, b, strict=True):
        _similarity(of_a.reshape(-1), of_b.reshape(-1), weights, patch)
    return found


@compiled()
def _similarity(a, b, weights, result):  # pragma: no cover, compiled
    """Weighted sum over bins and frames of the similarity of two patches.

    Means and variances around every point are those of the program's 3 x 3 kernel; the edges are repeated.
    """
    zero, two = filled(np.float64(0)), filled(np.float64(2))
    c1, c3 = filled(np.float64(_C1)), filled(np.float64(_C3))
    total = zero
    for frame in range(_PATCH):
        for k in range(_BINS):
            mean_a, mean_b, square_a, square_b, product = zero, zero, zero, zero, zero
            for by in range(-1, 2):
                row = min(max(frame + by, 0), _PATCH - 1) * _BINS
                for over in range(-1, 2):
                    at = (row + min(max(k + over, 0), _BINS - 1)) * LANES
                    weight = filled(_KERNEL[abs(by) + abs(over)])
                    x, y = load(a, at), load(b, at)
                    mean_a = product_sum(weight, x, mean_a)
                    mean_b = product_sum(weight, y, mean_b)
                    square_a = product_sum(weight, x * x, square_a)
                    square_b = product_sum(weight, y * y, square_b)
                    product = product_sum(weight, x * y, product)
            means = mean_a * mean_b
            level = (two * means + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
            spread = (square_a - mean_a * mean_a) * (square_b - mean_b * mean_b)
            structure = (product - means + c3) / (root(larger(spread, zero)) + c3)
            total = product_sum(filled(weights[k]), level * structure, total)
    store(result, 0, total)


def compare(reference: Patches, test: Patches) -> SimilaritySums:
    """Return the similarities of the patches of a segment, summed for each channel."""
    found = [similarities(a, b) for a, b in zip(reference.phases, test.phases, strict=True)]
    return SimilaritySums(np.concatenate(found, axis=1).sum(axis=0)[: reference.channels], len(found[0]))


def conclude(sums: SimilaritySums) -> dict[str, float | None]:
    """Return ``aq_lq`` and ``aq_la``, LQ and LA of the paper.

    Both are None for other orders than 1 and 3, which the program does not know, and for scenes shorter than 1.1
    s.
    """
    order = order_of(len(sums.similarity))
    if order not in _ORDERS or not sums.count:
        return {"aq_lq": None, "aq_la": None}
    mean = np.full(16, _MISSING)
    mean[: len(sums.similarity)] = sums.similarity / sums.count
    localisation = np.prod([max(mean[channel], 0.0) ** exponent for channel, exponent in _EXPONENTS.items()])
    return {"aq_lq": float(mean[0]), "aq_la": float(localisation)}


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return AMBIQUAL's LQ and LA of two scenes in memory; see `conclude`.

    Parameters
    ----------
    reference, test : float32 (acn, time)
        Aligned ACN/SN3D scenes of equal shape.
    sample_rate_hz : int

    Raises
    ------
    ValueError
        If the shapes differ, or if the scenes are shorter than `analysis.metrics.framing.SHORTEST`.
    """
    return conclude(accumulate(describe, compare, reference, test, sample_rate_hz))
