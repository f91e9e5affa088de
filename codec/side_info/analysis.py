"""The spatial layer: levels and correlations of the channels, measured for every packet.

A small network at 16 kbit/s keeps the timbre of a scene better than its spatial image: weak high orders, and
correlations (the R of eq. 3) that come out too small or in the wrong place. Both change slowly, so they are sent:
the level of every channel in 24 bands every 8 frames (93 ms), the correlation of every pair of channels in 12
bands every 64 frames (0.74 s). `codec.side_info.parameter_coding` makes 4.3 kbit/s of them for 16 channels;
`codec.side_info.klt`
and `codec.side_info.level_restoration` say what becomes of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import rfft

from codec.side_info.parameter_coding import Parameters
from codec.streaming.threads import matrix_product
from render.dsp.erb import erb_edges_hz

LEVEL_BANDS, BANDS = 24, 12  # a band of the correlations is two bands of the levels
LEVEL_FRAMES, SLOT_FRAMES = 8, 64  # frames of the codec to one set of levels, and of correlations
WINDOW, HOP = 2048, 512
REACH = WINDOW // 2 + HOP  # samples on either side of a packet that its samples depend on
POWER_FLOOR = 1e-16  # power per bin that no level falls below: about -124 dB re full scale in all bands together
_LOW_HZ, _HIGH_HZ = 50.0, 20_000.0
SHAPE = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def slots(frames: int) -> tuple[int, int]:
    """Sets of levels and of correlations of a packet: one for every 8, and 64, whole frames, at least one.

    The last of each has all the rest.
    """
    return max(1, frames // LEVEL_FRAMES), max(1, frames // SLOT_FRAMES)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each of the 24 bands, and the number of bins: equal widths in ERB-rate from 50 Hz to 20 kHz.

    The outer bands also hold what lies beyond, but for the first two bins: what a network puts there is its own
    offset, which must not be amplified. Narrow bands hold at least one bin.
    """
    edges_hz = erb_edges_hz(_LOW_HZ, min(_HIGH_HZ, 0.48 * sample_rate_hz), LEVEL_BANDS)
    edges = np.round(edges_hz * WINDOW / sample_rate_hz).astype(np.int64)
    edges[0], edges[-1] = 2, WINDOW // 2 + 1
    for band in range(1, LEVEL_BANDS):
        edges[band] = max(edges[band], edges[band - 1] + 1)
    return edges


def windowed_spectra(
    samples: Float32[ndarray, "channel time"], centres: range
) -> Complex64[ndarray, "channel frame bin"]:
    """Spectra of windows around the centres; beyond the ends of `samples` there are zeros."""
    half, first = WINDOW // 2, centres[0] - WINDOW // 2
    last = centres[-1] + half
    part = samples[:, max(first, 0) : max(last, 0)]
    part = np.pad(part, ((0, 0), (max(-first, 0), max(last - max(first, 0) - part.shape[1], 0))))
    windows = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, :: centres.step]
    return rfft(windows[:, : len(centres)] * SHAPE, axis=2)


def band_parts(
    spectra: Complex64[ndarray, "channel frame bin"], low: int, high: int
) -> Float32[ndarray, "channel part"]:
    """Real and imaginary parts of the bins of a band."""
    return (
        np.ascontiguousarray(spectra[:, :, low:high])
        .view(np.float32)
        .reshape(len(spectra), 2 * spectra.shape[1] * (high - low))
    )


def _covariances(
    spectra: Complex64[ndarray, "channel frame bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "band channel channel"]:
    """Real parts of the mean products of two channels' bins, by band; full scale squared per bin."""
    result = []
    for low, high in pairwise(edges):
        parts = band_parts(spectra, low, high).astype(np.float64)
        bins = spectra.shape[1] * (high - low)
        result.append(matrix_product(parts, parts.T) / (bins * WINDOW**2))
    return np.stack(result)


def band_powers(
    spectra: Complex64[ndarray, "channel frame bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "channel band"]:
    """Mean power of every channel in every band, as the diagonal of `_covariances`."""
    parts = [np.square(band_parts(spectra, low, high), dtype=np.float64).sum(1) for low, high in pairwise(edges)]
    return np.stack(parts, 1) / (spectra.shape[1] * np.diff(edges) * WINDOW**2)


def _cut(length: int, count: int, part: int) -> list[range]:
    """Centres of the windows in each of `count` parts of a packet; the last part has all the rest."""
    ends = [*(part * k for k in range(1, count)), length]
    return [range(part * k, end, HOP) for k, end in enumerate(ends)]


def _inner(centres: range, first: int, last: int, least: float) -> range:
    """Those centres that lie between `first` and `last`, all of them if less than a share `least` does."""
    inner = range(max(centres.start, -(-first // HOP) * HOP), min(centres.stop, last + 1), HOP)
    return inner if len(inner) >= max(least * len(centres), 1) else centres


class Grid(NamedTuple):
    """Windows of a packet: those of every level slot, and those of it and of every slot that are measured.

    `levels_of_slot` are the level slots that count for the levels of a slot.
    """

    levels: list[range]
    measured_levels: list[range]
    measured: list[range]
    levels_of_slot: list[list[int]]


def grid_of(length: int, hop: int, margin: int) -> Grid:
    """Levels are measured in windows that lie in the packet; correlations, `margin` away from its ends."""
    level_slots, count = slots(length // hop)
    levels, wide = _cut(length, level_slots, LEVEL_FRAMES * hop), _cut(length, count, SLOT_FRAMES * hop)
    half, levels_of_slot = WINDOW // 2, []
    for centres in wide:
        inside = [k for k, c in enumerate(levels) if centres.start <= c.start < centres.stop]
        inner = [k for k in inside if levels[k].start >= margin and levels[k].stop <= length - margin]
        levels_of_slot.append(inner or inside)
    return Grid(
        levels,
        [_inner(centres, half, length - half, 0.0) for centres in levels],
        [_inner(centres, margin, length - margin, 0.5) for centres in wide],
        levels_of_slot,
    )


def measure(
    samples: Float32[ndarray, "channel time"], hop: int, sample_rate_hz: int, margin: int = 0
) -> Parameters:
    """Levels and correlations of one packet.

    Parameters
    ----------
    samples : float32 (channel, time)
        The packet.
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    margin : int
        Samples at either end where correlations are not measured, since what is decoded there depends on the
        neighbours; unless they are more than half of a slot.
    """
    grid, edges = grid_of(samples.shape[1], hop, margin), band_edges(sample_rate_hz)
    spectra = windowed_spectra(samples, range(0, samples.shape[1], HOP))

    def windows(centres: range) -> Complex64[ndarray, "channel frame bin"]:
        return spectra[:, centres.start // HOP :][:, : len(centres)]

    power = np.stack([band_powers(windows(centres), edges) for centres in grid.measured_levels], 2)
    heard = power.max((1, 2)) > POWER_FLOOR
    covariance = np.stack([_covariances(windows(centres)[heard], edges[::2]) for centres in grid.measured], 3)
    first, second = np.triu_indices(int(heard.sum()), 1)
    own = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), POWER_FLOOR).transpose(2, 0, 1)
    correlations = covariance[:, first, second].transpose(1, 0, 2) / np.sqrt(own[first] * own[second])
    return Parameters(heard, 10 * np.log10(np.maximum(power[heard], POWER_FLOOR)), correlations)
