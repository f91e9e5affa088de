"""How much noise belongs between the coefficients that are sent: none between partials, all in a noisy band.

Few coefficients of a noisy band are larger than the dead zone of the quantiser. Alone they sound like short tones
with holes between them ("musical noise", Cappé 1994), so that the holes must be filled with noise. Between the
partials of music and speech the same noise would be heard as noise. The decoder can tell one from the other: a
coefficient that belongs to a partial has neighbours in the frames before and after it, one of noise has them by
chance only. Partials closer together than 75 Hz, 3.5 coefficients, occupy all places and count as noise.

This is an extension that the paper does not have.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from codec.side_info.coefficient_coding import WIDE_BANDS, CodedCoefficients, CoefficientGrid

_PRIOR = 8.0  # of coefficients that have neighbours by chance only, where few are sent
_TONAL = 0.3  # excess of neighbours from which on a band is tonal


def noisiness(sent: CodedCoefficients, grid: CoefficientGrid) -> Float[ndarray, "slot band"]:
    """Noisiness of each slot and band that sends coefficients: 0 is tonal, 1 is noise.

    With N coefficients that are not 0 (counted once for each neighbouring frame), A of them with one that is not
    0 in the same place of that frame or beside it, and E expected if that frame had its own anywhere in its half
    of the band, it is 1 - (A - E) / (N - E + 8) / 0.3, limited to 0 and 1. It is 0 below `WIDE_BANDS`.

    Parameters
    ----------
    sent : CodedCoefficients
    grid : CoefficientGrid
    """
    result = np.zeros(sent.counts.shape)
    edges = grid.edges - grid.edges[0]
    for slot, band in np.argwhere(sent.counts):
        if band < WIDE_BANDS.start:
            continue
        frames = grid.slot_of_frame == slot
        own = sent.values[: sent.counts[slot, band], frames, edges[band] : edges[band + 1]] != 0
        halves = [_neighbours(half) for half in np.array_split(own, 2, axis=2)]
        found, expected, number = np.sum(halves, axis=0)
        excess = (found - expected) / (number - expected + _PRIOR)
        result[slot, band] = np.clip(1 - excess / _TONAL, 0, 1)
    return result


def _neighbours(sent: Bool[ndarray, "component frame bin"]) -> Float[ndarray, " 3"]:
    """Coefficients that have a neighbour in the next or previous frame, how many would by chance, and all."""
    near = sent.copy()
    near[:, :, 1:] |= sent[:, :, :-1]
    near[:, :, :-1] |= sent[:, :, 1:]
    share = near.mean(2, keepdims=True)
    pairs = ((sent[:, :-1], near[:, 1:], share[:, 1:]), (sent[:, 1:], near[:, :-1], share[:, :-1]))
    return np.sum([[(one & other).sum(), (one * chance).sum(), one.sum()] for one, other, chance in pairs], axis=0)
