"""How much loudness the 3.5 kHz low anchor removes: an anchor that sounds like the reference anchors nothing.

The model is Zwicker's stationary loudness in closed form (Zwicker and Fastl, "Psychoacoustics", chapters 6 and 8;
ISO 532-1 tabulates the same steps): power in 24 critical bands, masking slopes, the threshold in quiet, and the
specific loudness

    N' = 0.08 (E_TQ / E_0)^0.23 ((0.5 + 0.5 E / E_TQ)^0.23 - 1)  sone/Bark.

It serves for the ratio of two loudnesses of the same sound, in which errors of the calibration cancel.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LISTENING_DB_SPL = 65.0  # level that the rms of W is scaled to
LOW_ANCHOR_HZ = 3500.0
BANDS = 24
_STEP_BARK = 0.25
_GRID_HZ = np.geomspace(20, 20_000, 400)


def bark(frequency_hz: Float[ndarray, " bin"]) -> Float[ndarray, " bin"]:
    """Critical-band rate in Bark, 0 to about 24 (Zwicker and Terhardt 1980)."""
    khz = np.asarray(frequency_hz) / 1000
    return 13 * np.arctan(0.76 * khz) + 3.5 * np.arctan((khz / 7.5) ** 2)


def band_powers(
    power: Float[ndarray, "*time bin"], frequency_hz: Float[ndarray, " bin"]
) -> Float[ndarray, "*time band"]:
    """Power in each of the 24 critical bands, in the unit of `power`."""
    return power @ _band_of_bin(tuple(frequency_hz.tolist()))


@cache
def _band_of_bin(frequency_hz: tuple[float, ...]) -> Float[ndarray, "bin band"]:
    """Matrix with a 1 where a bin lies in a band."""
    band = np.minimum(bark(np.array(frequency_hz)).astype(int), BANDS - 1)
    return (band[:, None] == np.arange(BANDS)).astype(float)


def loudness(band_power: Float[ndarray, "*window band"]) -> Float[ndarray, "*window"]:
    """Loudness in sone of critical-band powers in units of (20 µPa)².

    Each band excites its own width and, along the masking slopes, its neighbours: 27 dB/Bark towards lower
    frequencies and 24 + 0.23 kHz/f - 0.2 L dB/Bark towards higher ones, L in dB (Terhardt 1979). At each place
    the largest excitation counts.
    """
    level_db = 10 * np.log10(np.maximum(band_power, 1e-12))
    places = np.arange(_STEP_BARK / 2, BANDS, _STEP_BARK)
    centres = np.arange(BANDS) + 0.5
    centre_khz = np.interp(centres, bark(_GRID_HZ), _GRID_HZ) / 1000
    excitation_db = np.full((*level_db.shape[:-1], len(places)), -100.0)
    for index, khz in enumerate(centre_khz):
        level = level_db[..., index, None]
        above, below = places - (index + 1), index - places
        slope = np.maximum(24 + 0.23 / khz - 0.2 * level, 1.0)
        spread = level - slope * np.maximum(above, 0) - 27 * np.maximum(below, 0)
        excitation_db = np.maximum(excitation_db, spread)
    quiet_db = threshold_in_quiet_db(np.interp(places, bark(_GRID_HZ), _GRID_HZ))
    ratio = 10 ** ((excitation_db - quiet_db) / 10)
    specific = 0.08 * 10 ** (0.023 * quiet_db) * ((0.5 + 0.5 * ratio) ** 0.23 - 1)
    return np.maximum(specific, 0).sum(axis=-1) * _STEP_BARK


def threshold_in_quiet_db(frequency_hz: Float[ndarray, " place"]) -> Float[ndarray, " place"]:
    """Threshold in quiet in dB SPL (Terhardt 1979)."""
    khz = np.asarray(frequency_hz) / 1000
    return 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4


def anchor_loss(
    band_power: Float[ndarray, "*window band"], low_passed: Float[ndarray, "*window band"]
) -> Float[ndarray, "*window"]:
    """Share of the loudness that is lost when everything above the anchor's cut-off is removed, 0 to 1.

    Both powers are scaled by the same factor, which brings the complete signal to `LISTENING_DB_SPL`.
    """
    total = np.maximum(band_power.sum(axis=-1, keepdims=True), 1e-30)
    scale = 10 ** (LISTENING_DB_SPL / 10) / total
    complete = loudness(band_power * scale)
    return np.maximum(1 - loudness(low_passed * scale) / np.maximum(complete, 1e-12), 0)
