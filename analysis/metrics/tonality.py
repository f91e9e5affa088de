"""Partials that drown in noise, and lines that a codec adds: the tonal side of W.

*Partials* are the stable peaks of the reference's shared spectrum. Where a codec sends levels in bands and fills
them with noise, a partial keeps the level of its band, but no longer stands out of its surroundings.

*Lines* are at multiples of the sample rate over a hop: a decoder that upsamples by transposed convolutions repeats
its weights with each of its strides, and what is constant in them sounds as tones at multiples of the rate of the
frames of that stage. For the published codec's strides of 8, 8, 4 and 2 at 44.1 kHz these are 86, 689, 5513 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CONTEXT, HOP, WINDOW, Segment, accumulate, frames_in, hann

PARTIALS_HZ = (150.0, 10_000.0)
PARTIAL_DB = 15.0
"""A peak is a partial if it stands out by so much in three frames, each a half of the window apart."""
LIMIT_DB = 30.0
"""Ratios of tone to noise beyond this, and under 0 dB, count as the limit."""
LINE_HOPS = (64, 128, 256)
"""Samples between repetitions whose lines are measured; of 128 and 256 the odd multiples alone."""
LINE_WINDOW = 4096
"""Window of the lines, longer than the shared spectrum's, as lines are steady; half of it is the hop."""
LINES_UP_TO_HZ = 16_000.0
_APART = WINDOW // 2 // HOP
_AROUND = (-4, -3, 3, 4)
"""Distances in bins of what surrounds a peak."""
_FAR = max(_AROUND)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power spectra of W in one segment.

    Attributes
    ----------
    ratio_db : float32 (frame, bin)
        Tone to noise, see `tone_to_noise_db`, from `_APART` frames before the segment to `_APART` after it.
    partial : bool (frame, bin)
        Partials in the frames of the segment.
    power : float (bin,)
        Sum over frames of `LINE_WINDOW` of their power spectra, each divided by its mean.
    sample_rate_hz : int
    """

    ratio_db: Float32[ndarray, "frame bin"]
    partial: ndarray
    power: Float64[ndarray, " line_bin"]
    sample_rate_hz: int


@dataclass(frozen=True, eq=False)
class ToneSums:
    """Sums over time.

    Attributes
    ----------
    partials : float (3,)
        Sum of the ratios of the reference's partials, that of the test's at the same places, their number.
    power : float (scene, bin)
        `Spectrum.power` of both scenes.
    sample_rate_hz : int
    """

    partials: Float64[ndarray, " 3"]
    power: Float64[ndarray, "scene bin"]
    sample_rate_hz: int

    def __add__(self, other: ToneSums) -> ToneSums:
        return ToneSums(self.partials + other.partials, self.power + other.power, self.sample_rate_hz)


def tone_to_noise_db(power: Float32[ndarray, "frame bin"]) -> Float32[ndarray, "frame bin"]:
    """Return the mean power of each bin and its two neighbours over that of the third and fourth on both sides.

    A stationary tone has all of its power in three to four bins of the Hann window; noise has 0 dB. The first and
    the last four bins have 0.
    """
    result = np.zeros_like(power)
    inner = slice(_FAR, power.shape[1] - _FAR)

    def shifted(by: int) -> ndarray:
        return power[:, inner.start + by : inner.stop + by]

    tone = (shifted(-1) + shifted(0) + shifted(1)) / 3
    noise = sum(map(shifted, _AROUND)) / len(_AROUND)
    floor = np.float32(1e-20)
    result[:, inner] = np.float32(10 / np.log(10)) * np.log((tone + floor) / (noise + floor))
    return result


def describe(segment: Segment) -> Spectrum:
    """Return the power spectra of a segment's W, their ratios of tone to noise, and its partials."""
    frames = frames_in(segment, HOP)
    power = _power(segment, WINDOW, HOP, _APART)
    ratio_db = np.clip(tone_to_noise_db(power), 0, LIMIT_DB)
    low, high = (round(hz * WINDOW / segment.sample_rate_hz) for hz in PARTIALS_HZ)
    peak = np.zeros(power.shape, bool)
    inner = slice(max(low, _FAR), min(high, power.shape[1] - _FAR))
    is_top = (power[:, 1:-1] >= power[:, :-2]) & (power[:, 1:-1] > power[:, 2:])
    peak[:, 1:-1] = is_top
    peak &= ratio_db >= PARTIAL_DB
    peak[:, : inner.start] = peak[:, inner.stop :] = False
    near = peak.copy()  # a peak may move by one bin
    near[:, 1:] |= peak[:, :-1]
    near[:, :-1] |= peak[:, 1:]
    own = slice(_APART, _APART + frames)
    partial = peak[own] & near[:frames] & near[2 * _APART :]
    long = _power(segment, LINE_WINDOW, LINE_WINDOW // 2, 0)
    total = np.maximum(long.mean(axis=1, keepdims=True, dtype=np.float64), 1e-20)
    return Spectrum(ratio_db, partial, (long / total).sum(axis=0), segment.sample_rate_hz)


def _power(segment: Segment, window: int, hop: int, more: int) -> Float32[ndarray, "frame bin"]:
    """Power spectra of W in the frames of a segment and in `more` frames before and after it."""
    begin = CONTEXT - window // 2 - more * hop
    views = np.lib.stride_tricks.sliding_window_view(segment.extended[0, begin:], window)
    spectrum = scipy.fft.rfft(views[::hop][: frames_in(segment, hop) + 2 * more] * hann(window), axis=1)
    return np.square(spectrum.real) + np.square(spectrum.imag)


def compare(reference: Spectrum, test: Spectrum) -> ToneSums:
    """Return the sums of a segment; the test's partial may lie one bin away."""
    frame, bins = np.nonzero(reference.partial)
    frame = frame + _APART
    found = np.max([test.ratio_db[frame, bins + by] for by in (-1, 0, 1)], axis=0)
    expected = np.max([reference.ratio_db[frame, bins + by] for by in (-1, 0, 1)], axis=0)
    sums = [values.sum(dtype=np.float64) for values in (expected, found)]
    return ToneSums(
        np.array([*sums, len(bins)]), np.stack([reference.power, test.power]), reference.sample_rate_hz
    )


def conclude(sums: ToneSums) -> dict[str, float | None]:
    """Return the change of the ratio of tone to noise, and the lines.

    Returns
    -------
    dict
        ``tone_noise_db``: ratio of tone to noise of the test less that of the reference, mean over the reference's
        partials; None if it has none. ``line_<hop>_db`` for `LINE_HOPS`: by how much the bins at the multiples of
        the rate over the hop stand out of their surroundings, mean over the multiples, in the test less in the
        reference; None where either is silent.
    """
    expected, found, number = sums.partials
    result: dict[str, float | None] = {"tone_noise_db": float((found - expected) / number) if number else None}
    heard = bool((sums.power.sum(axis=1) > 0).all())
    last = int(LINES_UP_TO_HZ * LINE_WINDOW / sums.sample_rate_hz)
    for hop in LINE_HOPS:
        spacing = LINE_WINDOW // hop
        lines = np.arange(spacing, min(last, sums.power.shape[1] - _FAR), spacing)
        if hop != LINE_HOPS[0]:
            lines = lines[::2]
        mean = None
        if heard and len(lines):
            ratio_db = 10 * np.log10(_prominence(sums.power, lines))
            mean = float((ratio_db[1] - ratio_db[0]).mean())
        result[f"line_{hop}_db"] = mean
    return result


def _prominence(power: Float64[ndarray, "scene bin"], lines: ndarray) -> Float64[ndarray, "scene line"]:
    """Power of bins over the mean of the third and fourth bin on both sides."""
    around = np.stack([power[:, lines + by] for by in _AROUND]).mean(axis=0)
    return (power[:, lines] + 1e-30) / (around + 1e-30)


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return what became of the partials, and which lines were added; see `conclude`.

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
