"""Spatial measures from the short-time covariance of the channels in ERB bands.

A block has 5 frames of the shared spectrum (window 2048, hop 512: 58 ms of hops at 44.1 kHz); an energy map is of
3 blocks. Weights are always those of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy import ndarray

from analysis.metrics.covariance import SILENCE, correlation_distance, moments
from analysis.metrics.framing import WINDOW, Segment, accumulate, erb_band_edges, hann
from analysis.metrics.spectral import loudspeaker_matrix
from render.hoa.beams import beam_power, beam_weights, max_re_approximation
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import fibonacci_sphere, unit_vectors

BLOCK_FRAMES = 5
MAP_BLOCKS = 3
MAP_POINTS = 240
BAND_SILENCE = SILENCE / 1000
"""A channel up to this variance is silent in a band."""
# Energy maps are compared down to this part of the mean of the reference's map: -40 dB
_MAP_FLOOR = 1e-4
# An energy vector shorter than this is that of the grid: the map is uniform
_UNIFORM = 5e-3
# The share of a loudspeaker in the power is compared down to -40 dB
_SHARE_FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class Field:
    """Short-time covariances and energy maps of one segment.

    Attributes
    ----------
    covariance : float32 (block, band, acn, acn)
        Real part, in units of variance: the sum over the bands is the covariance between 50 Hz and 16 kHz.
    maps : float32 (map, band, point)
        Power of max-rE beams at `MAP_POINTS` points of a Fibonacci grid.
    """

    covariance: Float32[ndarray, "block band acn acn"]
    maps: Float32[ndarray, "map band point"]


@dataclass(frozen=True, eq=False)
class SpatialSums:
    """Sums over time: numerators and denominators of the weighted means."""

    covariance: Float64[ndarray, "scene band acn acn"]
    blocks: float
    direction: Float64[ndarray, " 2"]
    diffuseness: Float64[ndarray, " 3"]
    maps: Float64[ndarray, "measure band"]
    loudspeakers: Float64[ndarray, " 4"]

    def __add__(self, other: SpatialSums) -> SpatialSums:
        return SpatialSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def mean_covariances(self) -> Float64[ndarray, "scene band acn acn"]:
        """Return the covariances in the bands, mean over time, of the reference and of the test."""
        return self.covariance / self.blocks


@cache
def beams(order: int) -> Float64[ndarray, "point acn"]:
    """Return the weights of max-rE beams at `MAP_POINTS` points, for ACN/SN3D channels."""
    return beam_weights(*fibonacci_sphere(MAP_POINTS), max_re_approximation(order))


def band_covariances(segment: Segment) -> Float32[ndarray, "block band acn acn"]:
    """Return the real part of the covariance of the channels in blocks and bands, in units of variance."""
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
    # Parseval's theorem with one-sided spectra; per frame
    return result * np.float32(2 / (WINDOW * np.square(hann(WINDOW)).sum() * BLOCK_FRAMES))


def describe(segment: Segment) -> Field:
    """Return covariances and energy maps of a segment."""
    covariance = band_covariances(segment)
    grouped = np.add.reduceat(covariance, np.arange(0, len(covariance), MAP_BLOCKS), axis=0)
    return Field(covariance, beam_power(grouped, beams(segment.order)))


def intensity(covariance: Float[ndarray, "*block acn acn"]) -> tuple[ndarray, ndarray, ndarray]:
    """Return the parameters of DirAC (Pulkki 2007) from covariances of ACN/SN3D channels.

    I = Re{W* [X Y Z]}, E = (|W|² + |X|² + |Y|² + |Z|²) / 2 and ψ = 1 - |<I>| / <E>.

    Parameters
    ----------
    covariance : float (..., acn, acn)
        At least of the first order; higher orders are ignored.

    Returns
    -------
    direction : float (..., 3)
        Unit vector (x, y, z) of the intensity; the zero vector, at 90° from all others, where the intensity is 0.
    diffuseness : float (...)
        0 to 1; 1 for silence.
    energy : float (...)
    """
    vector = covariance[..., 0, [3, 1, 2]].astype(np.float64)
    energy = 0.5 * np.trace(covariance[..., :4, :4], axis1=-2, axis2=-1, dtype=np.float64)
    length = np.linalg.norm(vector, axis=-1)
    direction = vector / np.maximum(length, 1e-30)[..., None]
    return direction, np.clip(1 - length / np.maximum(energy, 1e-30), 0, 1), energy


def loudspeaker_power(covariance: Float64[ndarray, "acn acn"]) -> float:
    """Return the variance of the loudest 7.1.4 loudspeaker, from the covariance of the channels."""
    decoder = loudspeaker_matrix(order_of(len(covariance)))
    return float(np.diag(decoder @ covariance @ decoder.T).max())


def compare(reference: Field, test: Field, power: float) -> SpatialSums:
    """Return the sums of a segment; `power` is the `loudspeaker_power` of the whole reference."""
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
    """Return sums over the maps: weighted correlation, |dB|, divergence, angle and length; the weights."""
    weight = p.mean(axis=-1)
    floor = _MAP_FLOOR * np.maximum(weight, 1e-30)[..., None]
    level_db = np.abs(10 * np.log10((q + floor) / (p + floor))).mean(axis=-1)
    p = p / np.maximum(p.sum(axis=-1, keepdims=True), 1e-30)
    q_sum = q.sum(axis=-1, keepdims=True)
    # The map of a silent test is uniform, without any direction
    q = np.where(q_sum > 1e-30, q / np.maximum(q_sum, 1e-30), 1 / MAP_POINTS)
    pc, qc = p - 1 / MAP_POINTS, q - 1 / MAP_POINTS
    spread = np.linalg.norm(pc, axis=-1) * np.linalg.norm(qc, axis=-1)
    spread[np.linalg.norm(qc, axis=-1) < _UNIFORM / MAP_POINTS] = np.inf
    correlation = (pc * qc).sum(axis=-1) / np.maximum(spread, 1e-30)
    middle = (p + q) / 2
    divergence = sum(
        (part * np.log2(np.maximum(part, 1e-30) / np.maximum(middle, 1e-30))).sum(axis=-1) / 2 for part in (p, q)
    )
    points = unit_vectors(*fibonacci_sphere(MAP_POINTS))
    rp, rq = p @ points, q @ points
    lengths = np.linalg.norm(rp, axis=-1), np.linalg.norm(rq, axis=-1)
    cosine = (rp * rq).sum(axis=-1) / np.maximum(lengths[0] * lengths[1], 1e-30)
    cosine[lengths[1] < _UNIFORM] = 0  # a uniform map is at 90 degrees from every direction
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    directed = weight * lengths[0]
    terms = [weight * correlation, weight * level_db, weight * divergence, directed * angle_deg,
             weight * np.abs(lengths[0] - lengths[1]), weight, directed]  # fmt: skip
    return np.stack([term.sum(axis=0) for term in terms])


def _loudspeaker_sums(reference: ndarray, test: ndarray, power: float) -> Float64[ndarray, " 4"]:
    """Return sums of the errors of levels and of shares over blocks, bands and loudspeakers, and their numbers."""
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
    """Return the spatial measures: weighted means over time; all bands have equal weight in maps and correlations.

    Returns
    -------
    dict
        ``covband_mean``, ``covuband_rel`` (eq. 3 of the paper in bands, with and without normalisation),
        ``doa_deg``, ``diff_mae``, ``diff_bias`` (DirAC), ``map_corr``, ``map_lsd_db``, ``map_jsd_bits``,
        ``rE_ang_deg``, ``rE_mag`` (energy maps), ``ls_lvl_db``, ``ls_cld_db`` and ``ls_covband`` (7.1.4
        loudspeaker feeds). None where a measure is not applicable.
    """
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


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the spatial measures of two scenes in memory; see `conclude`.

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
    power = loudspeaker_power(moments(reference, reference).covariances()[0])
    return conclude(accumulate(describe, partial(compare, power=power), reference, test, sample_rate_hz))
