"""What pictures show of a scene: spectrograms, energy maps, correlations, directions, levels of the orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from analysis.metrics.covariance import correlation
from analysis.metrics.evaluation import Prepared
from analysis.metrics.framing import HOP, LENGTH, WINDOW, erb_band_edges, segment
from analysis.metrics.spatial import BLOCK_FRAMES, band_covariances, intensity
from analysis.metrics.spectral import loudspeaker_matrix
from render.hoa.beams import beam_power, beam_weights, max_re_approximation
from render.hoa.layout import layout
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders

SHOWN_S = 12.0
"""Seconds that are drawn, from the beginning."""
BANDS_HZ = ((200, 800), (800, 3150), (3150, 12500))
LOUDSPEAKERS = ("M+030", "U-135")
# Grid of the maps: azimuth from left (180) to right (-180), as seen by the listener
AZIMUTH_DEG, ELEVATION_DEG = np.linspace(180, -180, 73), np.linspace(-90, 90, 37)


@dataclass(frozen=True, eq=False)
class Look:
    """What the pictures show of a scene.

    Attributes
    ----------
    spectrograms_db : float (signal, frame, bin)
        Of the signals that `signal_names` names.
    maps : float (band, elevation, azimuth)
        Energy of max-rE beams.
    correlation : float (acn, acn)
    azimuth_deg, energy, diffuseness : float (block,)
        DirAC's, 200 Hz to 3150 Hz.
    order_db : float (order,)
        Level re full scale.
    """

    spectrograms_db: Float64[ndarray, "signal frame bin"]
    maps: Float64[ndarray, "band elevation azimuth"]
    correlation: Float64[ndarray, "acn acn"]
    azimuth_deg: Float64[ndarray, " block"]
    energy: Float64[ndarray, " block"]
    diffuseness: Float64[ndarray, " block"]
    order_db: Float64[ndarray, " order"]


def signal_names(order: int) -> list[str]:
    """Signals whose spectrograms are drawn: one channel of each order, two loudspeakers."""
    channels = ["W", *(f"order {n}, ACN {n * n + 2 * n}" for n in range(1, order + 1))]
    return [*channels, *(f"loudspeaker {label}" for label in LOUDSPEAKERS)]


def look(prepared: Prepared, condition: str | None) -> Look:
    """Compute what is drawn of a test, or of the reference for None."""
    reader, rate_hz = prepared.reader(condition), prepared.sample_rate_hz
    total = min(prepared.total, round(SHOWN_S * rate_hz))
    order = order_of(prepared.channels)
    orders = acn_orders(order)
    labels = [speaker.label for speaker in layout("7.1.4").loudspeakers if not speaker.is_lfe]
    decoder = loudspeaker_matrix(order)[[labels.index(label) for label in LOUDSPEAKERS]]
    drawn = [n * n + 2 * n for n in range(order + 1)]
    spectrograms, covariances = [], []
    for number in range(-(-total // LENGTH)):
        part = segment(reader, number, prepared.total, rate_hz)
        signals = np.concatenate([part.field[drawn], np.tensordot(decoder, part.field, 1)])
        spectrograms.append(np.square(np.abs(signals)) * (2 / (WINDOW / 2)) ** 2)
        covariances.append(band_covariances(part).astype(np.float64))
    power = np.concatenate(spectrograms, axis=1)[:, : 1 + total // HOP]
    blocks = np.concatenate(covariances)[: 1 + total // (HOP * BLOCK_FRAMES)]
    centres_hz = (lambda edges: (edges[1:] + edges[:-1]) / 2 * rate_hz / WINDOW)(erb_band_edges(rate_hz))
    bands = [blocks[:, (centres_hz >= low) & (centres_hz < high)].sum(axis=1) for low, high in BANDS_HZ]
    direction, diffuseness, energy = (
        intensity(bands[0] + bands[1]) if order else (None, *np.zeros((2, len(blocks))))
    )
    whole = blocks.mean(axis=0).sum(axis=0)
    levels = [np.diag(whole)[orders == n].sum() for n in range(order + 1)]
    return Look(
        10 * np.log10(np.maximum(power, 1e-14)),
        np.stack([_map(band.mean(axis=0), order) for band in bands]),
        correlation(whole) + np.eye(len(whole)),
        np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
        if direction is not None
        else np.zeros(len(blocks)),
        energy,
        diffuseness,
        10 * np.log10(np.maximum(levels, 1e-12)),
    )


def _map(covariance: Float64[ndarray, "acn acn"], order: int) -> Float64[ndarray, "elevation azimuth"]:
    azimuth, elevation = np.meshgrid(np.deg2rad(AZIMUTH_DEG), np.deg2rad(ELEVATION_DEG))
    beams = beam_weights(azimuth.ravel(), elevation.ravel(), max_re_approximation(order))
    return np.maximum(beam_power(covariance, beams), 1e-14).reshape(azimuth.shape)
