"""Fine structure of spectra and envelopes: what a codec keeps of a signal beyond the levels in bands.

Levels, correlations and energies in bands of frequency and in slots of time can be sent as parameters, and noise
then has them. The two correlations here remove what such parameters say and compare the rest. The *fine structure
of the spectrum* is the log spectrum of a frame of 46 ms without its smooth envelope: partials of instruments and
harmonics of voices. That of the *envelope* is the specific loudness of a band every 5.8 ms without its course over
50 ms: attacks, glottal pulses, beats. Signals are W, the two ears of a rigid sphere, and the 7.1.4 feeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray
from scipy.ndimage import correlate1d

from analysis.metrics.framing import CHUNK, CONTEXT, WINDOW, Segment, accumulate, erb_band_edges, frames_in, hann
from analysis.metrics.interaural import ear_filters
from analysis.metrics.spectral import loudspeaker_matrix

RANGES_HZ = {"mid": (900.0, 4500.0), "high": (4500.0, 12_000.0)}
"""Ranges of frequency: the ERB bands whose centres lie in them."""
GROUPS = ("W", "ears", "ls")
"""Groups of signals: W, both ears, the 11 loudspeakers of 7.1.4 without the LFE."""
SMOOTHING_BINS = 31
"""Taps of the Hann window that smooths the log spectrum over frequency: half of its weight lies within 245 Hz."""
ENVELOPE_WINDOW, ENVELOPE_HOP = 512, 256
SMOOTHING_FRAMES = 15
"""Taps of the Hann window that smooths an envelope over time: half of its weight lies within 34 ms."""
LOUDNESS_EXPONENT = 0.3
"""Loudness grows with this power of the power (Stevens 1957: sones with the 0.6th power of the pressure)."""
_FLOOR = 1e-12
"""Power at which log spectra are clamped, re that of a full-scale sine: -120 dB."""
_REACH = SMOOTHING_BINS // 2


@dataclass(frozen=True, eq=False)
class FineStructure:
    """Fine structure of one segment, per signal, frame, and bin or band; a tuple has an entry for each group.

    Attributes
    ----------
    spectrum_db : tuple of float32 (signal, frame, bin)
        Log spectrum without its smooth envelope, in the bins of `bands`.
    loudness : tuple of float32 (signal, frame, band)
        Power of each band to `LOUDNESS_EXPONENT`: the weight of a frame.
    envelope : tuple of float32 (signal, frame, band)
        Specific loudness every `ENVELOPE_HOP` samples without its course over time.
    sample_rate_hz : int
    """

    spectrum_db: tuple[Float32[ndarray, "signal frame bin"], ...]
    loudness: tuple[Float32[ndarray, "signal frame band"], ...]
    envelope: tuple[Float32[ndarray, "signal frame band"], ...]
    sample_rate_hz: int


@dataclass(frozen=True, eq=False)
class FineSums:
    """Sums Σxx, Σxy, Σyy over signals and time: of the spectra (weighted) and of the envelopes."""

    spectrum: Float64[ndarray, "group band 3"]
    envelope: Float64[ndarray, "group band 3"]
    sample_rate_hz: int

    def __add__(self, other: FineSums) -> FineSums:
        return FineSums(self.spectrum + other.spectrum, self.envelope + other.envelope, self.sample_rate_hz)


@cache
def bands(sample_rate_hz: int, window: int) -> tuple[list[slice], list[float]]:
    """Return those ERB bands whose centres lie in `RANGES_HZ` as slices of bins, and their centres in Hz."""
    edges = erb_band_edges(sample_rate_hz, window)
    found = [slice(int(low), int(high)) for low, high in pairwise(edges)]
    centres = [(of.start + of.stop) / 2 * sample_rate_hz / window for of in found]
    low, high = RANGES_HZ["mid"][0], RANGES_HZ["high"][1]
    inside = [index for index, centre in enumerate(centres) if low <= centre < high]
    return [found[index] for index in inside], [centres[index] for index in inside]


def describe(segment: Segment) -> FineStructure:
    """Return the fine structure of a segment."""
    rate_hz = segment.sample_rate_hz
    spectral_bands, _ = bands(rate_hz, WINDOW)
    first = spectral_bands[0].start if spectral_bands else 0
    last = spectral_bands[-1].stop if spectral_bands else 0
    around = slice(max(first - _REACH, 0), min(last + _REACH, WINDOW // 2 + 1))
    powers = _powers(segment.field, around, WINDOW, segment)
    smooth = hann(SMOOTHING_BINS + 1)[1:] / np.float32((SMOOTHING_BINS + 1) / 2)
    spectra_db, loudness = [], []
    for power in powers:
        level_db = np.float32(10 / np.log(10)) * np.log(np.maximum(power, _FLOOR * (WINDOW / 4) ** 2))
        fine = level_db - correlate1d(level_db, smooth, axis=2, mode="nearest") if level_db.size else level_db
        spectra_db.append(fine[:, :, first - around.start : last - around.start])
        loudness.append(_loudness(power, spectral_bands, around.start))
    return FineStructure(tuple(spectra_db), tuple(loudness), _envelopes(segment), rate_hz)


def _powers(
    spectrum: Complex64[ndarray, "acn frame bin"], bins: slice, window: int, segment: Segment
) -> list[Float32[ndarray, "signal frame bin"]]:
    """Power spectra of W, the ears and the loudspeakers in some bins."""
    part = np.ascontiguousarray(spectrum[:, :, bins])
    # the filters of the ears are short against a window: their response at its bins is enough
    filters = ear_filters(segment.order, segment.sample_rate_hz)[:: WINDOW // window][bins]
    ears = (filters @ part.transpose(2, 0, 1)).transpose(1, 2, 0)
    decoder, flat = loudspeaker_matrix(segment.order), part.view(np.float32)
    feeds = (decoder @ flat.reshape(len(flat), -1)).reshape(len(decoder), *flat.shape[1:]).view(np.complex64)
    return [np.square(of.real) + np.square(of.imag) for of in (part[:1], ears, feeds)]


def _loudness(power: Float32[ndarray, "signal frame bin"], of_bands: list[slice], first: int) -> ndarray:
    """Power of each band, compressed; `power` begins at bin `first`."""
    summed = [power[:, :, band.start - first : band.stop - first].sum(axis=2) for band in of_bands]
    if not summed:
        return np.zeros((*power.shape[:2], 0), np.float32)
    return np.stack(summed, axis=2) ** np.float32(LOUDNESS_EXPONENT)


def _envelopes(segment: Segment) -> tuple[Float32[ndarray, "signal frame band"], ...]:
    """Specific loudness of each group without its course over time; frames beyond the ends smooth it, too."""
    of_bands, _ = bands(segment.sample_rate_hz, ENVELOPE_WINDOW)
    bins = slice(of_bands[0].start, of_bands[-1].stop) if of_bands else slice(0, 0)
    reach = SMOOTHING_FRAMES // 2
    begin = CONTEXT - ENVELOPE_WINDOW // 2 - reach * ENVELOPE_HOP
    views = np.lib.stride_tricks.sliding_window_view(segment.extended[:, begin:], ENVELOPE_WINDOW, axis=1)
    views = views[:, ::ENVELOPE_HOP][:, : frames_in(segment, ENVELOPE_HOP) + 2 * reach]
    parts: list[list[ndarray]] = [[] for _ in GROUPS]
    step = CHUNK // ENVELOPE_WINDOW
    for first in range(0, views.shape[1], step):
        frames = views[:, first : first + step] * hann(ENVELOPE_WINDOW)
        spectrum = scipy.fft.rfft(frames, axis=2, overwrite_x=True)
        for part, power in zip(parts, _powers(spectrum, bins, ENVELOPE_WINDOW, segment), strict=True):
            part.append(_loudness(power, of_bands, bins.start))
    smooth = hann(SMOOTHING_FRAMES + 1)[1:] / np.float32((SMOOTHING_FRAMES + 1) / 2)
    found = []
    for part in parts:
        loudness = np.concatenate(part, axis=1)
        course = correlate1d(loudness, smooth, axis=1) if loudness.size else loudness
        found.append((loudness - course)[:, reach : loudness.shape[1] - reach])
    return tuple(found)


def compare(reference: FineStructure, test: FineStructure) -> FineSums:
    """Return the sums of a segment; a frame of a spectrum has the weight of its loudness in the reference."""
    spectral_bands, _ = bands(reference.sample_rate_hz, WINDOW)
    first = spectral_bands[0].start if spectral_bands else 0
    spectrum, envelope = [], []
    for group in range(len(GROUPS)):
        x, y, weight = reference.spectrum_db[group], test.spectrum_db[group], reference.loudness[group]
        sums = []
        for number, band in enumerate(spectral_bands):
            bins = slice(band.start - first, band.stop - first)
            a, b = x[:, :, bins], y[:, :, bins]
            products = (np.einsum("sfb,sfb->sf", p, q) for p, q in ((a, a), (a, b), (b, b)))
            sums.append([np.vdot(product, weight[:, :, number].astype(np.float64)) for product in products])
        spectrum.append(np.array(sums, np.float64).reshape(-1, 3))
        x, y = (of.envelope[group].astype(np.float64) for of in (reference, test))
        envelope.append(np.stack([(p * q).sum(axis=(0, 1)) for p, q in ((x, x), (x, y), (y, y))], axis=-1))
    return FineSums(np.stack(spectrum), np.stack(envelope), reference.sample_rate_hz)


def conclude(sums: FineSums) -> dict[str, float | None]:
    """Return the correlations in each band, mean over the bands of each of `RANGES_HZ`.

    Returns
    -------
    dict
        ``fine_<group>_<range>`` of the spectra and ``env_<group>_<range>`` of the envelopes, for `GROUPS` and
        `RANGES_HZ`. A test that is silent in a band has the correlation 0 there; None if the reference is silent
        in the range, or the sample rate has no such band.
    """
    found: dict[str, float | None] = {}
    for kind, of_kind, window in (
        ("fine", sums.spectrum, WINDOW), ("env", sums.envelope, ENVELOPE_WINDOW),
    ):  # fmt: skip
        centres = np.array(bands(sums.sample_rate_hz, window)[1])
        for group, (name, (low, high)) in ((g, r) for g in range(len(GROUPS)) for r in RANGES_HZ.items()):
            xx, xy, yy = of_kind[group].T
            heard = (centres >= low) & (centres < high) & (xx > 0)
            norm = np.sqrt(xx * yy)
            correlation = np.divide(xy, norm, where=norm > 0, out=np.zeros_like(xy))
            mean = float(correlation[heard].mean()) if heard.any() else None
            found[f"{kind}_{GROUPS[group]}_{name}"] = mean
    return found


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the correlations of the fine structure of two scenes in memory; see `conclude`.

    Parameters
    ----------
    reference, test : float32 (acn, time)
        Aligned ACN/SN3D scenes of equal shape.
    sample_rate_hz : int

    Raises
    ------
    ValueError
        If the shapes differ, or if the scenes are shorter than `analysis.metrics.framing.SHORTEST`.
    """
    return conclude(accumulate(describe, compare, reference, test, sample_rate_hz))
