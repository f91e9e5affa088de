"""Statistics of one Ambisonic scene, from covariances per frequency; memory does not depend on the length.

All of them follow from three sums over short-time spectra: the covariance of the channels per frequency,
the active intensity against the energy density in bands (diffuseness), and the broadband covariance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import numpy as np
from jaxtyping import Complex, Float, Float32
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d
from stimuli.em32 import microphone

BANDS_HZ = (50, 100, 200, 400, 800, 1600, 3150, 6300, 12500, 20000)
FFT = 2048
HOP = FFT // 2
_DIFFUSENESS_FRAMES = 5
# Between the order filters' corners below and spatial aliasing above, order energies tell the norm
_TRUSTED_BAND_HZ = (1000, 5000)
# Fits of order filters: what is lower than this is left to leakage, and the worst mean error that counts
_FIT_FLOOR_DB = -30.0
_FIT_LIMIT_DB = 2.0


@dataclass(frozen=True)
class Band:
    """Statistics within a band of frequencies.

    Attributes
    ----------
    low_hz, high_hz : float
    level_dbfs : float
        Power of W in the band.
    order_db : tuple of float
        Summed energy of each order 1 .. N relative to W; all 0 for any incoherent sound field in SN3D.
    effective_rank : float
        Exponential of the entropy of the covariance's eigenvalues, channels scaled to N3D; 1 for a single
        plane wave, (N+1)² for an isotropic field.
    diffuseness : float
        DirAC's 1 - |I| / (c E), averaged over windows of about 0.1 s; 0 for a plane wave.
    """

    low_hz: float
    high_hz: float
    level_dbfs: float
    order_db: tuple[float, ...]
    effective_rank: float
    diffuseness: float


@dataclass(frozen=True)
class Statistics:
    """What the signals of a scene say about it.

    Attributes
    ----------
    channels, order, sample_rate_hz, frames : int
    level_dbfs, peak_dbfs : float
        W's rms, and the largest sample of any channel.
    slope_db_per_octave : float
        Of W's long-term spectrum, 100 Hz to 10 kHz.
    order_db : tuple of float
        Broadband energy of orders 1 .. N relative to W.
    mean_correlation, max_correlation : float
        Of the absolute correlation coefficients between different channels.
    correlation : tuple of tuples
        The whole matrix (channel, channel).
    bands : tuple of Band
    convention : str
        Channel order and normalisation that fit best, of "ACN SN3D", "ACN N3D" and "FuMa".
    convention_errors : dict
        Evidence: relative error of each convention in the identities of `convention_errors`.
    corners_hz : dict
        Order n >= 2 -> -3 dB point of its high-pass, where one is seen.
    self_noise_dbfs_hz : float or None
        Density of one capsule's noise, if the microphone was an em32, from the quietest band above 8 kHz;
        an upper bound where diffuse sound reaches up there, None where directional sound does.
    """

    channels: int
    order: int
    sample_rate_hz: int
    frames: int
    level_dbfs: float
    peak_dbfs: float
    slope_db_per_octave: float
    order_db: tuple[float, ...]
    mean_correlation: float
    max_correlation: float
    correlation: tuple[tuple[float, ...], ...]
    bands: tuple[Band, ...]
    convention: str
    convention_errors: dict[str, float]
    corners_hz: dict[int, float]
    self_noise_dbfs_hz: float | None


def measure(blocks: Iterable[Float32[ndarray, "acn time"]], sample_rate_hz: int) -> Statistics:
    """Measure a scene that comes in blocks of any lengths.

    Raises
    ------
    InputError
        If no order has that many channels, or the scene is silent or shorter than 0.1 s.
    """
    sums: _Sums | None = None
    for block in blocks:
        sums = sums or _Sums(block.shape[0], sample_rate_hz)
        sums.add(block)
    if sums is None or sums.windows < _DIFFUSENESS_FRAMES - 1:
        raise InputError(f"scene too short for statistics; at least {3 * FFT} samples are needed")
    if not sums.spectra[:, 0, 0].real.any():
        raise InputError("channel 0 (W) is silent; is this an Ambisonic scene?")
    return sums.statistics()


class _Sums:
    """Accumulated covariances."""

    def __init__(self, channels: int, sample_rate_hz: int):
        self.channels, self.rate_hz, self.order = channels, sample_rate_hz, order_of(channels)
        self.frequency_hz = np.fft.rfftfreq(FFT, 1 / sample_rate_hz)
        self.slices = [
            slice(*np.searchsorted(self.frequency_hz, (low, min(high, sample_rate_hz / 2))))
            for low, high in pairwise(BANDS_HZ)
            if low < sample_rate_hz / 2
        ]
        self.window = np.hanning(FFT + 1)[:FFT].astype(np.float32)
        self.spectra = np.zeros((len(self.frequency_hz), channels, channels), np.complex128)
        self.windows = self.frames = 0
        self.mean = np.zeros(channels)
        self.products = np.zeros((channels, channels))
        self.peak = 0.0
        self.rest = np.zeros((channels, 0), np.float32)
        self.intensity = np.zeros((0, len(self.slices), 4))
        self.diffuseness = np.zeros(len(self.slices))
        self.diffuseness_count = 0

    def add(self, block: Float32[ndarray, "acn time"]) -> None:
        wide = block.astype(np.float64)
        self.mean += wide.sum(axis=1)
        self.products += wide @ wide.T
        self.frames += block.shape[1]
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        signal = np.concatenate([self.rest, block], axis=1)
        count = max((signal.shape[1] - FFT) // HOP + 1, 0)
        self.rest = signal[:, count * HOP :]
        for first in range(0, count, 64):
            self._add_windows(signal, first, min(first + 64, count))

    def _add_windows(self, signal: ndarray, first: int, last: int) -> None:
        view = np.lib.stride_tricks.sliding_window_view(signal, FFT, axis=1)[:, first * HOP : last * HOP : HOP]
        spectra = np.fft.rfft(view * self.window, axis=2).transpose(2, 0, 1)
        self.spectra += spectra @ spectra.conj().transpose(0, 2, 1)
        self.windows += last - first
        if self.order == 0:
            return
        pressure, velocity = spectra[:, 0], spectra[:, [3, 1, 2]]
        intensity = (pressure.conj()[:, None] * velocity).real
        energy = 0.5 * (np.abs(pressure) ** 2 + np.sum(np.abs(velocity) ** 2, axis=1))
        terms = np.concatenate([intensity, energy[:, None]], axis=1)
        banded = np.stack([terms[band].sum(axis=0) for band in self.slices])
        self.intensity = np.concatenate([self.intensity, banded.transpose(2, 0, 1)])
        count = len(self.intensity) - _DIFFUSENESS_FRAMES + 1
        if count > 0:
            means = np.sum([self.intensity[lag : lag + count] for lag in range(_DIFFUSENESS_FRAMES)], axis=0)
            direct = np.linalg.norm(means[..., :3], axis=2) / np.maximum(means[..., 3], 1e-30)
            self.diffuseness += (1 - direct).sum(axis=0)
            self.diffuseness_count += count
            self.intensity = self.intensity[count:]

    def statistics(self) -> Statistics:
        orders = acn_orders(self.order)
        covariance = self.products / self.frames - np.outer(self.mean, self.mean) / self.frames**2
        power = np.maximum(np.diag(covariance), 1e-30)
        correlation = covariance / np.sqrt(np.outer(power, power))
        off_diagonal = np.abs(correlation[~np.eye(self.channels, dtype=bool)])
        spectra = self.spectra / (self.windows * np.sum(self.window.astype(float) ** 2))
        noise_dbfs_hz = self._self_noise(spectra)
        power_of_channels = np.diagonal(spectra, axis1=1, axis2=2).real
        errors = convention_errors(spectra, self.frequency_hz) if self.order else {"ACN SN3D": 0.0}
        return Statistics(
            channels=self.channels,
            order=self.order,
            sample_rate_hz=self.rate_hz,
            frames=self.frames,
            level_dbfs=_db(power[0]),
            peak_dbfs=2 * _db(max(self.peak, 1e-15)),
            slope_db_per_octave=self._slope(spectra[:, 0, 0].real),
            order_db=_order_db(power, orders),
            mean_correlation=float(off_diagonal.mean()) if self.order else 0.0,
            max_correlation=float(off_diagonal.max()) if self.order else 0.0,
            correlation=tuple(tuple(row) for row in correlation.tolist()),
            bands=tuple(self._band(number, spectra) for number in range(len(self.slices))),
            convention=min(errors, key=errors.__getitem__),
            convention_errors=errors,
            corners_hz=corner_frequencies(power_of_channels, self.frequency_hz),
            self_noise_dbfs_hz=noise_dbfs_hz,
        )

    def _slope(self, density: Float[ndarray, " frequency"]) -> float:
        inside = (self.frequency_hz > 100) & (self.frequency_hz < 10_000)
        octaves = np.log2(self.frequency_hz[inside])
        return float(np.polyfit(octaves, 10 * np.log10(density[inside] + 1e-30), 1)[0])

    def _band(self, number: int, spectra: Complex[ndarray, "frequency acn acn"]) -> Band:
        inside = self.slices[number]
        covariance = spectra[inside].sum(axis=0).real
        scale = sn3d_to_n3d(self.order)
        power = np.maximum(np.diag(covariance), 1e-30)
        count = max(self.diffuseness_count, 1)
        return Band(
            low_hz=BANDS_HZ[number],
            high_hz=BANDS_HZ[number + 1],
            level_dbfs=_db(2 * power[0] / FFT),
            order_db=_order_db(power, acn_orders(self.order)),
            effective_rank=effective_rank(covariance * np.outer(scale, scale)),
            diffuseness=float(self.diffuseness[number]) / count,
        )

    def _self_noise(self, spectra: Complex[ndarray, "frequency acn acn"]) -> float | None:
        """Density per capsule, from the quietest third of an octave above 8 kHz that is noise alone."""
        if not 2 <= self.order <= microphone.ENCODER_ORDER:
            return None
        expected = microphone.noise_covariance(self.frequency_hz, self.order)
        scale = sn3d_to_n3d(self.order)
        quietest = None
        for low_hz in (8_000, 10_000, 12_500):
            inside = (self.frequency_hz >= low_hz) & (self.frequency_hz < 1.26 * low_hz)
            if 1.26 * low_hz > self.rate_hz / 2:
                break
            band = spectra[inside].sum(axis=0).real * np.outer(scale, scale)
            if effective_rank(band) < 0.8 * self.channels:
                continue
            gain = np.trace(expected[inside].sum(axis=0).real * np.outer(scale, scale))
            density_db = _db(2 / self.rate_hz * np.trace(band) / gain)
            quietest = density_db if quietest is None else min(quietest, density_db)
        return quietest


def effective_rank(covariance: Float[ndarray, "channel channel"]) -> float:
    """Exponential of the entropy of the normalised eigenvalues (Roy & Vetterli 2007)."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    share = values / max(values.sum(), 1e-300)
    return float(np.exp(-np.sum(share * np.log(share + 1e-12))))


