"""Ear filters for Ambisonic channels: least squares below 1.5 kHz, magnitude least squares above.

A third-order scene cannot represent the phase of head-related responses above about 2 kHz, but it can represent
their magnitude (Schörkhuber, Zaunschirm & Höldrich 2018). Weighting the error by the inverse magnitude makes it a
compromise between absolute and relative error: the contralateral ear counts, which preserves the interaural level
difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.dsp.convolution import Filters
from render.dsp.erb import erb_edges_hz
from render.headphones.hrir import Head
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import sn3d_to_n3d, spherical_harmonics, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float

MAGNITUDE_ONLY_ABOVE_HZ = 1500.0
_LEAD_S = 1.5e-3  # before the onset, for the pre-ringing of magnitude filters
_PHASE_STEPS = 4  # alternations between phase and filter at each frequency
_REGULARISATION = 1e-4  # of the mean eigenvalue
_MAX_CONDITION = 1e3
_ERB_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 36, 50.0, 20_000.0


def ear_filters(head: Head, order: int) -> Filters:
    """Design filters from ACN/SN3D channels to the ears; time 0 is the mean onset of the head's responses.

    Raises
    ------
    InputError
        If the directions of the head do not determine the order, or a response is silent.
    """
    onset = _mean_onset(head)
    lead = round(_LEAD_S * head.sample_rate_hz)
    length = lead + head.impulses.shape[-1]
    size = 1 << length.bit_length()
    # The phase is continued from one frequency to the next; without the common delay it stays at the onset
    common_delay_removed = np.exp(2j * np.pi * np.fft.rfftfreq(size) * onset)
    target = np.fft.rfft(head.impulses, size, axis=-1) * common_delay_removed
    harmonics = spherical_harmonics(order, head.azimuth_rad, head.elevation_rad) * sn3d_to_n3d(order)
    _check_coverage(harmonics, order)
    area = _areas(head)
    bins = np.fft.rfftfreq(size, 1 / head.sample_rate_hz)
    channels = harmonics.shape[1]
    spectra = np.zeros((2, channels, len(bins)), np.complex128)
    for ear in range(2):
        fitted = np.zeros(channels, np.complex128)
        for index, hz in enumerate(bins):
            wanted = target[:, ear, index]
            magnitude = np.abs(wanted)
            weight = area / np.maximum(magnitude, 0.05 * max(magnitude.mean(), 1e-12))
            weighted = harmonics.T * weight
            normal = weighted @ harmonics
            inverse = np.linalg.inv(normal + np.eye(channels) * (_REGULARISATION * np.trace(normal) / channels))
            if hz <= MAGNITUDE_ONLY_ABOVE_HZ:
                fitted = inverse @ (weighted @ wanted)
            else:
                for _ in range(_PHASE_STEPS):
                    response = harmonics @ fitted
                    fitted = inverse @ (weighted @ (magnitude * response / np.maximum(np.abs(response), 1e-12)))
            spectra[ear, :, index] = fitted
    taps = np.roll(np.fft.irfft(spectra, size, axis=-1), lead, axis=-1)[..., :length]
    taps *= _faded(length, lead // 2, 2 * lead)
    return Filters(taps * sn3d_to_n3d(order)[:, None], lead)


def speaker_filters(head: Head) -> Filters:
    """Filters from virtual loudspeakers, one per direction of the head, to its ears; time 0 as above."""
    onset = _mean_onset(head)
    lead = min(round(_LEAD_S * head.sample_rate_hz), round(onset))
    return Filters(head.impulses[..., round(onset) - lead :].transpose(1, 0, 2), lead)


def _mean_onset(head: Head) -> float:
    """Mean over directions and ears of the first sample that reaches a tenth of the peak."""
    magnitude = np.abs(head.impulses)
    peak = magnitude.max(axis=-1, keepdims=True)
    if not peak.all():
        raise InputError("one of the head-related responses is silent; export the SOFA file again")
    return float(np.argmax(magnitude >= 0.1 * peak, axis=-1).mean())


def _check_coverage(harmonics: ndarray, order: int) -> None:
    directions, channels = harmonics.shape
    condition = np.linalg.cond(harmonics) if directions >= channels else np.inf
    if condition > _MAX_CONDITION:
        raise InputError(
            f"{directions} directions of the head do not determine order {order} (condition {condition:.0f}): "
            "they are too few or leave out a part of the sphere; use another set or a lower order"
        )


def _areas(head: Head) -> Float[ndarray, " direction"]:
    """Share of the sphere that each direction stands for: the inverse density of directions around it."""
    measured = unit_vectors(head.azimuth_rad, head.elevation_rad)
    sharpness = len(measured) / 4  # of a bell as wide as the area of four directions
    rows = np.array_split(measured, -(-len(measured) // 1000))
    density = np.concatenate([np.exp(sharpness * (row @ measured.T - 1)).sum(axis=1) for row in rows])
    return 1 / density / (1 / density).sum()


def _faded(length: int, rise: int, fall: int) -> ndarray:
    window = np.ones(length)
    window[:rise] = np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise) ** 2
    window[length - fall :] = np.cos(np.pi / 2 * (np.arange(fall) + 0.5) / fall) ** 2
    return window


@dataclass(frozen=True)
class HeadErrors:
    """Mean absolute errors over directions, ears and 36 ERB bands from 50 Hz to 20 kHz, in dB.

    Attributes
    ----------
    magnitude_db : float
    magnitude_below_1500_hz_db : float
    ild_db : float
        Error of the level difference between left and right.
    """

    magnitude_db: float
    magnitude_below_1500_hz_db: float
    ild_db: float


def errors(head: Head, filters: Filters) -> HeadErrors:
    """Compare plane waves rendered through ear filters with the head's own responses."""
    order = order_of(filters.taps.shape[1])
    size = 1 << (max(filters.taps.shape[2], head.impulses.shape[2]) - 1).bit_length()
    hz = np.fft.rfftfreq(size, 1 / head.sample_rate_hz)
    edges_hz = erb_edges_hz(_LOWEST_HZ, min(_HIGHEST_HZ, hz[-1]), _ERB_BANDS)
    bands = [(hz >= low) & (hz < high) for low, high in pairwise(edges_hz)]
    kept = [band.any() for band in bands]
    selection = np.array([band for band in bands if band.any()], float).T
    centre_hz = ((edges_hz[1:] + edges_hz[:-1]) / 2)[kept]
    waves = spherical_harmonics(order, head.azimuth_rad, head.elevation_rad)
    rendered = np.einsum("da,eab->deb", waves, np.fft.rfft(filters.taps, size, axis=-1))
    found, wanted = (
        10 * np.log10(np.maximum(np.square(np.abs(response)) @ selection, 1e-20))
        for response in (rendered, np.fft.rfft(head.impulses, size, axis=-1))
    )
    magnitude = np.abs(found - wanted).mean(axis=(0, 1))
    ild = np.abs((found[:, 0] - found[:, 1]) - (wanted[:, 0] - wanted[:, 1]))
    return HeadErrors(float(magnitude.mean()), float(magnitude[centre_hz < 1500].mean()), float(ild.mean()))
