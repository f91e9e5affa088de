"""Levels and correlations of the channels of a packet: the spatial parameters that are sent as side information.

A small network at 16 kbit/s preserves the timbre of a scene better than its spatial image: high orders become too
weak, and correlations (the R of eq. 3 of the paper) too small or wrong. Levels and correlations change slowly, so
they can be sent: the level of every channel in 24 bands every 8 frames (93 ms), and the correlation of every pair
of channels in 12 bands every 64 frames (0.74 s). `codec.side_info.parameter_coding` codes them at 3.2 kbit/s for
16 channels; `codec.side_info.klt` and `codec.side_info.level_restoration` use them.

This is an extension that the paper does not have.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import rfft

from codec.bitstream.sizes import LEVEL_SLOT_FRAMES, SLOT_FRAMES, slot_counts
from codec.side_info.parameter_coding import SpatialParameters
from codec.streaming.threads import matrix_product
from render.common.compiled import compiled
from render.dsp.erb import erb_edges_hz

LEVEL_BANDS, BANDS = 24, 12  # a band of the correlations consists of two bands of the levels
WINDOW, HOP = 2048, 512  # samples of the short-time Fourier transform; its hop is not that of the codec
MIN_POWER = 1e-16  # smallest power per bin that is sent: about -124 dB re full scale in all bands together
_LOW_HZ, _HIGH_HZ = 50.0, 20_000.0
WINDOW_SHAPE = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each of the 24 bands, and the number of bins.

    The bands are equally wide on the ERB-rate scale (Glasberg and Moore 1990) from 50 Hz to 20 kHz, or to 0.48 of
    the sample rate if that is less, and hold at least one bin. The outer bands also take the bins beyond, except
    the first two: they hold the constant offset of a network's output, which must not be amplified.
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
    """Spectra of windows around the sample numbers `centres`; beyond the ends of `samples` there are zeros."""
    half, first = WINDOW // 2, centres[0] - WINDOW // 2
    last = centres[-1] + half
    part = samples[:, max(first, 0) : max(last, 0)]
    part = np.pad(part, ((0, 0), (max(-first, 0), max(last - max(first, 0) - part.shape[1], 0))))
    windows = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, :: centres.step][:, : len(centres)]
    spectra = np.empty((*windows.shape[:2], WINDOW // 2 + 1), np.complex64)
    for channel, own in enumerate(windows):  # one at a time stays in the cache
        spectra[channel] = rfft(own * WINDOW_SHAPE, axis=1)
    return spectra


def band_parts(
    spectra: Complex64[ndarray, "channel frame bin"], low: int, high: int
) -> Float32[ndarray, "channel part"]:
    """Real and imaginary parts of the bins from `low` to before `high`, of all frames in one row per channel."""
    return (
        np.ascontiguousarray(spectra[:, :, low:high])
        .view(np.float32)
        .reshape(len(spectra), 2 * spectra.shape[1] * (high - low))
    )


def _covariances(
    spectra: Complex64[ndarray, "channel frame bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "band channel channel"]:
    """Real part of the covariance matrix of the channels in each band, relative to full scale squared per bin."""
    result = []
    for low, high in pairwise(edges):
        parts = band_parts(spectra, low, high).astype(np.float64)
        bins = spectra.shape[1] * (high - low)
        result.append(matrix_product(parts, parts.T) / (bins * WINDOW**2))
    return np.stack(result)


def level_powers(
    spectra: Complex64[ndarray, "channel frame bin"], slots: list[range], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "channel band slot"]:
    """Mean power of every channel in every band and level slot: the diagonal of `_covariances`.

    `slots` are the numbers of the first frame and of the one after the last of each slot.
    """
    bounds = np.array([(frames.start, frames.stop) for frames in slots], np.int64)
    sums = np.empty((len(spectra), len(edges) - 1, len(slots)))
    _energies(spectra.view(np.float32), bounds, edges, sums)
    return sums / (np.diff(bounds)[:, 0] * np.diff(edges)[:, None] * WINDOW**2)


@compiled(nogil=True)
def _energies(parts, bounds, edges, sums):  # pragma: no cover, compiled
    """Energies of the real and imaginary `parts` (channel, frame, part of a bin) in every band and slot."""
    squares = np.empty((bounds[:, 1] - bounds[:, 0]).max() * parts.shape[2])
    for channel in range(parts.shape[0]):
        for slot in range(len(bounds)):
            for band in range(len(edges) - 1):
                count = 0
                for frame in range(bounds[slot, 0], bounds[slot, 1]):
                    for part in range(2 * edges[band], 2 * edges[band + 1]):
                        value = np.float64(parts[channel, frame, part])
                        squares[count] = value * value
                        count += 1
                sums[channel, band, slot] = _pairwise_sum(squares[:count])


@compiled(nogil=True)
def _pairwise_sum(values):  # pragma: no cover, compiled
    """Sum in the order of NumPy's `sum`: halves down to 128 values, and of these every eighth."""
    if len(values) < 8:
        total = 0.0
        for value in values:
            total += value
        return total
    if len(values) > 128:
        half = len(values) // 16 * 8
        return _pairwise_sum(values[:half]) + _pairwise_sum(values[half:])
    whole = len(values) // 8 * 8
    r0, r1, r2, r3, r4, r5, r6, r7 = (
        values[0],
        values[1],
        values[2],
        values[3],
        values[4],
        values[5],
        values[6],
        values[7],
    )
    for i in range(8, whole, 8):
        r0 += values[i]
        r1 += values[i + 1]
        r2 += values[i + 2]
        r3 += values[i + 3]
        r4 += values[i + 4]
        r5 += values[i + 5]
        r6 += values[i + 6]
        r7 += values[i + 7]
    total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    for i in range(whole, len(values)):
        total += values[i]
    return total


