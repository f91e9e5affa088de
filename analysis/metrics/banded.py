"""Direction and levels of the orders with equal weight of all bands, however quiet.

The loudest octaves dominate the energy-weighted direction of `analysis.metrics.spatial` and the level of a whole
order: a codec that loses the spatial image above 1 kHz can be good at both. Here every band has the same weight.
The measures follow from the short-time covariances of a segment, `analysis.metrics.spatial.Field`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import accumulate
from analysis.metrics.spatial import BAND_SILENCE, MAP_BLOCKS, Field, describe, intensity
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders


@dataclass(frozen=True, eq=False)
class BandSums:
    """Sums over time in each band.

    Attributes
    ----------
    blocks : float
        Number of blocks of 5 frames, as in `analysis.metrics.spatial`.
    direction : float (3, band)
        Sums over blocks of 15 frames of: the angle between the intensities times E(1-ψ); E(1-ψ); E.
    power : float (scene, band, order)
        Sums over the blocks of 5 frames.
    """

    blocks: float
    direction: Float64[ndarray, "3 band"]
    power: Float64[ndarray, "scene band order"]

    def __add__(self, other: BandSums) -> BandSums:
        return BandSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def compare(reference: Field, test: Field) -> BandSums:
    """Return the sums of a segment."""
    pair = reference.covariance, test.covariance
    bands, channels = pair[0].shape[1:3]
    direction = _direction_sums(*map(_over_maps, pair)) if channels >= 4 else np.zeros((3, bands))
    return BandSums(float(len(pair[0])), direction, np.stack([_powers(of) for of in pair]))


def _over_maps(covariance: Float32[ndarray, "block band acn acn"]) -> Float32[ndarray, "map band 4 4"]:
    """Return first-order covariances over the 15 frames of a map (174 ms at 44.1 kHz), for stable directions."""
    return np.add.reduceat(covariance[..., :4, :4], np.arange(0, len(covariance), MAP_BLOCKS), axis=0)


def _direction_sums(reference: ndarray, test: ndarray) -> Float64[ndarray, "3 band"]:
    u, psi, energy = intensity(reference)
    angle_deg = np.degrees(np.arccos(np.clip((u * intensity(test)[0]).sum(axis=-1), -1, 1)))
    direct = energy * (1 - psi)
    return np.stack([(angle_deg * direct).sum(axis=0), direct.sum(axis=0), energy.sum(axis=0)])


def _powers(covariance: Float32[ndarray, "block band acn acn"]) -> Float64[ndarray, "band order"]:
    channels = np.diagonal(covariance, axis1=-2, axis2=-1).sum(axis=0, dtype=np.float64)
    orders = acn_orders(order_of(channels.shape[-1]))
    return np.stack([channels[:, orders == n].sum(axis=-1) for n in range(orders[-1] + 1)], axis=-1)


def conclude(sums: BandSums) -> dict[str, float | None]:
    """Return the errors of direction and of the levels of the orders, every band with the same weight.

    Returns
    -------
    dict
        ``doa_band_deg`` (as ``doa_deg`` of `analysis.metrics.spatial`, the energy of every band normalised to 1)
        and ``ord<n>_band_db`` (mean over the bands of the absolute level error of order n).
    """
    angle, direct, energy = sums.direction
    heard = energy / sums.blocks > BAND_SILENCE
    share = np.divide(1, energy, where=heard, out=np.zeros_like(energy))
    weight = float(direct @ share)
    result: dict[str, float | None] = {"doa_band_deg": float(angle @ share) / weight if weight > 0 else None}
    reference, test = np.maximum(sums.power / sums.blocks, BAND_SILENCE)
    error_db = np.abs(10 * np.log10(test / reference))
    for n in range(reference.shape[-1]):
        heard = np.maximum(reference, test)[:, n] > BAND_SILENCE
        result[f"ord{n}_band_db"] = float(error_db[heard, n].mean()) if heard.any() else None
    return result


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the banded errors of direction and levels of two scenes in memory; see `conclude`.

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
