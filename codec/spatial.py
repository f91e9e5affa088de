"""The spatial layer: levels and correlations of the channels, sent with every packet, restored after the decoder.

A small network at 16 kbit/s keeps the timbre of a scene better than its spatial image: weak high orders, and
correlations (the R of eq. 3) that come out too small or in the wrong place. Both change slowly, so they are sent:
the level of every channel in 24 bands every 8 frames (93 ms), the correlation of every pair of channels in 12
bands every 64 frames (0.74 s). `codec.spatial_code` makes 4.3 kbit/s of them for 16 channels. The decoder measures
its own and mixes its channels, band by band, by the matrices that bring them to those sent with the least change
to the waveforms; then it brings the levels of the channels to those sent.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import irfft, rfft

from codec.spatial_code import Parameters
from codec.stages import workers

LEVEL_BANDS, BANDS = 24, 12  # a band of the correlations is two bands of the levels
LEVEL_FRAMES, SLOT_FRAMES = 8, 64  # frames of the codec to one set of levels, and of correlations
WINDOW, HOP = 2048, 512
REACH = WINDOW // 2 + HOP  # samples on either side of a packet that its samples depend on
_FADE_WINDOWS = 12  # of the matrices of one slot into those of the next
_MOST_GAIN = 8.0  # of any direction in channel space
_MOST_LEVEL_DB = 12.0  # correction of a level
_FLOOR = 1e-16  # power per bin that no level falls below: about -124 dB re full scale in all bands together
_LOW_HZ, _HIGH_HZ = 50.0, 20_000.0
_SHAPE = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def product(a: Float[ndarray, "row inner"], b: Float[ndarray, "inner column"]) -> Float[ndarray, "row column"]:
    """Matrix product on one thread: NumPy's depends in the last bits on how many there are."""
    left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    return workers(1).submit(torch.matmul, left, right).result().numpy()


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
    low, high = (21.4 * math.log10(1 + 0.00437 * f) for f in (_LOW_HZ, min(_HIGH_HZ, 0.48 * sample_rate_hz)))
    edges_hz = (10 ** (np.linspace(low, high, LEVEL_BANDS + 1) / 21.4) - 1) / 0.00437
    edges = np.round(edges_hz * WINDOW / sample_rate_hz).astype(np.int64)
    edges[0], edges[-1] = 2, WINDOW // 2 + 1
    for band in range(1, LEVEL_BANDS):
        edges[band] = max(edges[band], edges[band - 1] + 1)
    return edges


def _spectra(samples: Float32[ndarray, "channel time"], centres: range) -> Complex64[ndarray, "channel frame bin"]:
    """Spectra of windows around the centres; beyond the ends of `samples` there are zeros."""
    half, first = WINDOW // 2, centres[0] - WINDOW // 2
    last = centres[-1] + half
    part = samples[:, max(first, 0) : max(last, 0)]
    part = np.pad(part, ((0, 0), (max(-first, 0), max(last - max(first, 0) - part.shape[1], 0))))
    windows = np.lib.stride_tricks.sliding_window_view(part, WINDOW, axis=1)[:, :: centres.step]
    return rfft(windows[:, : len(centres)] * _SHAPE, axis=2)