def _slot_windows(length: int, count: int, slot_samples: int) -> list[range]:
    """Centres of the windows in each of `count` slots of a packet; the last slot has all the rest."""
    ends = [*(slot_samples * k for k in range(1, count)), length]
    return [range(slot_samples * k, end, HOP) for k, end in enumerate(ends)]


class WindowGrid(NamedTuple):
    """Centres of the windows of a packet, in samples from its beginning.

    Attributes
    ----------
    level_slots, slots : list of range
        Windows of each level slot and of each slot.
    level_slots_of_slot : list of list of int
        Numbers of the level slots that determine the levels of each slot.
    """

    level_slots: list[range]
    slots: list[range]
    level_slots_of_slot: list[list[int]]


def window_grid(length: int, hop: int) -> WindowGrid:
    """Return the windows of a packet of `length` samples, `hop` samples per frame of the codec.

    Every window that is centred in the packet counts, also where it reaches beyond: a sound at the end of a packet
    would otherwise get the levels and correlations of what surrounds it.
    """
    level_count, count = slot_counts(length // hop)
    level_slots = _slot_windows(length, level_count, LEVEL_SLOT_FRAMES * hop)
    slots = _slot_windows(length, count, SLOT_FRAMES * hop)
    level_slots_of_slot = [
        [k for k, c in enumerate(level_slots) if centres.start <= c.start < centres.stop] for centres in slots
    ]
    return WindowGrid(level_slots, slots, level_slots_of_slot)


def window_numbers(centres: range) -> range:
    """Numbers of the windows with these centres, of which number 0 is centred at sample 0."""
    return range(centres.start // HOP, centres.start // HOP + len(centres))


def measure_parameters(
    samples: Float32[ndarray, "channel time"], before: int, length: int, hop: int, sample_rate_hz: int
) -> SpatialParameters:
    """Measure levels and correlations of one packet.

    Parameters
    ----------
    samples : float32 (channel, time)
        The packet with up to `WINDOW` / 2 samples of what comes before and after it, relative to full scale.
    before : int
        Number of samples before the packet.
    length : int
        Samples of the packet.
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    """
    grid, edges = window_grid(length, hop), band_edges(sample_rate_hz)
    spectra = windowed_spectra(samples, range(before, before + length, HOP))
    level_slots = [window_numbers(centres) for centres in grid.level_slots]
    power = level_powers(spectra, level_slots, edges)
    active = power.max((1, 2)) > MIN_POWER
    audible = spectra if active.all() else spectra[active]
    slots = [window_numbers(centres) for centres in grid.slots]
    covariance = np.stack([_covariances(audible[:, n.start : n.stop], edges[::2]) for n in slots], 3)
    first, second = np.triu_indices(int(active.sum()), 1)
    own = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), MIN_POWER).transpose(2, 0, 1)
    correlations = covariance[:, first, second].transpose(1, 0, 2) / np.sqrt(own[first] * own[second])
    return SpatialParameters(active, 10 * np.log10(np.maximum(power[active], MIN_POWER)), correlations)