def convention_errors(
    spectra: Complex[ndarray, "frequency acn acn"], frequency_hz: Float[ndarray, " frequency"]
) -> dict[str, float]:
    """How badly each convention of channels fits, 0 .. about 1.

    For plane waves without mutual coherence, whatever their directions, x² + y² + z² = 1 makes the first
    order's energy that of W; and as the second order's harmonics are products of the first's, the
    covariance of W with them follows from that of the first order: E[W R] = E[3 Z² - W²] / 2,
    E[W V] = √3 E[X Y], and so on. Each convention is held against these identities.
    """
    inside = (frequency_hz >= _TRUSTED_BAND_HZ[0]) & (frequency_hz <= _TRUSTED_BAND_HZ[1])
    covariance = spectra[inside].real
    root3 = np.sqrt(3.0)
    # Each: the file's channel for W Y Z X (and V T R S U of order 2), and the gain that makes it SN3D
    conventions = {
        "ACN SN3D": ([0, 1, 2, 3, 4, 5, 6, 7, 8], np.ones(9)),
        "ACN N3D": ([0, 1, 2, 3, 4, 5, 6, 7, 8], 1 / sn3d_to_n3d(2)),
        "FuMa": (
            [0, 2, 3, 1, 8, 6, 4, 5, 7],
            np.array([2**0.5, 1, 1, 1, root3 / 2, root3 / 2, 1, root3 / 2, root3 / 2]),
        ),
    }
    second = covariance.shape[1] >= 9
    errors = {}
    for name, (channels, gains) in conventions.items():
        used = channels if second else channels[:4]
        gain = gains[: len(used)]
        c = covariance[:, used][:, :, used] * np.outer(gain, gain)
        w, y, z, x = c[:, 0, 0], c[:, 1, 1], c[:, 2, 2], c[:, 3, 3]
        found = [x + y + z]
        expected = [w]
        if second:
            found += [c[:, 0, 4], c[:, 0, 5], c[:, 0, 6], c[:, 0, 7], c[:, 0, 8]]
            expected += [
                root3 * c[:, 1, 3],
                root3 * c[:, 1, 2],
                1.5 * z - 0.5 * w,
                root3 * c[:, 2, 3],
                root3 / 2 * (x - y),
            ]
        difference = np.array(found) - np.array(expected)
        scale = np.abs(found) + np.abs(expected)
        errors[name] = float(np.abs(difference.sum(axis=1)).sum() / max(scale.sum(axis=1).sum(), 1e-30))
    return errors