def _band(
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
        parts = _band(spectra, low, high).astype(np.float64)
        bins = spectra.shape[1] * (high - low)
        result.append(product(parts, parts.T) / (bins * WINDOW**2))
    return np.stack(result)


def _levels(
    spectra: Complex64[ndarray, "channel frame bin"], edges: Int[ndarray, " edge"]
) -> Float[ndarray, "channel band"]:
    """Mean power of every channel in every band, as the diagonal of `_covariances`."""
    parts = [np.square(_band(spectra, low, high), dtype=np.float64).sum(1) for low, high in pairwise(edges)]
    return np.stack(parts, 1) / (spectra.shape[1] * np.diff(edges) * WINDOW**2)


def _cut(length: int, count: int, part: int) -> list[range]:
    """Centres of the windows in each of `count` parts of a packet; the last part has all the rest."""
    ends = [*(part * k for k in range(1, count)), length]
    return [range(part * k, end, HOP) for k, end in enumerate(ends)]


def _inner(centres: range, first: int, last: int, least: float) -> range:
    """Those centres that lie between `first` and `last`, all of them if less than a share `least` does."""
    inner = range(max(centres.start, -(-first // HOP) * HOP), min(centres.stop, last + 1), HOP)
    return inner if len(inner) >= max(least * len(centres), 1) else centres


class _Grid(NamedTuple):
    """Windows of a packet: those of every level slot and slot, and those among them that are measured.

    `levels_of_slot` are the level slots that count for the levels of a slot.
    """

    levels: list[range]
    measured_levels: list[range]
    slots: list[range]
    measured: list[range]
    levels_of_slot: list[list[int]]


def _grid(length: int, hop: int, margin: int) -> _Grid:
    """Levels are measured in windows that lie in the packet; what mixing needs, `margin` away from its ends."""
    level_slots, count = slots(length // hop)
    levels, wide = _cut(length, level_slots, LEVEL_FRAMES * hop), _cut(length, count, SLOT_FRAMES * hop)
    half, levels_of_slot = WINDOW // 2, []
    for centres in wide:
        inside = [k for k, c in enumerate(levels) if c.start in centres]
        inner = [k for k in inside if levels[k].start >= margin and levels[k].stop <= length - margin]
        levels_of_slot.append(inner or inside)
    return _Grid(
        levels,
        [_inner(centres, half, length - half, 0.0) for centres in levels],
        wide,
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
    grid = _grid(samples.shape[1], hop, margin)
    return _parameters(_spectra(samples, range(0, samples.shape[1], HOP)), 0, grid, band_edges(sample_rate_hz))


def _parameters(
    spectra: Complex64[ndarray, "channel frame bin"], before: int, grid: _Grid, edges: Int[ndarray, " edge"]
) -> Parameters:
    """Levels and correlations of spectra, of which `before` lie before the packet."""

    def windows(centres: range) -> Complex64[ndarray, "channel frame bin"]:
        return spectra[:, before + centres.start // HOP :][:, : len(centres)]

    power = np.stack([_levels(windows(centres), edges) for centres in grid.measured_levels], 2)
    heard = power.max((1, 2)) > _FLOOR
    covariance = np.stack([_covariances(windows(centres)[heard], edges[::2]) for centres in grid.measured], 3)
    first, second = np.triu_indices(int(heard.sum()), 1)
    own = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), _FLOOR).transpose(2, 0, 1)
    correlations = covariance[:, first, second].transpose(1, 0, 2) / np.sqrt(own[first] * own[second])
    return Parameters(heard, 10 * np.log10(np.maximum(power[heard], _FLOOR)), correlations)


def targets(
    sent: Parameters, edges: Int[ndarray, " edge"], levels_of_slot: list[list[int]]
) -> Float[ndarray, "band slot channel channel"]:
    """Covariance matrices with these correlations, as near as can be, and the mean levels in bands and slots.

    `levels_of_slot` are the level slots that count in each slot.
    """
    count, bands, number = len(sent.levels_db), BANDS, len(levels_of_slot)
    power = 10 ** (sent.levels_db / 10) * np.diff(edges)[:, None]
    power = power.reshape(count, bands, 2, power.shape[2]).sum(2) / np.diff(edges[::2])[:, None]
    power = np.stack([power[:, :, inside].mean(2) for inside in levels_of_slot], 2)
    upper = np.triu_indices(count, 1)
    correlation = np.zeros((bands, number, count, count))
    correlation[:, :, upper[0], upper[1]] = sent.correlations.transpose(1, 2, 0)
    correlation = correlation + correlation.swapaxes(-1, -2) + np.eye(count)
    values, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(values, 1e-4)[:, :, None]) @ vectors.swapaxes(-1, -2)
    scale = np.sqrt(power.transpose(1, 2, 0) / np.diagonal(correlation, axis1=2, axis2=3))
    result = np.zeros((bands, number, len(sent.heard), len(sent.heard)))
    first, second = np.ix_(sent.heard, sent.heard)
    result[:, :, first, second] = correlation * scale[..., :, None] * scale[..., None, :]
    return result


def mixing_matrices(
    source: Float[ndarray, "*band channel channel"], target: Float[ndarray, "*band channel channel"]
) -> Float[ndarray, "*band channel channel"]:
    """Matrices M with M·source·Mᵀ = target that change the signals least, in units of the target's levels.

    M = S^-½ (S^½ T S^½)^½ S^-½, the optimal transport between two Gaussians (Olkin and Pukelsheim 1982).
    Directions that the source hardly has are not amplified beyond 18 dB.
    """
    deviation = np.sqrt(np.diagonal(target, axis1=-2, axis2=-1))
    heard = deviation > 0
    unit = np.where(heard, 1 / np.where(heard, deviation, 1), 0.0)
    s, t = (c * unit[..., :, None] * unit[..., None, :] for c in (source, target))
    values, vectors = np.linalg.eigh(s)
    floor = np.maximum(values, 1 / _MOST_GAIN**2)
    root, inverse = (vectors * (floor**p)[..., None, :] @ vectors.swapaxes(-1, -2) for p in (0.5, -0.5))
    inner_values, inner_vectors = np.linalg.eigh(root @ t @ root)
    middle = inner_vectors * np.sqrt(np.maximum(inner_values, 0))[..., None, :] @ inner_vectors.swapaxes(-1, -2)
    return deviation[..., :, None] * (inverse @ middle @ inverse) * unit[..., None, :]


class Restorer:
    """Applies the spatial layer packet after packet; what was applied last fades into what is applied next."""

    def __init__(self, hop: int, sample_rate_hz: int):
        self._hop = hop
        self._edges = band_edges(sample_rate_hz)
        self._matrices: ndarray | None = None
        self._gains_db: ndarray | None = None
        self._heard: ndarray | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        sent: Parameters | None,
        margin: int = 0,
    ) -> Float32[ndarray, "channel time"]:
        """Restore `length` samples of a packet.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with what is known on both sides of it, up to `REACH` samples.
        before : int
            Samples before the packet.
        length : int
        sent : Parameters, or None
            What was measured at the encoder; None if it is not known: the last matrices and gains stay.
        margin : int
            As in `measure`.
        """
        grid, half = _grid(length, self._hop, margin), WINDOW // 2
        # windows beyond the packet's ends reach into it, too
        centres = range(-HOP, length + half, HOP)
        spectra = _spectra(samples, range(before - HOP, before + length + half, HOP))
        of_packet = None
        if sent is not None:
            own = _parameters(spectra, 1, grid, self._edges)
            of_packet = mixing_matrices(*(targets(each, self._edges, grid.levels_of_slot) for each in (own, sent)))
        for slot, own_centres in enumerate(grid.slots):
            # the first slot begins with the window before it, the last one ends with those behind it
            begin = 0 if slot == 0 else own_centres.start // HOP + 1
            end = len(centres) if slot == len(grid.slots) - 1 else own_centres.stop // HOP + 1
            part = spectra[:, begin:end]
            if of_packet is not None:
                matrices = of_packet[:, slot]
            elif self._matrices is not None:
                matrices = self._matrices
            else:
                matrices = np.broadcast_to(np.eye(len(samples)), (BANDS, *(len(samples),) * 2))
            places = np.arange(begin, end) - 1 - own_centres.start // HOP
            spectra[:, begin:end] = self._mixed(part, matrices, places)
            self._matrices = matrices
        if sent is not None:
            self._match_levels(spectra, grid, sent)
            self._heard = sent.heard
        elif self._gains_db is not None:
            spectra[:, :, self._edges[0] :] *= _by_bin(10 ** (self._gains_db / 20), self._edges)[:, None]
        if self._heard is not None:
            spectra[~self._heard, :, : self._edges[0]] = 0
        frames = irfft(spectra, axis=2) * (_SHAPE / 2)
        result = np.zeros((len(samples), length + 2 * WINDOW), np.float32)
        for centre, frame in zip(centres, frames.swapaxes(0, 1), strict=True):
            result[:, centre + half : centre + half + WINDOW] += frame
        return result[:, WINDOW : WINDOW + length]

    def _mixed(
        self,
        spectra: Complex64[ndarray, "channel frame bin"],
        matrices: Float[ndarray, "band channel channel"],
        places: Int[ndarray, " frame"],
    ) -> Complex64[ndarray, "channel frame bin"]:
        """Spectra times the matrices; `places` counts the windows from the first of the slot.

        Windows 0 and 1 still have the matrices of the slot before, then a raised cosine leads over. The two behind
        a packet belong to the next one, which begins with these matrices.
        """
        result = spectra.copy()
        share = 0.5 - 0.5 * np.cos(np.pi * (np.clip(places - 1.5, 0, _FADE_WINDOWS) / _FADE_WINDOWS))
        fading = np.flatnonzero(share < 1)
        for band, (low, high) in enumerate(pairwise(self._edges[::2])):
            matrix = matrices[band].astype(np.float32)
            shape = (len(spectra), spectra.shape[1], high - low)
            mixed = product(matrix, _band(spectra, low, high)).view(np.complex64).reshape(shape)
            if self._matrices is not None and len(fading):
                earlier = (self._matrices[band] - matrices[band]).astype(np.float32)
                shape = (len(spectra), len(fading), high - low)
                change = product(earlier, _band(spectra[:, fading], low, high)).view(np.complex64).reshape(shape)
                mixed[:, fading] += (1 - share[fading]).astype(np.float32)[:, None] * change
            result[:, :, low:high] = mixed
        return result

    def _match_levels(
        self, spectra: Complex64[ndarray, "channel frame bin"], grid: _Grid, sent: Parameters
    ) -> None:
        """Bring the levels of the heard channels to those sent, by 12 dB at most, in place.

        The gains, in decibels, run in straight lines from centre to centre of the level slots. Windows 0 and 1
        still have the last gains of the packet before, and what comes behind the last centre has its gains.
        """
        heard = np.flatnonzero(sent.heard)
        gains_db = np.zeros((len(grid.levels), len(spectra), LEVEL_BANDS))
        for slot, measured in enumerate(grid.measured_levels):
            begin = measured.start // HOP + 1
            power = _levels(spectra[heard, begin : begin + len(measured)], self._edges)
            own_db = 10 * np.log10(np.maximum(power, _FLOOR))
            gains_db[slot, heard] = np.clip(sent.levels_db[:, :, slot] - own_db, -_MOST_LEVEL_DB, _MOST_LEVEL_DB)
        points = [(c.start + c.stop - HOP) / 2 / HOP for c in grid.levels]
        if self._gains_db is not None:
            points, gains_db = [1.0, *points], np.concatenate([self._gains_db[None], gains_db])
        places = np.clip(np.arange(spectra.shape[1]) - 1, points[0], points[-1])
        left = np.clip(np.searchsorted(points, places, "right") - 1, 0, max(len(points) - 2, 0))
        right = np.minimum(left + 1, len(points) - 1)
        where = np.array(points)
        share = (places - where[left]) / np.maximum(where[right] - where[left], 1e-9)
        for window in range(spectra.shape[1]):
            a, b, r = left[window], right[window], share[window]
            gain = 10 ** (((1 - r) * gains_db[a] + r * gains_db[b]) / 20)
            spectra[:, window, self._edges[0] :] *= _by_bin(gain, self._edges)
        self._gains_db = gains_db[-1]


def _by_bin(
    gains: Float[ndarray, "channel band"], edges: Int[ndarray, " edge"]
) -> Float32[ndarray, "channel bin"]:
    return np.repeat(gains, np.diff(edges), axis=1).astype(np.float32)
