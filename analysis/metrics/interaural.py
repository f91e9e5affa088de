"""Cues at the ears of a rigid sphere: level difference, time difference and coherence; loudness and its spectrum.

The head is a rigid sphere of radius 8.75 cm with ears at ±100° (Rayleigh's solution for plane waves, as in Duda
and Martens 1998; c = 343 m/s). Its filters are fitted to the order of the scene by least squares over the sphere;
above 2 kHz only their magnitude is fitted, with the phase of the bin below (magLS, Schörkhuber et al. 2018). The
sphere has neither pinnae nor torso, so that elevation shows only as far as it changes the lateral angle.

Loudness is the sum over ears and ERB bands of power to 0.3 (10 dB make it twice as loud): the composite loudness
of both ears (Pulkki, Karjalainen and Huopaniemi, J. Audio Eng. Soc. 47, 1999), without threshold and
equal-loudness contours, which would need the listening level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import WINDOW, Segment, accumulate, erb_band_centres_hz, erb_band_edges
from analysis.metrics.spatial import BLOCK_FRAMES
from render.headphones.hrir import EAR_AZIMUTH_DEG, sphere_pressure
from render.hoa.spherical_harmonics import gauss_legendre_sphere, mirror_signs, spherical_harmonics, unit_vectors

MAGNITUDE_ONLY_ABOVE_HZ = 2000.0
ITD_BELOW_HZ = 1500.0
_MAX_ITD_S = 1e-3
_OVERSAMPLING = 4
_LOUDNESS_EXPONENT = np.log10(2)


@dataclass(frozen=True, eq=False)
class Cues:
    """Interaural cues of one segment, per block of 5 frames and band.

    Attributes
    ----------
    ild_db : float (block, band)
        Level of the left ear over that of the right.
    itd_us : float (block, band)
        Delay of the right ear after the left, positive for sources on the left.
    coherence : float (block, band)
        Largest value of the normalised cross-correlation within ±1 ms.
    energy : float (block, band)
        Sum of the energies of both ears.
    loudness : float (block, band)
        Sum of the loudness of both ears.
    low : bool (band,)
        Whether the centre of the band lies below `ITD_BELOW_HZ`.
    """

    ild_db: Float64[ndarray, "block band"]
    itd_us: Float64[ndarray, "block band"]
    coherence: Float64[ndarray, "block band"]
    energy: Float64[ndarray, "block band"]
    loudness: Float64[ndarray, "block band"]
    low: ndarray


@dataclass(frozen=True, eq=False)
class CueSums:
    """Weighted sums of the differences in each band, the sums of the weights, and of both scenes' loudness."""

    level: Float64[ndarray, " band"]
    coherence: Float64[ndarray, " band"]
    weight: Float64[ndarray, " band"]
    time: Float64[ndarray, " band"]
    time_weight: Float64[ndarray, " band"]
    loudness: Float64[ndarray, " band"]
    loudness_of_test: Float64[ndarray, " band"]

    def __add__(self, other: CueSums) -> CueSums:
        return CueSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@cache