def corner_frequencies(
    power: Float[ndarray, "frequency acn"], frequency_hz: Float[ndarray, " frequency"]
) -> dict[int, float]:
    """-3 dB points of the high-pass of each order n >= 2.

    A Butterworth magnitude of order n + 2 is fitted, with and without the leakage of a usual capsule
    mismatch, to the energy of the order relative to orders 0 and 1 (mean absolute error in dB over sixths
    of an octave). An order that is not high-passed above 150 Hz, or not in this way, has no entry.
    """
    orders = acn_orders(isqrt(power.shape[1]) - 1)
    centres_hz = np.geomspace(120, 5000, 33)
    candidates_hz = np.geomspace(100, 4000, 512)[:, None]
    octaves = np.log2(np.maximum(frequency_hz, 1.0) / centres_hz[:, None])
    weights = (np.abs(octaves) <= 1 / 6).astype(float)
    lower = weights @ power[:, orders <= 1].sum(axis=1) / 2
    result = {}
    for n in range(2, min(orders[-1], microphone.ENCODER_ORDER) + 1):
        level_db = 10 * np.log10((weights @ power[:, orders == n].sum(axis=1) + 1e-30) / (lower + 1e-30))
        fits = []
        for mismatch in (True, False):
            model_db = 10 * np.log10(microphone.order_energy(n, centres_hz, candidates_hz, mismatch))
            seen_db, model_db = np.maximum(level_db, _FIT_FLOOR_DB), np.maximum(model_db, _FIT_FLOOR_DB)
            error = np.abs(seen_db - model_db).mean(axis=1)
            fits.append((error.min(), candidates_hz[np.argmin(error), 0]))
        error_db, corner_hz = min(fits)
        if error_db < _FIT_LIMIT_DB and corner_hz > 150:
            result[n] = float(corner_hz)
    return result


def _order_db(power: Float[ndarray, " acn"], orders: ndarray) -> tuple[float, ...]:
    return tuple(_db(power[orders == n].sum() / power[0]) for n in range(1, orders[-1] + 1))


def _db(power: float) -> float:
    return float(10 * np.log10(power))
