"""Spatial measures: all follow from the short-time covariance of the channels in ERB bands.

A block is 5 frames of the shared spectrum (window 2048, hop 512: 58 ms of hops at 44.1 kHz), a map is made of
3 blocks. Weights always come from the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy import ndarray

from analysis.metrics.covariance import SILENCE, correlation_distance
from analysis.metrics.framing import WINDOW, Segment, erb_band_edges, hann
from analysis.metrics.spectral import loudspeaker_matrix
from render.hoa.beams import beam_power, beam_weights, max_re_approximation
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import fibonacci_sphere, unit_vectors

BLOCK_FRAMES = 5
MAP_BLOCKS = 3
MAP_POINTS = 240
# Variance under which a channel is silent in a band: a 1000th of what it may have as a whole
BAND_SILENCE = SILENCE / 1000
# Energy maps are compared down to this fraction of the reference map's mean: -40 dB
_MAP_FLOOR = 1e-4
# Energy vectors shorter than this are those of the grid, not of the map
_EVEN = 5e-3
# A loudspeaker's share of the level is compared down to -40 dB of the sum
_SHARE_FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class Field:
    """Short-time covariances of one segment.

    Attributes
    ----------
    covariance : float32 (block, band, acn, acn)
        Real part, as variance: the bands' traces sum to the scene's power between 50 Hz and 16 kHz.
    maps : float32 (map, band, point)
        Energy of max-rE beams on `MAP_POINTS` Fibonacci points.
    """

    covariance: Float32[ndarray, "block band acn acn"]
    maps: Float32[ndarray, "map band point"]


@dataclass(frozen=True, eq=False)
class SpatialSums:
    """Sums that add up over segments: numerator and denominator of each weighted mean."""

    covariance: Float64[ndarray, "scene band acn acn"]
    blocks: float
    direction: Float64[ndarray, " 2"]
    diffuseness: Float64[ndarray, " 3"]
    maps: Float64[ndarray, "measure band"]
    loudspeakers: Float64[ndarray, " 4"]

    def __add__(self, other: SpatialSums) -> SpatialSums:
        return SpatialSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def mean_covariances(self) -> Float64[ndarray, "scene band acn acn"]:
        """Covariances in the bands, mean over time, of the reference and of the test."""
        return self.covariance / self.blocks


@cache
def beams(order: int) -> Float64[ndarray, "point acn"]:
    """Weights of max-rE beams at `MAP_POINTS` points, for SN3D channels."""
    return beam_weights(*fibonacci_sphere(MAP_POINTS), max_re_approximation(order))


def band_covariances(segment: Segment) -> Float32[ndarray, "block band acn acn"]:
    """Real covariance of the channels in blocks and ERB bands, in units of variance."""
    spectrum = segment.field
    channels, frames = spectrum.shape[:2]
    blocks = -(-frames // BLOCK_FRAMES)
    edges = erb_band_edges(segment.sample_rate_hz)
    result = np.empty((blocks, len(edges) - 1, channels, channels), np.float32)
    padded = np.zeros((channels, blocks * BLOCK_FRAMES, edges[-1] - edges[0]), np.complex64)
    padded[:, :frames] = spectrum[:, :, edges[0] : edges[-1]]
    edges = edges - edges[0]
    for band, (low, high) in enumerate(pairwise(edges)):
        parts = padded[:, :, low:high].reshape(channels, blocks, -1).transpose(1, 0, 2)
        parts = np.ascontiguousarray(parts).view(np.float32)
        result[:, band] = parts @ parts.transpose(0, 2, 1)
    # Parseval with one-sided spectra; per frame
    return result * np.float32(2 / (WINDOW * np.square(hann(WINDOW)).sum() * BLOCK_FRAMES))


def describe(segment: Segment) -> Field:
    """Covariances and energy maps of a segment."""
    covariance = band_covariances(segment)
    grouped = np.add.reduceat(covariance, np.arange(0, len(covariance), MAP_BLOCKS), axis=0)
    return Field(covariance, beam_power(grouped, beams(segment.order)))


def intensity(covariance: Float[ndarray, "*block acn acn"]) -> tuple[ndarray, ndarray, ndarray]:
    """DirAC's unit direction (*block, 3), diffuseness and energy density of first-order covariances.

    I = Re{W* [X Y Z]}, E = (|W|² + |X|² + |Y|² + |Z|²) / 2, ψ = 1 - |<I>| / <E> (Pulkki 2007). Where the
    intensity is 0 the direction is the zero vector, at 90° from any; silence is diffuse.
    """
    vector = covariance[..., 0, [3, 1, 2]].astype(np.float64)
    energy = 0.5 * np.trace(covariance[..., :4, :4], axis1=-2, axis2=-1, dtype=np.float64)
    length = np.linalg.norm(vector, axis=-1)
    direction = vector / np.maximum(length, 1e-30)[..., None]
    return direction, np.clip(1 - length / np.maximum(energy, 1e-30), 0, 1), energy


def compare(reference: Field, test: Field, power: float) -> SpatialSums:
    """Sums of a segment; `power` is the power of the reference scene's loudest 7.1.4 loudspeaker."""
    covariance = np.stack([of.covariance.sum(axis=0, dtype=np.float64) for of in (reference, test)])
    direction, diffuseness = np.zeros(2), np.zeros(3)
    if covariance.shape[-1] >= 4:
        direction, diffuseness = _direction_sums(reference.covariance, test.covariance)
    return SpatialSums(
        covariance,
        float(len(reference.covariance)),
        direction,
        diffuseness,
        _map_sums(reference.maps.astype(np.float64), test.maps.astype(np.float64)),
        _loudspeaker_sums(reference.covariance, test.covariance, power),
    )


