"""What the figures show of a scene: spectrograms, energy maps, correlations, directions, levels of the orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Complex64, Float, Float32, Float64
from numpy import ndarray

from analysis.metrics.covariance import correlation
from analysis.metrics.evaluation import Prepared
from analysis.metrics.framing import HOP, WINDOW, Reader, count, erb_band_centres_hz, segment
from analysis.metrics.spatial import BLOCK_FRAMES, band_covariances, intensity
from analysis.metrics.spectral import loudspeaker_matrix
from render.hoa.beams import beam_power, beam_weights, max_re_approximation
from render.hoa.layout import layout
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders

MAX_SECONDS = 12.0
"""A scene is shown up to here."""
BANDS_HZ = ((200, 800), (800, 3150), (3150, 12500))
LOUDSPEAKERS = ("M+030", "U-135")
"""Loudspeakers of 7.1.4 whose feeds are shown."""
AZIMUTH_DEG, ELEVATION_DEG = np.linspace(180, -180, 73), np.linspace(-90, 90, 37)
"""Grid of the energy maps, as the listener at the centre sees it: left (positive azimuths) is on the left."""
_SILENCE = 1e-14


@dataclass(frozen=True, eq=False)
class SceneView:
    """What the figures show of a scene.

    Attributes
    ----------
    spectrograms_db : float32 (signal, frame, bin)
        Spectrograms of the signals that `signal_names` lists, re a full-scale sine.
    maps : float (band, elevation, azimuth)
        Power of beams over the sphere in `BANDS_HZ`, mean over time.
    correlation : float (acn, acn)
        Correlation of the channels, 50 Hz to 16 kHz.
    azimuth_deg, energy, diffuseness : float (block,)
        DirAC's parameters in `BANDS_HZ` 1 and 2 together.
    order_db : float (order,)
        Level of each order, re full scale.
    """

    spectrograms_db: Float32[ndarray, "signal frame bin"]
    maps: Float64[ndarray, "band elevation azimuth"]
    correlation: Float64[ndarray, "acn acn"]
    azimuth_deg: Float64[ndarray, " block"]
    energy: Float64[ndarray, " block"]
    diffuseness: Float64[ndarray, " block"]
    order_db: Float64[ndarray, " order"]


def signal_names(order: int) -> list[str]:
    """Return names of the signals whose spectrograms are shown: a channel of each order, two loudspeakers."""
    channels = ["W", *(f"order {n}, ACN {n * n + 2 * n}" for n in range(1, order + 1))]
    return [*channels, *(f"loudspeaker {label}" for label in LOUDSPEAKERS)]


def scene_view(prepared: Prepared, condition: str | None) -> SceneView:
    """Return what is shown of a test, or of the reference for None."""
    order, rate_hz = order_of(prepared.channels), prepared.sample_rate_hz
    total = min(prepared.total, round(MAX_SECONDS * rate_hz))
    spectrograms, blocks = _analyse(prepared.reader(condition), prepared.total, total, order, rate_hz)
    centres_hz = erb_band_centres_hz(rate_hz)
    bands = [blocks[:, (centres_hz >= low) & (centres_hz < high)].sum(axis=1) for low, high in BANDS_HZ]
    azimuth_deg, energy, diffuseness = np.zeros((3, len(blocks)))
    if order:
        direction, diffuseness, energy = intensity(bands[0] + bands[1])
        azimuth_deg = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    whole, orders = blocks.mean(axis=0).sum(axis=0), acn_orders(order)
    levels = [np.diag(whole)[orders == n].sum() for n in range(order + 1)]
    return SceneView(
        spectrograms,
        np.stack([energy_map(band.mean(axis=0)) for band in bands]),
        correlation(whole) + np.eye(len(whole)),
        azimuth_deg,
        energy,
        diffuseness,
        10 * np.log10(np.maximum(levels, 1e-12)),
    )


def _analyse(
    reader: Reader, total: int, shown: int, order: int, rate_hz: int
) -> tuple[Float32[ndarray, "signal frame bin"], Float64[ndarray, "block band acn acn"]]:
    """Spectrograms, and covariances in blocks and bands, of the first `shown` of `total` samples."""
    labels = [speaker.label for speaker in layout("7.1.4").loudspeakers if not speaker.is_lfe]
    decoder = loudspeaker_matrix(order)[[labels.index(label) for label in LOUDSPEAKERS]]
    channels = [n * n + 2 * n for n in range(order + 1)]
    spectrograms, covariances = [], []
    for number in range(count(shown)):
        part = segment(reader, number, total, rate_hz)
        signals = np.concatenate([part.field[channels], np.tensordot(decoder, part.field, 1)])
        spectrograms.append(spectrogram_db(signals))
        covariances.append(band_covariances(part).astype(np.float64))
    return (
        np.concatenate(spectrograms, axis=1)[:, : 1 + shown // HOP],
        np.concatenate(covariances)[: 1 + shown // (HOP * BLOCK_FRAMES)],
    )


def spectrogram_db(spectrum: Complex64[ndarray, "signal frame bin"]) -> Float32[ndarray, "signal frame bin"]:
    """Level of the shared spectrum, re a full-scale sine, at least -140 dB."""
    amplitude_scale = np.float32(4 / WINDOW)  # two sides, and the mean of the Hann window
    return 10 * np.log10(np.maximum(np.square(np.abs(spectrum) * amplitude_scale), np.float32(_SILENCE)))


def energy_map(covariance: Float[ndarray, "acn acn"]) -> Float[ndarray, "elevation azimuth"]:
    """Power of max-rE beams on the grid of `ELEVATION_DEG` and `AZIMUTH_DEG`, greater than 0."""
    power = beam_power(covariance, _map_beams(order_of(len(covariance))))
    return np.maximum(power, _SILENCE).reshape(len(ELEVATION_DEG), len(AZIMUTH_DEG))


@cache
def _map_beams(order: int) -> Float[ndarray, "direction acn"]:
    azimuth, elevation = np.meshgrid(np.deg2rad(AZIMUTH_DEG), np.deg2rad(ELEVATION_DEG))
    return beam_weights(azimuth.ravel(), elevation.ravel(), max_re_approximation(order))
