"""Measures from the covariance over the whole scene: eq. 3 of the paper, levels, SI-SDR.

Everywhere in `analysis` a channel is *active* if its variance exceeds 1e-10 (-100 dB re full scale) and 1e-9 of
the loudest channel's variance. The mean is removed: a channel with a constant value is inactive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import Segment, accumulate
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders

SILENCE = 1e-10
"""A channel up to this variance is silent: -100 dB re full scale."""
RELATIVE_SILENCE = 1e-9
"""A channel up to this part of the loudest channel's variance is silent."""
MATCH_LIMIT_DB = 100.0
"""SI-SDR is limited to plus and minus this."""


@dataclass(frozen=True)
class Moments:
    """Sums over the samples of a reference and a test.

    Attributes
    ----------
    count : int
        Number of samples.
    mean : float (scene, acn)
        Sums of the samples.
    products : float (scene, acn, acn)
        Sums of the products of two channels of the same scene.
    cross : float (acn,)
        Sums of the products of a channel of the reference with that of the test.
    """

    count: int
    mean: Float64[ndarray, "scene acn"]
    products: Float64[ndarray, "scene acn acn"]
    cross: Float64[ndarray, " acn"]

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.mean + other.mean,
            self.products + other.products,
            self.cross + other.cross,
        )

    def covariances(self) -> Float64[ndarray, "scene acn acn"]:
        """Return the covariance matrices of the reference and of the test."""
        mean = self.mean / self.count
        return self.products / self.count - mean[:, :, None] * mean[:, None, :]


def moments(reference: Float[ndarray, "acn time"], test: Float[ndarray, "acn time"]) -> Moments:
    """Return the sums of two scenes.

    Raises
    ------
    ValueError
        If the shapes differ, or if there are fewer than two samples, which have no covariance.
    """
    if reference.shape != test.shape or reference.shape[1] < 2:
        raise ValueError(
            f"need two scenes of equal shape and at least 2 samples, got {reference.shape}, {test.shape}"
        )
    x, y = reference.astype(np.float64), test.astype(np.float64)
    return Moments(
        x.shape[1],
        np.stack([x.sum(axis=1), y.sum(axis=1)]),
        np.stack([x @ x.T, y @ y.T]),
        np.einsum("ct,ct->c", x, y),
    )


def describe(segment: Segment) -> Float32[ndarray, "acn time"]:
    """Return the samples of a segment, which is all that is needed."""
    return segment.samples


