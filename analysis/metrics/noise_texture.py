"""Musical noise: single peaks and holes in what is noise in the reference.

A codec that keeps few coefficients of a noisy band leaves peaks with holes between them, which sound like short
tones. Within a band and a short time the power in the bins of Gaussian noise is distributed exponentially: its
arithmetic mean is e^γ times its geometric mean, 2.51 dB (γ = 0.5772 is Euler's constant). Peaks and holes raise
this *unevenness*. Levels in bands do not change it, and neither does another noise. (Spectral subtraction is
judged likewise by the kurtosis of the power, Uemura et al. 2008; a mean logarithm sees holes as well as peaks.)
Measured on W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import WINDOW, Segment, accumulate, erb_band_edges

RANGE_HZ = (350.0, 4600.0)
"""The ERB bands whose centres lie in this range."""
BLOCK_FRAMES = 15
"""Frames in which the unevenness is measured, 174 ms at 44.1 kHz; a segment has a whole number of them."""
NOISE_DB = 3.6
"""Largest unevenness of the blocks beside those that count as noise: 2.51 dB and what varies by chance."""
FLOOR_DB = -30.0
"""Powers under the mean of their block by more than this count as if they were there."""
MIN_SHARE = 0.05
"""Share of noise in the loudness of the reference under which nothing is measured."""
LOUDNESS_EXPONENT = 0.3


@dataclass(frozen=True, eq=False)
class Texture:
    """Unevenness and mean power of W in each block and band of a segment."""

    unevenness_db: Float64[ndarray, "block band"]
    power: Float64[ndarray, "block band"]


def unevenness_db(power: Float64[ndarray, "block value"]) -> Float64[ndarray, " block"]:
    """Return the arithmetic over the geometric mean of the powers in each block; 0 in silence."""
    relative = power / np.maximum(power.mean(axis=1, keepdims=True), np.finfo(float).tiny)
    return -10 * np.log10(np.maximum(relative, 10 ** (FLOOR_DB / 10))).mean(axis=1) * power.any(axis=1)


def surrounding(values: Float64[ndarray, "block band"]) -> Float64[ndarray, "block band"]:
    """Return the mean of the blocks before and after each one; at the ends the only neighbour, if there is one."""
    if len(values) < 2:
        return values
    padded = np.pad(values, ((1, 1), (0, 0)), mode="reflect")
    return (padded[:-2] + padded[2:]) / 2


def describe(segment: Segment) -> Texture:
    """Return the texture of a segment; a last block that is not full is left out."""
    edges = erb_band_edges(segment.sample_rate_hz)
    centres_hz = (edges[:-1] + edges[1:]) / 2 * segment.sample_rate_hz / WINDOW
    inside = np.flatnonzero((centres_hz >= RANGE_HZ[0]) & (centres_hz < RANGE_HZ[1]))
    blocks = segment.field.shape[1] // BLOCK_FRAMES
    field = segment.field[0, : blocks * BLOCK_FRAMES]
    power = np.square(field.real, dtype=np.float64) + np.square(field.imag)
    texture = Texture(*np.zeros((2, blocks, len(inside))))
    for column, band in enumerate(inside):
        own = power[:, edges[band] : edges[band + 1]]
        own = own.reshape(blocks, BLOCK_FRAMES * own.shape[1])
        texture.unevenness_db[:, column] = unevenness_db(own)
        texture.power[:, column] = own.mean(axis=1)
    return texture


def compare(reference: Texture, test: Texture) -> Float64[ndarray, " 3"]:
    """Return the sum of the loudness, that of the blocks that are noise, and of these times what they gained."""
    loudness = reference.power**LOUDNESS_EXPONENT
    # by its neighbours: blocks that are even by chance would make another noise seem less even
    noise = loudness * (surrounding(reference.unevenness_db) <= NOISE_DB)
    gained_db = test.unevenness_db - reference.unevenness_db
    return np.array([loudness.sum(), noise.sum(), (noise * gained_db).sum()])


def conclude(sums: Float64[ndarray, " 3"]) -> dict[str, float | None]:
    """Return the musical noise.

    Returns
    -------
    dict
        ``musical_db``: unevenness of the test less that of the reference, mean over the blocks and bands in which
        the reference is noise, weighted by its loudness. None where it has less than `MIN_SHARE` of noise.
    """
    loudness, noise, gained = sums
    return {"musical_db": float(gained / noise) if noise > MIN_SHARE * loudness else None}


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the musical noise of a scene in memory; see `conclude`.

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
