"""What a codec keeps of the image in every band, however quiet: direction, and the levels of the orders.

The energy-weighted direction of `analysis.metrics.spatial` is decided by the loudest octaves, and so is the
level of a
whole order: a codec that leaves everything above 1 kHz without an image can be good at both. Here a band counts as
much as any other. All follows from the short-time covariances that `analysis.metrics.spatial` has of a segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.spatial import BAND_SILENCE, MAP_BLOCKS, Field, intensity
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders


@dataclass(frozen=True, eq=False)
class BandSums:
    """Sums over blocks of 15 frames; they add up over segments.

    Attributes
    ----------
    blocks : float
        Of 5 frames, as in `analysis.metrics.spatial`.
    direction : (3, band)
        Angle between the intensities times E(1-ψ), E(1-ψ), and E.
    power : (scene, band, order)
    """

    blocks: float
    direction: Float64[ndarray, "3 band"]
    power: Float64[ndarray, "scene band order"]

    def __add__(self, other: BandSums) -> BandSums:
        return BandSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def compare(reference: Field, test: Field) -> BandSums:
    """Sums of a segment."""
    pair = reference.covariance, test.covariance
    bands, channels = pair[0].shape[1:3]
    direction = _direction_sums(*map(_longer, pair)) if channels >= 4 else np.zeros((3, bands))
    return BandSums(float(len(pair[0])), direction, np.stack([_powers(of) for of in pair]))


def _longer(covariance: Float32[ndarray, "block band acn acn"]) -> Float32[ndarray, "block band 4 4"]:
    """First-order covariances over the 15 frames of a map (174 ms at 44.1 kHz), long enough for a direction."""
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
    """Direction error, the energy of every band brought to 1; mean |level error| of each order over the bands."""
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