def compare(reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"]) -> Moments:
    """Return the sums of a segment; unlike `moments`, also of a single sample."""
    if reference.shape[1] > 1:
        return moments(reference, test)
    doubled = moments(np.repeat(reference, 2, axis=1), np.repeat(test, 2, axis=1))
    return Moments(1, doubled.mean / 2, doubled.products / 2, doubled.cross / 2)


def active(covariance: Float[ndarray, "*band acn acn"], floor: float = SILENCE) -> Bool[ndarray, "*band acn"]:
    """Return which channels are active, with `floor` in place of `SILENCE`."""
    power = np.diagonal(covariance, axis1=-2, axis2=-1)
    return power > np.maximum(floor, RELATIVE_SILENCE * power.max(axis=-1, keepdims=True))


def correlation(
    covariance: Float[ndarray, "*band acn acn"], floor: float = SILENCE
) -> Float[ndarray, "*band acn acn"]:
    """Return Pearson's correlation between channels; 0 where either channel is inactive, and on the diagonal."""
    sounding = active(covariance, floor)
    power = np.diagonal(covariance, axis1=-2, axis2=-1)
    scale = np.where(sounding, 1 / np.sqrt(np.where(sounding, power, 1.0)), 0.0)
    result = covariance * scale[..., :, None] * scale[..., None, :]
    diagonal = np.arange(covariance.shape[-1])
    result[..., diagonal, diagonal] = 0.0
    return result


def correlation_distance(
    reference: Float[ndarray, "*band acn acn"], test: Float[ndarray, "*band acn acn"], floor: float = SILENCE
) -> tuple[Float[ndarray, "*band"], Float[ndarray, "*band"]]:
    """Return eq. 3 of the paper from two covariances, Σ_{i<j} |R_ij - R̂_ij|, and the number of pairs that count.

    A pair counts if both of its channels are active in the reference, or both in the test. An active channel that
    the test has lost therefore costs |R_ij| with every other channel.
    """
    difference = np.abs(correlation(reference, floor) - correlation(test, floor)).sum(axis=(-2, -1)) / 2
    pairs = np.zeros(reference.shape, bool)
    for covariance in (reference, test):
        sounding = active(covariance, floor)
        pairs |= sounding[..., :, None] & sounding[..., None, :]
    off_diagonal = ~np.eye(reference.shape[-1], dtype=bool)
    return difference, (pairs & off_diagonal).sum(axis=(-2, -1)) / 2


def order_levels_db(
    reference: Float64[ndarray, "acn acn"], test: Float64[ndarray, "acn acn"]
) -> list[float | None]:
    """Return the level of each order of the test over the reference's, in dB.

    Variances count as at least `SILENCE`, so that the level of an order that the test has lost is finite; None
    for an order that is silent in both scenes.
    """
    own = np.stack([np.diag(reference), np.diag(test)])
    orders = acn_orders(order_of(own.shape[1]))
    levels: list[float | None] = []
    for n in range(orders[-1] + 1):
        energy = np.maximum(own[:, orders == n], SILENCE).sum(axis=1)
        is_silent = own[:, orders == n].max() <= SILENCE
        levels.append(None if is_silent else float(10 * np.log10(energy[1] / energy[0])))
    return levels


def scale_invariant_ratio_db(sums: Moments) -> Float64[ndarray, " acn"]:
    """Return the SI-SDR of each channel (Le Roux et al. 2019, eq. 3), means removed, within ± `MATCH_LIMIT_DB`.

    The ratio is <x,y>² / (|x|² |y|² - <x,y>²), the energy of y along x over the rest of its energy.
    """
    x, y = np.diagonal(sums.covariances(), axis1=1, axis2=2)
    cross = sums.cross / sums.count - sums.mean[0] * sums.mean[1] / sums.count**2
    limit = 10 ** (MATCH_LIMIT_DB / 10)
    energy = np.maximum(x * y, 1e-300)
    match = np.clip(cross**2 / energy, 1 / (limit + 1), limit / (limit + 1))
    return 10 * np.log10(match / (1 - match))


def conclude(sums: Moments) -> dict[str, float | None]:
    """Return eq. 3 of the paper and what else follows from the covariances.

    Returns
    -------
    dict
        ``cov_sum``, ``cov_mean`` (eq. 3, and its mean over the pairs that count), ``covu_rel`` (without
        normalisation), ``chlvl_db``, ``ord<n>_db`` (levels of channels and orders), ``sisdr_W_db`` and
        ``sisdr_mean_db``; None where a measure is not applicable.
    """
    reference, test = sums.covariances()
    total, pairs = correlation_distance(reference, test)
    sounding = active(reference)
    powers = np.maximum([np.diag(reference), np.diag(test)], SILENCE)
    channel_db = 10 * np.log10(powers[1] / powers[0])
    result: dict[str, float | None] = {
        "cov_sum": float(total) if pairs else None,
        "cov_mean": float(total / pairs) if pairs else None,
        "covu_rel": float(np.abs(reference - test).sum() / max(np.abs(reference).sum(), SILENCE)),
        "chlvl_db": float(np.abs(channel_db[sounding]).mean()) if sounding.any() else None,
    }
    result |= {f"ord{n}_db": level_db for n, level_db in enumerate(order_levels_db(reference, test))}
    ratio_db = scale_invariant_ratio_db(sums)
    result["sisdr_W_db"] = float(ratio_db[0]) if sounding[0] else None
    result["sisdr_mean_db"] = float(ratio_db[sounding].mean()) if sounding.any() else None
    return result


def lost_channels(sums: Moments) -> list[int]:
    """Return the channels that are active in the reference but not in the test."""
    reference, test = sums.covariances()
    return np.flatnonzero(active(reference) & ~active(test)).tolist()


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return eq. 3, level errors and SI-SDR of two scenes in memory; see `conclude`.

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
