"""Ambisonic room responses: filters from them, their reverberation time, and how they are damped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.common.errors import InputError
from render.dsp.convolution import Filters
from render.fileio.scene_file import scene_info, scene_samples
from render.hoa.spherical_harmonics import yaw_matrix

MAX_RESPONSE_S = 20.0


def rotated_filters(response: Path, azimuths_deg: Sequence[float]) -> tuple[Filters, int]:
    """Filters from clips to Ambisonic channels: one room response, rotated about the vertical axis for each clip.

    The response is scaled to unit energy in W.

    Parameters
    ----------
    response : Path
        Ambisonic room response (ACN/SN3D) of one source, of at most 20 s.
    azimuths_deg : sequence of float
        Rotation of each clip's filters, anticlockwise.

    Returns
    -------
    filters : Filters
        Taps (acn, clip, time).
    sample_rate_hz : int

    Raises
    ------
    InputError
        If the channels are not those of an order, or the response is too long or silent in W.
    """
    about = scene_info(response)
    order = about.ambisonic_order
    if about.duration_s > MAX_RESPONSE_S:
        raise InputError(
            f"{response}: {about.duration_s:.1f} s; a room response of at most {MAX_RESPONSE_S:g} s is needed"
        )
    taps = scene_samples(response)[0].astype(np.float64)
    energy = np.square(taps[0]).sum()
    if energy <= 1e-12:
        raise InputError(f"{response}: W is silent; is it a room response?")
    rotated = [yaw_matrix(order, np.deg2rad(azimuth)) @ taps for azimuth in azimuths_deg]
    return Filters(np.stack(rotated, axis=1) / np.sqrt(energy)), about.sample_rate_hz


def reverberation_time_s(response: Float[ndarray, " time"], sample_rate_hz: int) -> float:
    """Time in which sound decays by 60 dB: T20, a line through -5 to -25 dB of the energy decay (ISO 3382-2).

    Raises
    ------
    InputError
        If the response does not decay by 25 dB.
    """
    decay = np.cumsum(np.square(response[::-1]))[::-1]
    decay_db = 10 * np.log10(decay / decay[0] + 1e-30)
    first, last = (int(np.argmax(decay_db < level)) for level in (-5, -25))
    if last <= first + 1:
        raise InputError("the room response does not decay by 25 dB; its reverberation time cannot be measured")
    slope = np.polyfit(np.arange(first, last) / sample_rate_hz, decay_db[first:last], 1)[0]
    return float(-60 / slope)


def damped(
    taps: Float[ndarray, "acn time"], sample_rate_hz: int, reverberation_s: float
) -> Float[ndarray, "acn time"]:
    """Shorten the reverberation time of a response to `reverberation_s`; a response with a shorter one is kept.

    The decay becomes steeper after the largest tap of W, in all channels alike.
    """
    present_s = reverberation_time_s(taps[0], sample_rate_hz)
    if reverberation_s >= present_s:
        return taps
    after_peak = np.maximum(np.arange(taps.shape[1]) - int(np.argmax(np.abs(taps[0]))), 0)
    return taps * 10 ** (-3 * (after_peak / sample_rate_hz) * (1 / reverberation_s - 1 / present_s))
