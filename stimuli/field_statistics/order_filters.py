"""Corner frequencies of the high-pass that a spherical microphone's encoder applies to each order."""

from __future__ import annotations

from math import isqrt

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.hoa.spherical_harmonics import acn_orders
from stimuli.em32 import microphone

_FLOOR_DB = -30.0  # below this level an order holds leakage rather than signal, and the fit ignores the difference
_MAX_ERROR_DB = 2.0  # mean absolute error of a fit that counts


def corner_frequencies(
    power: Float[ndarray, "frequency acn"], frequency_hz: Float[ndarray, " frequency"]
) -> dict[int, float]:
    """-3 dB points in Hz of the high-pass of each order n >= 2.

    A Butterworth magnitude of order n + 2 is fitted, with and without the leakage caused by a typical mismatch
    between capsules, to the energy of the order relative to orders 0 and 1 (mean absolute error in dB over sixths
    of an octave). An order without a high-pass above 150 Hz, or with one of another shape, has no entry.

    Parameters
    ----------
    power : float (frequency, acn)
        Power of each channel, SN3D.
    frequency_hz : float (frequency,)
    """
    orders = acn_orders(isqrt(power.shape[1]) - 1)
    centres_hz = np.geomspace(120, 5000, 33)
    candidates_hz = np.geomspace(100, 4000, 512)[:, None]
    octaves = np.log2(np.maximum(frequency_hz, 1.0) / centres_hz[:, None])
    weights = (np.abs(octaves) <= 1 / 6).astype(float)
    lower = weights @ power[:, orders <= 1].sum(axis=1) / 2
    corners_hz = {}
    for n in range(2, min(orders[-1], microphone.ENCODER_ORDER) + 1):
        level_db = 10 * np.log10((weights @ power[:, orders == n].sum(axis=1) + 1e-30) / (lower + 1e-30))
        fits = []
        for mismatch in (True, False):
            model_db = 10 * np.log10(microphone.order_energy(n, centres_hz, candidates_hz, mismatch))
            measured_db, model_db = np.maximum(level_db, _FLOOR_DB), np.maximum(model_db, _FLOOR_DB)
            error = np.abs(measured_db - model_db).mean(axis=1)
            fits.append((error.min(), candidates_hz[np.argmin(error), 0]))
        error_db, corner_hz = min(fits)
        if error_db < _MAX_ERROR_DB and corner_hz > 150:
            corners_hz[n] = float(corner_hz)
    return corners_hz
