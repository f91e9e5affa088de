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
    level_powers,
    window_grid,
    window_numbers,
    windowed_spectra,
)
from codec.side_info.parameter_coding import SpatialParameters

CONTEXT_SAMPLES = WINDOW // 2 + HOP  # on either side of a packet, that its restored samples depend on
_MIN_GAIN_DB, _MAX_GAIN_DB = -60.0, 24.0


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
        has_attacks: bool = False,
    ) -> Float32[ndarray, "channel length"]:
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
        has_attacks : bool
            Levels that change suddenly are matched twice.
        """
        # windows centred beyond the packet's ends overlap it, too
        centres = range(before - HOP, before + length + WINDOW // 2, HOP)
        grid, before_gains_db = window_grid(length, self._hop), self._last_gains_db
        self._last_gains_db = None if sent is None else np.zeros((len(samples), LEVEL_BANDS))
        result = np.zeros((len(samples), length), np.float32)
        audible = range(len(samples)) if sent is None else np.flatnonzero(sent.active)
        for row, channel in enumerate(audible):  # a channel at a time stays in the cache
            spectra = windowed_spectra(samples[channel : channel + 1], centres)
            if sent is not None and self._last_gains_db is not None:
                last_db = None if before_gains_db is None else before_gains_db[channel]
                self._last_gains_db[channel] = self._match_levels(
                    spectra, grid, sent.levels_db[row], last_db, 2 if has_attacks else 1
                )
            overlapped = _overlapped(irfft(spectra[0], axis=1) * (WINDOW_SHAPE / 2))
            result[channel] = overlapped[WINDOW - HOP : WINDOW - HOP + length]
        return result

    def _match_levels(
        self,
        spectra: Complex64[ndarray, "1 frame bin"],
        grid: WindowGrid,
        sent_db: Float[ndarray, "band slot"],
        last_gains_db: Float[ndarray, " band"] | None,
        passes: int,
    ) -> Float[ndarray, " band"]:
        """Bring the levels of a channel to those sent, in place; return its gains at the end of the packet.

        Levels are raised by 24 dB at most, because more would only amplify noise. They are lowered by up to 60 dB:
        the inverse KLT sets powers for slots of 0.74 s and fills them with noise, also where a slot has a pause.

        The gains, in decibels, are interpolated linearly between the centres of the level slots. Windows 0 and 1
        still have the last gains of the packet before, and after the last centre its gains are kept.

        A sound that begins at the edge of a slot gets half of the gain of the silence before it. A second pass
        raises the gain of its slot by what is then missing.
        """
        measured = [window_numbers(centres) for centres in grid.level_slots]
        measured = [range(n.start + 1, n.stop + 1) for n in measured]  # here, number 0 lies before the packet
        points = [(c.start + c.stop - HOP) / 2 / HOP for c in grid.level_slots]
        if last_gains_db is not None:
            points = [1.0, *points]
        positions = np.clip(np.arange(spectra.shape[1]) - 1, points[0], points[-1])
        left = np.clip(np.searchsorted(points, positions, "right") - 1, 0, max(len(points) - 2, 0))
        right = np.minimum(left + 1, len(points) - 1)
        knots = np.array(points)
        share = ((positions - knots[left]) / np.maximum(knots[right] - knots[left], 1e-9))[:, None]
        gains_db = np.zeros(sent_db.T.shape)
        for _ in range(passes):
            own_db = 10 * np.log10(np.maximum(level_powers(spectra, measured, self._edges)[0], MIN_POWER))
            corrected_db = np.clip(gains_db + (sent_db - own_db).T, _MIN_GAIN_DB, _MAX_GAIN_DB)
            change_db = corrected_db - gains_db
            if last_gains_db is not None:
                change_db = np.concatenate([last_gains_db[None], change_db])
                last_gains_db = np.zeros_like(last_gains_db)  # the next pass leaves them as they are
            gains = 10 ** (((1 - share) * change_db[left] + share * change_db[right]) / 20)
            spectra[0, :, self._edges[0] :] *= _by_bin(gains, self._edges)
            gains_db = corrected_db
        return gains_db[-1]


def _overlapped(frames: Float32[ndarray, "frame window"]) -> Float32[ndarray, " time"]:
    """Add up frames of `WINDOW` samples, each of which begins `HOP` samples after the one before."""
    quarters = frames.reshape(len(frames), WINDOW // HOP, HOP)
    result = np.zeros((len(frames) + WINDOW // HOP - 1, HOP), np.float32)
    for quarter in reversed(range(WINDOW // HOP)):  # the earliest frame first
        result[quarter : quarter + len(frames)] += quarters[:, quarter]
    return result.reshape(-1)


def _by_bin(gains: Float[ndarray, "window band"], edges: Int[ndarray, " edge"]) -> Float32[ndarray, "window bin"]:
    """Repeat the gain of each band for all of its bins."""
    return np.repeat(gains, np.diff(edges), axis=1).astype(np.float32)
