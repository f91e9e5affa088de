"""What the spatial layer says is given to the decoded signal: the image and the levels of the channels.

The decoder measures levels and correlations of its own and mixes its channels, band by band, by the matrices that
bring them to those sent with the least change to the waveforms; then it brings the levels of the channels to those
sent.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import irfft

from codec.spatial import (
    BANDS,
    HOP,
    LEVEL_BANDS,
    POWER_FLOOR,
    SHAPE,
    WINDOW,
    Grid,
    band_edges,
    band_parts,
    band_powers,
    grid_of,
    parameters,
    product,
    windowed_spectra,
)  # fmt: skip
from codec.spatial_code import Parameters

_FADE_WINDOWS = 12  # of the matrices of one slot into those of the next
_MOST_GAIN = 8.0  # of any direction in channel space
_MOST_LEVEL_DB = 12.0  # correction of a level


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
        grid, half = grid_of(length, self._hop, margin), WINDOW // 2
        # windows beyond the packet's ends reach into it, too
        centres = range(-HOP, length + half, HOP)
        spectra = windowed_spectra(samples, range(before - HOP, before + length + half, HOP))
        of_packet = None
        if sent is not None:
            own = parameters(spectra, 1, grid, self._edges)
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
        frames = irfft(spectra, axis=2) * (SHAPE / 2)
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
            mixed = product(matrix, band_parts(spectra, low, high)).view(np.complex64).reshape(shape)
            if self._matrices is not None and len(fading):
                earlier = (self._matrices[band] - matrices[band]).astype(np.float32)
                shape = (len(spectra), len(fading), high - low)
                change = (
                    product(earlier, band_parts(spectra[:, fading], low, high)).view(np.complex64).reshape(shape)
                )
                mixed[:, fading] += (1 - share[fading]).astype(np.float32)[:, None] * change
            result[:, :, low:high] = mixed
        return result

    def _match_levels(
        self, spectra: Complex64[ndarray, "channel frame bin"], grid: Grid, sent: Parameters
    ) -> None:
        """Bring the levels of the heard channels to those sent, by 12 dB at most, in place.

        The gains, in decibels, run in straight lines from centre to centre of the level slots. Windows 0 and 1
        still have the last gains of the packet before, and what comes behind the last centre has its gains.
        """
        heard = np.flatnonzero(sent.heard)
        gains_db = np.zeros((len(grid.levels), len(spectra), LEVEL_BANDS))
        for slot, measured in enumerate(grid.measured_levels):
            begin = measured.start // HOP + 1
            power = band_powers(spectra[heard, begin : begin + len(measured)], self._edges)
            own_db = 10 * np.log10(np.maximum(power, POWER_FLOOR))
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
