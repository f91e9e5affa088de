"""Restore the levels of the decoded channels to those that were sent as side information."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int
from numpy import ndarray
from scipy.fft import irfft

from codec.side_info.analysis import (
    HOP,
    LEVEL_BANDS,
    MIN_POWER,
    WINDOW,
    WINDOW_SHAPE,
    WindowGrid,
    band_edges,
    band_powers,
    window_grid,
    windowed_spectra,
)
from codec.side_info.parameter_coding import SpatialParameters

CONTEXT_SAMPLES = WINDOW // 2 + HOP  # on either side of a packet, that its restored samples depend on
_MIN_GAIN_DB, _MAX_GAIN_DB = -60.0, 12.0


class LevelRestorer:
    """Restores the levels of packet after packet; the gains at the end of one lead over to those of the next.

    A packet without parameters is passed on unchanged.

    Parameters
    ----------
    hop : int
        Samples per frame of the codec.
    sample_rate_hz : int
    """

    def __init__(self, hop: int, sample_rate_hz: int):
        self._hop = hop
        self._edges = band_edges(sample_rate_hz)
        self._last_gains_db: ndarray | None = None

    def restore(
        self,
        samples: Float32[ndarray, "channel time"],
        before: int,
        length: int,
        sent: SpatialParameters | None,
    ) -> Float32[ndarray, "channel time"]:
        """Restore the `length` samples of a packet.

        Parameters
        ----------
        samples : float32 (channel, time)
            The packet with up to `CONTEXT_SAMPLES` samples of what comes before and after it.
        before : int
            Number of samples before the packet.
        length : int
            Samples of the packet.
        sent : SpatialParameters or None
            Decoded side information; None if the packet has none.
        """
        grid, half = window_grid(length, self._hop, 0), WINDOW // 2
        # windows centred beyond the packet's ends overlap it, too
        centres = range(-HOP, length + half, HOP)
        spectra = windowed_spectra(samples, range(before - HOP, before + length + half, HOP))
        if sent is not None:
            self._match_levels(spectra, grid, sent)
            spectra[~sent.active] = 0
        else:
            self._last_gains_db = None
        frames = irfft(spectra, axis=2) * (WINDOW_SHAPE / 2)
        result = np.zeros((len(samples), length + 2 * WINDOW), np.float32)
        for centre, frame in zip(centres, frames.swapaxes(0, 1), strict=True):
            result[:, centre + half : centre + half + WINDOW] += frame
        return result[:, WINDOW : WINDOW + length]

    def _match_levels(
        self, spectra: Complex64[ndarray, "channel frame bin"], grid: WindowGrid, sent: SpatialParameters
    ) -> None:
        """Bring the levels of the active channels to those sent, in place.

        Levels are raised by 12 dB at most, because more would only amplify noise. They are lowered by up to 60 dB:
        the inverse KLT sets powers for slots of 0.74 s and fills them with noise, also where a slot has a pause.

        The gains, in decibels, are interpolated linearly between the centres of the level slots. Windows 0 and 1
        still have the last gains of the packet before, and after the last centre its gains are kept.
        """
        active = np.flatnonzero(sent.active)
        gains_db = np.zeros((len(grid.level_slots), len(spectra), LEVEL_BANDS))
        for slot, measured in enumerate(grid.measured_level_slots):
            begin = measured.start // HOP + 1
            power = band_powers(spectra[active, begin : begin + len(measured)], self._edges)
            own_db = 10 * np.log10(np.maximum(power, MIN_POWER))
            gains_db[slot, active] = np.clip(sent.levels_db[:, :, slot] - own_db, _MIN_GAIN_DB, _MAX_GAIN_DB)
        points = [(c.start + c.stop - HOP) / 2 / HOP for c in grid.level_slots]
        if self._last_gains_db is not None:
            points, gains_db = [1.0, *points], np.concatenate([self._last_gains_db[None], gains_db])
        positions = np.clip(np.arange(spectra.shape[1]) - 1, points[0], points[-1])
        left = np.clip(np.searchsorted(points, positions, "right") - 1, 0, max(len(points) - 2, 0))
        right = np.minimum(left + 1, len(points) - 1)
        knots = np.array(points)
        share = (positions - knots[left]) / np.maximum(knots[right] - knots[left], 1e-9)
        for window in range(spectra.shape[1]):
            a, b, r = left[window], right[window], share[window]
            gain = 10 ** (((1 - r) * gains_db[a] + r * gains_db[b]) / 20)
            spectra[:, window, self._edges[0] :] *= _by_bin(gain, self._edges)
        self._last_gains_db = gains_db[-1]


def _by_bin(
    gains: Float[ndarray, "channel band"], edges: Int[ndarray, " edge"]
) -> Float32[ndarray, "channel bin"]:
    """Repeat the gain of each band for all of its bins."""
    return np.repeat(gains, np.diff(edges), axis=1).astype(np.float32)