def _direction_sums(reference: ndarray, test: ndarray) -> tuple[Float64[ndarray, " 2"], Float64[ndarray, " 3"]]:
    u, psi, energy = intensity(reference)
    v, psi_test, _ = intensity(test)
    angle_deg = np.degrees(np.arccos(np.clip((u * v).sum(axis=-1), -1, 1)))
    weight = energy * (1 - psi)
    change = psi_test - psi
    return (
        np.array([(angle_deg * weight).sum(), weight.sum()]),
        np.array([(np.abs(change) * energy).sum(), (change * energy).sum(), energy.sum()]),
    )


def _map_sums(p: ndarray, q: ndarray) -> Float64[ndarray, "measure band"]:
    """Sums over maps: correlation, |dB|, divergence, angle, length times the reference's energy; weights."""
    weight = p.mean(axis=-1)
    floor = _MAP_FLOOR * np.maximum(weight, 1e-30)[..., None]
    level_db = np.abs(10 * np.log10((q + floor) / (p + floor))).mean(axis=-1)
    p = p / np.maximum(p.sum(axis=-1, keepdims=True), 1e-30)
    q_sum = q.sum(axis=-1, keepdims=True)
    # A silent test says nothing of a direction: an even map
    q = np.where(q_sum > 1e-30, q / np.maximum(q_sum, 1e-30), 1 / MAP_POINTS)
    pc, qc = p - 1 / MAP_POINTS, q - 1 / MAP_POINTS
    spread = np.linalg.norm(pc, axis=-1) * np.linalg.norm(qc, axis=-1)
    spread[np.linalg.norm(qc, axis=-1) < _EVEN / MAP_POINTS] = np.inf
    correlation = (pc * qc).sum(axis=-1) / np.maximum(spread, 1e-30)
    middle = (p + q) / 2
    divergence = sum(
        (part * np.log2(np.maximum(part, 1e-30) / np.maximum(middle, 1e-30))).sum(axis=-1) / 2 for part in (p, q)
    )
    points = unit_vectors(*fibonacci_sphere(MAP_POINTS))
    rp, rq = p @ points, q @ points
    lengths = np.linalg.norm(rp, axis=-1), np.linalg.norm(rq, axis=-1)
    cosine = (rp * rq).sum(axis=-1) / np.maximum(lengths[0] * lengths[1], 1e-30)
    cosine[lengths[1] < _EVEN] = 0  # an even map has no direction: 90 degrees from any
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    directed = weight * lengths[0]
    terms = [weight * correlation, weight * level_db, weight * divergence, directed * angle_deg,
             weight * np.abs(lengths[0] - lengths[1]), weight, directed]  # fmt: skip
    return np.stack([term.sum(axis=0) for term in terms])