def ear_filters(order: int, sample_rate_hz: int) -> Complex64[ndarray, "bin ear acn"]:
    """Return the filters from ACN/SN3D channels to the left and right ear, at the bins of the shared spectrum."""
    frequency_hz = np.arange(WINDOW // 2 + 1) * (sample_rate_hz / WINDOW)
    azimuth, elevation, weights = gauss_legendre_sphere(16)
    ear = unit_vectors(np.array(np.deg2rad(EAR_AZIMUTH_DEG)), np.array(0.0))
    response = sphere_pressure(frequency_hz, unit_vectors(azimuth, elevation) @ ear)
    harmonics = spherical_harmonics(order, azimuth, elevation)
    # The harmonics are orthogonal under the quadrature, so that least squares is a projection
    fit = (harmonics * weights[:, None]).T / (np.square(harmonics) * weights[:, None]).sum(axis=0)[:, None]
    left = np.empty((len(frequency_hz), harmonics.shape[1]), np.complex128)
    for index, hz in enumerate(frequency_hz):
        target = response[:, index]
        if hz > MAGNITUDE_ONLY_ABOVE_HZ:
            target = np.abs(target) * np.exp(1j * np.angle(harmonics @ left[index - 1]))
        left[index] = fit @ target
    return np.stack([left, left * mirror_signs(order)], axis=1).astype(np.complex64)


@cache
def _lags(sample_rate_hz: int) -> tuple[Float64[ndarray, " lag"], Complex64[ndarray, "bin lag"]]:
    """Return lags within ±1 ms, and the matrix from a cross-spectrum to the correlation at these lags."""
    reach = int(_MAX_ITD_S * sample_rate_hz * _OVERSAMPLING)
    lags_s = np.arange(-reach, reach + 1) / (sample_rate_hz * _OVERSAMPLING)
    frequency_hz = np.arange(WINDOW // 2 + 1) * (sample_rate_hz / WINDOW)
    return lags_s, np.exp(2j * np.pi * frequency_hz[:, None] * lags_s).astype(np.complex64)


def describe(segment: Segment) -> Cues:
    """Return the interaural cues of a segment."""
    filters = ear_filters(segment.order, segment.sample_rate_hz)
    edges = erb_band_edges(segment.sample_rate_hz)
    bins = slice(edges[0], edges[-1])
    ears = filters[bins] @ np.ascontiguousarray(segment.field[:, :, bins].transpose(2, 0, 1))
    starts = np.arange(0, ears.shape[2], BLOCK_FRAMES)
    powers = np.add.reduceat(np.square(np.abs(ears)), starts, axis=2)
    bands = edges[:-1] - edges[0]
    left, right = np.add.reduceat(powers, bands, axis=0).transpose(1, 2, 0).astype(np.float64) + 1e-20
    cross = np.add.reduceat(np.conj(ears[:, 0]) * ears[:, 1], starts, axis=1)
    lags_s, to_lags = _lags(segment.sample_rate_hz)
    peak, delay_s = np.empty_like(left), np.empty_like(left)
    for band, (low, high) in enumerate(pairwise(edges)):
        of_band = cross[low - edges[0] : high - edges[0]].T
        correlation = of_band.real @ to_lags[low:high].real - of_band.imag @ to_lags[low:high].imag
        best = correlation.argmax(axis=1)
        peak[:, band] = correlation[np.arange(len(best)), best]
        delay_s[:, band] = lags_s[best]
    return Cues(
        10 * np.log10(left / right),
        delay_s * 1e6,
        np.clip(peak / np.sqrt(left * right), 0, 1),
        left + right,
        left**_LOUDNESS_EXPONENT + right**_LOUDNESS_EXPONENT,
        erb_band_centres_hz(segment.sample_rate_hz) < ITD_BELOW_HZ,
    )


def compare(reference: Cues, test: Cues) -> CueSums:
    """Return the sums of a segment, weighted by the reference's energy; time differences also by its coherence."""
    weight = reference.energy
    time_weight = weight * reference.coherence * reference.low
    return CueSums(
        (np.abs(reference.ild_db - test.ild_db) * weight).sum(axis=0),
        (np.abs(reference.coherence - test.coherence) * weight).sum(axis=0),
        weight.sum(axis=0),
        (np.abs(reference.itd_us - test.itd_us) * time_weight).sum(axis=0),
        time_weight.sum(axis=0),
        reference.loudness.sum(axis=0),
        test.loudness.sum(axis=0),
    )


def conclude(sums: CueSums) -> dict[str, float | None]:
    """Return the mean absolute differences of the cues: weighted means over time, then means over bands.

    Returns
    -------
    dict
        ``ild_db`` (interaural level difference), ``itd_us`` (interaural time difference, bands below
        `ITD_BELOW_HZ`) and ``iacc`` (interaural coherence). ``ear_loud_db`` is the difference of loudness as the
        gain that would make it, and ``ear_colour_db`` the mean absolute difference of the bands' loudness from
        that, likewise, weighted by the reference's loudness of the band.
    """
    heard = sums.weight > 1e-15
    timed = heard & (sums.time_weight > 1e-15)

    def mean(values: ndarray, weights: ndarray, bands: ndarray) -> float | None:
        return float((values[bands] / weights[bands]).mean()) if bands.any() else None

    loud = 10 * np.log2(sums.loudness_of_test.sum() / sums.loudness.sum())
    of_bands = 10 * np.log2(sums.loudness_of_test / sums.loudness)
    colour = np.average(np.abs(of_bands - loud), weights=sums.loudness)
    audible = bool(heard.any())
    return {
        "ild_db": mean(sums.level, sums.weight, heard),
        "itd_us": mean(sums.time, sums.time_weight, timed),
        "iacc": mean(sums.coherence, sums.weight, heard),
        "ear_loud_db": abs(float(loud)) if audible else None,
        "ear_colour_db": float(colour) if audible else None,
    }


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the differences of the interaural cues of two scenes in memory; see `conclude`.

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
