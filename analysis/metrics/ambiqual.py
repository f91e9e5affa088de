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

import numpy as np
import scipy.fft
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CONTEXT, LENGTH, Segment, accumulate
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
_ORDERS = (1, 3)


@dataclass(frozen=True, eq=False)
class Patches:
    """Phases of the patches of a segment, with their local statistics.

    Attributes
    ----------
    phases : float (patch, acn, bin, frame)
    mean, variance : float (patch, acn, bin, frame)
        Local mean and variance around every point, weighted by the kernel of `smooth`.
    """

    phases: Float64[ndarray, "patch acn bin frame"]
    mean: Float64[ndarray, "patch acn bin frame"]
    variance: Float64[ndarray, "patch acn bin frame"]


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
    phases = np.empty((count, len(samples), _BINS, _PATCH))
    if count:
        window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
        frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW, axis=1)[:, ::_HOP]
        for channel, of_channel in enumerate(frames):
            spectra = scipy.fft.rfft(of_channel[: count * _PATCH] * window, _FFT)[:, 1 : _BINS + 1]
            phases[:, channel] = np.angle(spectra).reshape(count, _PATCH, _BINS).transpose(0, 2, 1)
    mean = smooth(phases)
    return Patches(phases, mean, smooth(np.square(phases)) - np.square(mean))


def smooth(patches: Float64[ndarray, "*patch bin frame"]) -> Float64[ndarray, "*patch bin frame"]:
    """Convolve with the 3 x 3 kernel of the program, which sums to 1; the edges are repeated."""
    corner, edge, centre = np.array([0.0113, 0.0838, 0.6193]) / (4 * 0.0113 + 4 * 0.0838 + 0.6193)
    beside = _beside(patches, -1)
    columns = _beside(edge * patches + corner * beside, -2)
    return centre * patches + edge * beside + columns


def _beside(patches: ndarray, axis: int) -> ndarray:
    """Return the sum of both neighbours along an axis; the edges are repeated."""
    moved = np.moveaxis(patches, axis, 0)
    result = np.empty_like(patches)
    summed = np.moveaxis(result, axis, 0)
    np.add(moved[:-2], moved[2:], out=summed[1:-1])
    np.add(moved[0], moved[1], out=summed[0])
    np.add(moved[-1], moved[-2], out=summed[-1])
    return result


def similarities(a: Patches, b: Patches) -> Float64[ndarray, "patch acn"]:
    """Return the neurogram similarity (NSIM) of phases: mean over 32 bands of means over bins and frames."""
    product = a.mean * b.mean
    level = (2 * product + _C1) / (np.square(a.mean) + np.square(b.mean) + _C1)
    spread = np.sqrt(np.maximum(a.variance * b.variance, 0))
    structure = (smooth(a.phases * b.phases) - product + _C3) / (spread + _C3)
    by_bin = np.einsum("...bf,...bf->...b", level, structure) / _PATCH
    first_bins = np.concatenate([[0], np.cumsum(_BAND_BINS)[:-1]])
    return (np.add.reduceat(by_bin, first_bins, axis=-1) / _BAND_BINS).mean(axis=-1)


def compare(reference: Patches, test: Patches) -> SimilaritySums:
    """Return the similarities of the patches of a segment, summed for each channel."""
    return SimilaritySums(similarities(reference, test).sum(axis=0), len(reference.phases))


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