def _loudspeaker_sums(reference: ndarray, test: ndarray, power: float) -> Float64[ndarray, " 4"]:
    """Sums of level and share errors over blocks, bands and loudspeakers, and how many there are of each."""
    decoder = loudspeaker_matrix(order_of(reference.shape[-1]))
    a, b = (
        np.maximum(np.einsum("li,tbij,lj->tbl", decoder, of, decoder, optimize=True).astype(np.float64), 0)
        for of in (reference, test)
    )
    floor = 1e-8 * max(power, SILENCE)
    level_db = np.abs(10 * np.log10((b + floor) / (a + floor)))
    sounding = a.sum(axis=-1) > floor
    shares = [of[sounding] / np.maximum(of[sounding].sum(axis=-1, keepdims=True), 1e-30) for of in (a, b)]
    share_db = np.abs(10 * np.log10((shares[1] + _SHARE_FLOOR) / (shares[0] + _SHARE_FLOOR)))
    return np.array([level_db.sum(), level_db.size, share_db.sum(), share_db.size])


def band_distances(
    reference: Float64[ndarray, "band channel channel"], test: Float64[ndarray, "band channel channel"]
) -> list[float | None]:
    """Return eq. 3 of the paper in each band, mean over the pairs of channels that count; None in a silent band.

    Parameters
    ----------
    reference, test : float (band, channel, channel)
        Covariances of the channels in the bands, in units of variance.
    """
    total, pairs = correlation_distance(reference, test, BAND_SILENCE)
    return [float(t / n) if n else None for t, n in zip(total, pairs, strict=True)]


def conclude(sums: SpatialSums) -> dict[str, float | None]:
    """Weighted means; bands count alike where maps and correlations are averaged."""
    reference, test = sums.mean_covariances()
    order = order_of(reference.shape[-1])
    decoder = loudspeaker_matrix(order)
    feeds = [decoder @ covariance @ decoder.T for covariance in (reference, test)]
    bands, loudspeaker_bands = (
        [distance for distance in band_distances(*pair) if distance is not None]
        for pair in ((reference, test), feeds)
    )
    size = np.abs(reference).sum(axis=(1, 2))
    heard = size > BAND_SILENCE
    unnormalised = np.abs(reference - test).sum(axis=(1, 2))[heard] / size[heard]
    weight, directed = sums.maps[5], sums.maps[6]
    heard = weight > 1e-30
    correlation, level_db, divergence, _, length = (
        float((row[heard] / weight[heard]).mean()) if heard.any() else None for row in sums.maps[:5]
    )
    return {
        "covband_mean": float(np.mean(bands)) if bands else None,
        "covuband_rel": float(unnormalised.mean()) if unnormalised.size else None,
        "doa_deg": _ratio(sums.direction[0], sums.direction[1]),
        "diff_mae": _ratio(sums.diffuseness[0], sums.diffuseness[2]),
        "diff_bias": _ratio(sums.diffuseness[1], sums.diffuseness[2]),
        "map_corr": correlation if order else None,
        "map_lsd_db": level_db,
        "map_jsd_bits": divergence if order else None,
        "rE_ang_deg": _ratio(sums.maps[3].sum(), directed.sum()) if order else None,
        "rE_mag": length if order else None,
        "ls_lvl_db": _ratio(sums.loudspeakers[0], sums.loudspeakers[1]),
        "ls_cld_db": _ratio(sums.loudspeakers[2], sums.loudspeakers[3]),
        "ls_covband": float(np.mean(loudspeaker_bands)) if loudspeaker_bands else None,
    }


def _ratio(numerator: float, denominator: float) -> float | None:
    return float(numerator / denominator) if denominator > 1e-30 else None
