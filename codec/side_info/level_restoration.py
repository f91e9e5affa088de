"""The levels that the spatial layer says are given to the decoded channels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import irfft

from codec.side_info.analysis import (
    HOP,
    LEVEL_BANDS,
    POWER_FLOOR,
    SHAPE,
    WINDOW,
    Grid,
    band_edges,
    band_powers,
    grid_of,
    windowed_spectra,
)
from codec.side_info.parameter_coding import Parameters

_LEAST_DB, _MOST_DB = -60.0, 12.0  # correction of a level


class Restorer:
    """Brings levels to those sent, packet after packet; the last gains of one lead to the first of the next.

    A packet whose layer says nothing is passed on as it is.
    """

    def __init__(self, hop: int, sample_rate_hz: int):
        self._hop = hop
        self._edges = band_edges(sample_rate_hz)
        self._gains_db: ndarray | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        sent: Parameters | None,
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
            What the layer says.
        """
        grid, half = grid_of(length, self._hop, 0), WINDOW // 2
        # windows beyond the packet's ends reach into it, too
        centres = range(-HOP, length + half, HOP)
        spectra = windowed_spectra(samples, range(before - HOP, before + length + half, HOP))
        if sent is not None:
            self._match_levels(spectra, grid, sent)
            spectra[~sent.heard] = 0
        else:
            self._gains_db = None
        frames = irfft(spectra, axis=2) * (SHAPE / 2)
        result = np.zeros((len(samples), length + 2 * WINDOW), np.float32)
        for centre, frame in zip(centres, frames.swapaxes(0, 1), strict=True):
            result[:, centre + half : centre + half + WINDOW] += frame
        return result[:, WINDOW : WINDOW + length]

    def _match_levels(
        self, spectra: Complex64[ndarray, "channel frame bin"], grid: Grid, sent: Parameters
    ) -> None:
        """Bring the levels of the heard channels to those sent, in place.

        They are raised by 12 dB at most: what is not there would become noise. They are lowered as far as it
        takes: power and noise of the components are those of a slot of 0.74 s, and fill a pause in it.

        The gains, in decibels, run in straight lines from centre to centre of the level slots. Windows 0 and 1
        still have the last gains of the packet before, and what comes behind the last centre has its gains.
        """
        heard = np.flatnonzero(sent.heard)
        gains_db = np.zeros((len(grid.levels), len(spectra), LEVEL_BANDS))
        for slot, measured in enumerate(grid.measured_levels):
            begin = measured.start // HOP + 1
            power = band_powers(spectra[heard, begin : begin + len(measured)], self._edges)
            own_db = 10 * np.log10(np.maximum(power, POWER_FLOOR))
            gains_db[slot, heard] = np.clip(sent.levels_db[:, :, slot] - own_db, _LEAST_DB, _MOST_DB)
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
