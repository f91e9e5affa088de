"""Slopes within the level bands above 4.6 kHz: a decoded spectrum without stairs at their edges.

What the network makes of a band has its own slope, and a gain for the whole band leaves a step at each edge. The
spectra of most sounds have none. So the spectrum of each channel in a slot is brought to a line, in decibels,
between the levels at the centres of the level bands, before these levels are restored. The power of each band
stays as it is.

This is an extension that the paper does not have.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.ndimage import correlate1d

from codec.side_info.coefficient_coding import CODED_BANDS

_FIRST_LEVEL_BAND = 2 * CODED_BANDS.stop  # two level bands are one of the others
_SMOOTHING = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25  # of the measured spectrum, over bins
_MAX_CHANGE_DB = 9.0
_MIN_POWER = 1e-20


def set_slopes(
    coefficients: Float32[ndarray, "channel frame bin"],
    levels_db: Float[ndarray, "channel level_band slot"],
    slot_of_frame: Int[ndarray, " frame-1"],
    edges: Int[ndarray, " edge"],
) -> None:
    """Bring the spectra of a packet to lines between the levels of their bands, in place.

    Parameters
    ----------
    coefficients : float32 (channel, frame, bin)
        Of the MDCT, those at the beginning of the packet included, which change like those of the first slot.
    levels_db : float (channel, level band, slot)
        Of the same channels.
    slot_of_frame : int (frame,)
        Slot of each frame but that at the beginning.
    edges : int (edge,)
        `codec.side_info.analysis.band_edges`.
    """
    first = edges[_FIRST_LEVEL_BAND]
    own_edges = np.minimum(edges[_FIRST_LEVEL_BAND:], coefficients.shape[2]) - first
    bins, centres = np.arange(first, coefficients.shape[2]), (edges[:-1] + edges[1:] - 1) / 2
    for slot in np.unique(slot_of_frame):
        frames = 1 + np.flatnonzero(slot_of_frame == slot)
        changed = slice(0 if slot == slot_of_frame[0] else frames[0], frames[-1] + 1)
        for own, own_levels_db in zip(coefficients, levels_db[:, :, slot], strict=True):
            power = np.square(own[frames], dtype=np.float64).mean(0)
            smooth = correlate1d(power, _SMOOTHING, mode="nearest")[first:] + _MIN_POWER
            change_db = np.interp(bins, centres, own_levels_db) - 10 * np.log10(smooth)
            power = power[first:] + _MIN_POWER
            for low, high in pairwise(own_edges):
                band = slice(low, high)
                after = (power[band] * 10 ** (change_db[band] / 10)).sum()
                change_db[band] -= 10 * np.log10(after / power[band].sum())
            gains = 10 ** (np.clip(change_db, -_MAX_CHANGE_DB, _MAX_CHANGE_DB) / 20)
            own[changed, first:] *= gains.astype(np.float32)
