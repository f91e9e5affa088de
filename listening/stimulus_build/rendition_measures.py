"""What is measured of a rendition against its reference, from one pass of short-time spectra over both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Complex, Float, Float32
from numpy import ndarray

from analysis.metrics.covariance import correlation_distance
from analysis.metrics.spectral import mel_filter_bank
from render.dsp.loudness import ungated_loudness_lufs
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import acn_orders
from render.loudspeakers.renderer import decode

WINDOW, HOP = 2048, 1024
LONG = 16384  # for lag and transfer function: 2.7 Hz at 44.1 kHz
BANDS_HZ = (50, 100, 200, 400, 800, 1600, 3150, 6300, 12500, 20000)
SILENT_RMS = 1e-7
MEL_BANDS = 150
MEL_FLOOR = 1e-5
_CHUNK = 32


@dataclass(frozen=True, eq=False)
class Analysis:
    """Spectral statistics of a scene.

    Attributes
    ----------
    scene : Scene
    loudness_lufs : float
        Ungated BS.1770 loudness of the rendering to 4+7+0.
    rms, mean : float (acn,)
    density : float (bin, acn)
        Mean power per bin.
    covariance : float (band, acn, acn)
        Real part, in `BANDS_HZ`.
    log_mel : float32 (acn, frame, band)
    """

    scene: Scene
    loudness_lufs: float
    rms: Float[ndarray, " acn"]
    mean: Float[ndarray, " acn"]
    density: Float[ndarray, "bin acn"]
    covariance: Float[ndarray, "band acn acn"]
    log_mel: Float[ndarray, "acn frame band"]


def analyse(scene: Scene) -> Analysis:
    """Analyse a scene."""
    frequency_hz = np.fft.rfftfreq(WINDOW, 1 / scene.sample_rate_hz)
    edges = np.searchsorted(frequency_hz, [hz for hz in BANDS_HZ if hz < scene.sample_rate_hz / 2])
    filters = _mel_filters(scene.sample_rate_hz)
    channels = len(scene.samples)
    density = np.zeros((len(frequency_hz), channels))
    covariance = np.zeros((len(edges) - 1, channels, channels))
    mels, count = [], 0
    for spectra in _spectra(scene.samples, WINDOW, HOP):  # (frame, acn, bin)
        power = np.square(spectra.real) + np.square(spectra.imag)
        density += power.sum(0).T
        mels.append(np.log10(np.maximum(np.sqrt(power) @ filters.T, MEL_FLOOR)).astype(np.float32))
        for band, (low, high) in enumerate(pairwise(edges)):
            part = spectra[..., low:high].transpose(1, 0, 2).reshape(channels, -1)
            covariance[band] += part.real @ part.real.T + part.imag @ part.imag.T
        count += len(spectra)
    samples = scene.samples
    return Analysis(
        scene,
        ungated_loudness_lufs(decode(scene, layout("4+7+0"))),
        np.sqrt(np.einsum("at,at->a", samples, samples, dtype=np.float64) / scene.length),
        samples.mean(axis=1, dtype=np.float64),
        density / max(count, 1),
        covariance / max(count, 1),
        np.concatenate(mels).transpose(1, 0, 2),
    )


def _spectra(
    samples: Float32[ndarray, "acn time"], window: int, hop: int
) -> Iterator[Complex[ndarray, "frame acn bin"]]:
    """Hann-windowed spectra, chunk by chunk; what is shorter than a window is filled with zero."""
    samples = np.pad(samples, ((0, 0), (0, max(window - samples.shape[1], 0))))
    taper = np.hanning(window + 1)[:window].astype(np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(samples, window, axis=1)[:, ::hop]
    for first in range(0, cut.shape[1], _CHUNK):
        yield np.fft.rfft((cut[:, first : first + _CHUNK] * taper).transpose(1, 0, 2))


@cache
def _mel_filters(sample_rate_hz: int) -> Float32[ndarray, "band bin"]:
    return mel_filter_bank(sample_rate_hz, WINDOW, MEL_BANDS).astype(np.float32)


def mel_distance(reference: Analysis, test: Analysis) -> float:
    """Mean |Δ log10 mel| at a window of 2048 samples with 150 bands, floor 1e-5; mean over channels."""
    return float(np.abs(reference.log_mel - test.log_mel).mean())


def covariance_distance(reference: Analysis, test: Analysis) -> list[float]:
    """Mean |R_ij - R'_ij| over pairs of sounding channels, in each band of `BANDS_HZ`."""
    distance, pairs = correlation_distance(reference.covariance, test.covariance, SILENT_RMS**2)
    return (distance / np.maximum(pairs, 1)).tolist()


def order_db(reference: Analysis, test: Analysis) -> list[float | None]:
    """Energy of each order over the reference's, in dB; None where one of them is silent."""
    orders = acn_orders(reference.scene.order)
    result: list[float | None] = []
    for n in range(orders[-1] + 1):
        before, after = (float(np.square(a.rms[orders == n]).sum()) for a in (reference, test))
        both = min(before, after) > SILENT_RMS**2
        result.append(round(float(10 * np.log10(after / before)), 2) if both else None)
    return result


@dataclass(frozen=True, eq=False)
class Transfer:
    """How a test scene follows its reference in time and frequency.

    Attributes
    ----------
    frequency_hz : float (bin,)
    gain_db : float (bin,)
        |S_xy / S_xx|, all channels together.
    lag : int
        Samples by which the test comes after the reference: maximum of the cross-correlation within ±2048.
    coherence : float
        The cross-correlation's maximum, 1 for equal waveforms.
    correlation : float (lag,)
        The cross-correlation, on the same scale; lag 0 in the middle.
    """

    frequency_hz: Float[ndarray, " bin"]
    gain_db: Float[ndarray, " bin"]
    lag: int
    coherence: float
    correlation: Float[ndarray, " lag"]


def transfer(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> Transfer:
    """Measure the transfer function and the lag of channels against their reference."""
    cross = np.zeros(LONG // 2 + 1, np.complex128)
    power, energy = np.zeros(LONG // 2 + 1), 0.0
    for before, after in zip(_spectra(reference, LONG, LONG // 2), _spectra(test, LONG, LONG // 2), strict=True):
        cross += (before.conj() * after).sum((0, 1))
        power += (np.square(before.real) + np.square(before.imag)).sum((0, 1))
        energy += float((np.square(after.real) + np.square(after.imag)).sum(dtype=np.float64))
    correlation = np.fft.irfft(cross, LONG)
    reach = LONG // 8
    near = np.concatenate([correlation[-reach:], correlation[: reach + 1]])
    best = int(np.argmax(near))
    whole = np.sqrt(np.fft.irfft(power, LONG)[0] * max(energy, 1e-30) * 2 / LONG)
    gain_db = 20 * np.log10(np.maximum(np.abs(cross), 1e-30) / np.maximum(power, 1e-30))
    frequency_hz = np.fft.rfftfreq(LONG, 1 / sample_rate_hz)
    near = near / max(whole, 1e-30)
    return Transfer(frequency_hz, gain_db, best - reach, round(float(near[best]), 4), near)
