"""Statistics of one Ambisonic scene, accumulated block by block: memory does not depend on its length.

All of them follow from three sums: the covariance of the channels at each frequency and, in bands, the active
intensity relative to the energy density (diffuseness), both over short-time spectra; and the broadband covariance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Float32
from numpy import ndarray

from render.common.errors import InputError
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d
from stimuli.em32 import microphone
from stimuli.field_statistics.channel_convention import convention_errors
from stimuli.field_statistics.order_filters import corner_frequencies

BANDS_HZ = (50, 100, 200, 400, 800, 1600, 3150, 6300, 12500, 20000)
FFT = 2048
HOP = FFT // 2
_DIFFUSENESS_FRAMES = 5


@dataclass(frozen=True)
class Band:
    """Statistics within a band of frequencies.

    Attributes
    ----------
    low_hz, high_hz : float
    level_dbfs : float
        Power of W in the band.
    order_db : tuple of float
        Summed energy of each order 1 .. N relative to W; in SN3D it is 0 dB for any field of incoherent waves.
    effective_rank : float
        Effective number of independent channels, see `effective_rank`, with channels scaled to N3D: 1 for a single
        plane wave, (N+1)² for an isotropic field.
    diffuseness : float
        1 - |I| / (c E) as in DirAC, averaged over windows of about 0.1 s: 0 for a plane wave, 1 for a field
        without a net flow of energy.
    """

    low_hz: float
    high_hz: float
    level_dbfs: float
    order_db: tuple[float, ...]
    effective_rank: float
    diffuseness: float


@dataclass(frozen=True)
class Statistics:
    """Properties of a scene that follow from its signals alone.

    Attributes
    ----------
    channels, order, sample_rate_hz : int
    length : int
        Samples per channel.
    level_dbfs, peak_dbfs : float
        Rms of W, and the largest absolute sample of any channel.
    slope_db_per_octave : float
        Slope of W's long-term spectrum, 100 Hz to 10 kHz.
    order_db : tuple of float
        Broadband energy of orders 1 .. N relative to W.
    mean_correlation, max_correlation : float
        Mean and largest absolute correlation coefficient between different channels.
    correlation : tuple of tuples
        Correlation coefficients (channel, channel).
    bands : tuple of Band
    convention : str
        Channel order and normalisation that fit best: "ACN SN3D", "ACN N3D" or "FuMa".
    convention_errors : dict
        The evidence for it: relative error of each convention, see `convention_errors`.
    corners_hz : dict
        Order n >= 2 -> -3 dB point of its high-pass; orders without one are absent (`corner_frequencies`).
    self_noise_dbfs_hz : float or None
        Density of the noise of one capsule, on the assumption that the microphone was an em32, from the quietest
        band above 8 kHz. It is an upper bound where diffuse sound reaches up there, and None where directional
        sound does.
    """

    channels: int
    order: int
    sample_rate_hz: int
    length: int
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

    def record(self) -> dict[str, Any]:
        """Contents of a JSON file, where `length` is stored under the name ``frames``."""
        return {"frames" if name == "length" else name: value for name, value in asdict(self).items()}


def measure(blocks: Iterable[Float32[ndarray, "acn time"]], sample_rate_hz: int) -> Statistics:
    """Measure a scene that arrives in blocks of any lengths.

    Parameters
    ----------
    blocks : iterable of float32 (acn, time)
        Consecutive parts of the scene, ACN/SN3D, full scale 1.
    sample_rate_hz : int

    Raises
    ------
    InputError
        If the number of channels is not that of an order, if W is silent, or if the scene is too short.
    """
    sums: _Accumulator | None = None
    for block in blocks:
        sums = sums or _Accumulator(block.shape[0], sample_rate_hz)
        sums.add(block)
    if sums is None or sums.frames < _DIFFUSENESS_FRAMES - 1:
        raise InputError(f"scene too short for statistics; at least {3 * FFT} samples are needed")
    if not sums.spectra[:, 0, 0].real.any():
        raise InputError("channel 0 (W) is silent; is this an Ambisonic scene?")
    return sums.statistics()


class _Accumulator:
    """Sums over the blocks of a scene, from which its statistics follow."""

    def __init__(self, channels: int, sample_rate_hz: int):
        self.channels, self.rate_hz, self.order = channels, sample_rate_hz, order_of(channels)
        self.frequency_hz = np.fft.rfftfreq(FFT, 1 / sample_rate_hz)
        self.bands = [
            slice(*np.searchsorted(self.frequency_hz, (low, min(high, sample_rate_hz / 2))))
            for low, high in pairwise(BANDS_HZ)
            if low < sample_rate_hz / 2
        ]
        self.window = np.hanning(FFT + 1)[:FFT].astype(np.float32)
        self.spectra = np.zeros((len(self.frequency_hz), channels, channels), np.complex128)
        self.frames = self.length = 0
        self.sum = np.zeros(channels)
        self.products = np.zeros((channels, channels))
        self.peak = 0.0
        self.pending = np.zeros((channels, 0), np.float32)
        self.intensity = np.zeros((0, len(self.bands), 4))
        self.diffuseness = np.zeros(len(self.bands))
        self.diffuseness_count = 0

    def add(self, block: Float32[ndarray, "acn time"]) -> None:
        wide = block.astype(np.float64)
        self.sum += wide.sum(axis=1)
        self.products += wide @ wide.T
        self.length += block.shape[1]
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        signal = np.concatenate([self.pending, block], axis=1)
        count = max((signal.shape[1] - FFT) // HOP + 1, 0)
        self.pending = signal[:, count * HOP :]
        for first in range(0, count, 64):
            self._add_frames(signal, first, min(first + 64, count))

    def _add_frames(self, signal: ndarray, first: int, last: int) -> None:
        view = np.lib.stride_tricks.sliding_window_view(signal, FFT, axis=1)[:, first * HOP : last * HOP : HOP]
        spectra = np.fft.rfft(view * self.window, axis=2).transpose(2, 0, 1)
        self.spectra += spectra @ spectra.conj().transpose(0, 2, 1)
        self.frames += last - first
        if self.order == 0:
            return
        pressure, velocity = spectra[:, 0], spectra[:, [3, 1, 2]]
        intensity = (pressure.conj()[:, None] * velocity).real
        energy = 0.5 * (np.abs(pressure) ** 2 + np.sum(np.abs(velocity) ** 2, axis=1))
        terms = np.concatenate([intensity, energy[:, None]], axis=1)
        banded = np.stack([terms[band].sum(axis=0) for band in self.bands])
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
        covariance = self.products / self.length - np.outer(self.sum, self.sum) / self.length**2
        power = np.maximum(np.diag(covariance), 1e-30)
        correlation = covariance / np.sqrt(np.outer(power, power))
        off_diagonal = np.abs(correlation[~np.eye(self.channels, dtype=bool)])
        spectra = self.spectra / (self.frames * np.sum(self.window.astype(float) ** 2))
        noise_dbfs_hz = self._self_noise(spectra)
        power_of_channels = np.diagonal(spectra, axis1=1, axis2=2).real
        errors = convention_errors(spectra, self.frequency_hz) if self.order else {"ACN SN3D": 0.0}
        return Statistics(
            channels=self.channels,
            order=self.order,
            sample_rate_hz=self.rate_hz,
            length=self.length,
            level_dbfs=_db(power[0]),
            peak_dbfs=2 * _db(max(self.peak, 1e-15)),
            slope_db_per_octave=self._slope(spectra[:, 0, 0].real),
            order_db=_order_db(power, orders),
            mean_correlation=float(off_diagonal.mean()) if self.order else 0.0,
            max_correlation=float(off_diagonal.max()) if self.order else 0.0,
            correlation=tuple(tuple(row) for row in correlation.tolist()),
            bands=tuple(self._band(number, spectra) for number in range(len(self.bands))),
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
        inside = self.bands[number]
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
        """Density per capsule, from the quietest third of an octave above 8 kHz that holds nothing but noise."""
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
    """Exponential of the entropy of the normalised eigenvalues, 1 to the channel count (Roy & Vetterli 2007)."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    share = values / max(values.sum(), 1e-300)
    return float(np.exp(-np.sum(share * np.log(share + 1e-12))))


def _order_db(power: Float[ndarray, " acn"], orders: ndarray) -> tuple[float, ...]:
    return tuple(_db(power[orders == n].sum() / power[0]) for n in range(1, orders[-1] + 1))


def _db(power: float) -> float:
    return float(10 * np.log10(power))
