"""Distances between magnitude spectra: mel, STFT and log-spectral distances.

The mel and STFT distances are those that the published neural codec (Kumar et al. 2023) is trained and evaluated
with. All are computed for each channel and averaged over channels, so that they measure timbre and are blind to
everything between channels. The mel distance of training exists in PyTorch too, in `codec.losses.mel`; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CHUNK, WINDOW, Segment, accumulate, array_reader, frames_in, segments, spectra
from render.hoa.layout import layout
from render.loudspeakers.design import decoding_matrix

TRAINING_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
"""Window and mel bands of the seven scales of the published training configuration; the hop is window / 4."""
EVALUATION_SCALES = ((2048, 150), (512, 80))
"""Window and mel bands of the published evaluation script: the defaults of audiotools' MelSpectrogramLoss."""
FLOOR = np.float32(1e-5)
"""Magnitudes are clamped at this before the logarithm."""
LEVEL_FLOOR_DB = -100.0
"""Floor of the log-spectral distance, re the largest power of the reference's spectra."""

_BANDS_PER_GROUP = 32


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """Magnitude spectra of one segment.

    Attributes
    ----------
    training : tuple of float32 (acn, frame, band)
        log10 of the mel magnitudes of each scale.
    loudspeakers : tuple of float32 (loudspeaker, frame, band)
        The same of the loudspeaker feeds of 7.1.4 without the LFE.
    evaluation : tuple of float32 (acn, frame, band)
        Linear mel magnitudes of the two evaluation windows.
    linear : tuple of float32 (acn, frame, bin)
        Magnitudes of the two evaluation windows.
    """

    training: tuple[Float32[ndarray, "acn frame band"], ...]
    loudspeakers: tuple[Float32[ndarray, "loudspeaker frame band"], ...]
    evaluation: tuple[Float32[ndarray, "acn frame band"], ...]
    linear: tuple[Float32[ndarray, "acn frame bin"], ...]


@dataclass(frozen=True, eq=False)
class SpectralSums:
    """Differences of each channel, mean over bands or bins and summed over frames; and the number of frames."""

    training: Float64[ndarray, "scale acn"]
    loudspeakers: Float64[ndarray, "scale loudspeaker"]
    evaluation: Float64[ndarray, "scale acn"]
    linear: Float64[ndarray, "scale acn"]
    level_db: Float64[ndarray, " acn"]
    frames: Float64[ndarray, " scale"]

    def __add__(self, other: SpectralSums) -> SpectralSums:
        return SpectralSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def mel_filter_bank(sample_rate_hz: int, window: int, bands: int) -> Float64[ndarray, "band bin"]:
    """Return mel filters of unit area from 0 Hz to half the sample rate (Slaney 1998; the default of librosa)."""
    top_hz = sample_rate_hz / 2
    edges_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(top_hz), bands + 2))
    bins_hz = np.arange(window // 2 + 1) * (sample_rate_hz / window)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    return np.maximum(triangles, 0) * 2 / (high - low)


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _mel_to_hz(mel: ndarray) -> ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


@cache
def _filters(
    sample_rate_hz: int, window: int, bands: int
) -> list[tuple[slice, slice, Float32[ndarray, "bin band"]]]:
    """Return the mel filters in groups of bands, each with the bins that it covers, as most of the matrix is 0."""
    filters = mel_filter_bank(sample_rate_hz, window, bands).astype(np.float32)
    groups = []
    for first in range(0, bands, _BANDS_PER_GROUP):
        rows = slice(first, min(first + _BANDS_PER_GROUP, bands))
        used = np.flatnonzero(filters[rows].any(axis=0))
        bins = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
        groups.append((rows, bins, np.ascontiguousarray(filters[rows, bins].T)))
    return groups


def _mel(
    magnitude: Float32[ndarray, "acn frame bin"], sample_rate_hz: int, bands: int
) -> Float32[ndarray, "acn frame band"]:
    """Return the mel magnitudes of magnitude spectra."""
    window = 2 * (magnitude.shape[2] - 1)
    result = np.empty((*magnitude.shape[:2], bands), np.float32)
    for rows, bins, filters in _filters(sample_rate_hz, window, bands):
        result[:, :, rows] = magnitude[:, :, bins] @ filters
    return result


@cache
def loudspeaker_matrix(order: int) -> Float32[ndarray, "loudspeaker acn"]:
    """Return the matrix of the project's own 7.1.4 decoder without the LFE."""
    to = layout("7.1.4")
    sounding = [i for i, speaker in enumerate(to.loudspeakers) if not speaker.is_lfe]
    return decoding_matrix(to, order)[sounding].astype(np.float32)


def log_mel(segment: Segment, bands: int) -> Float32[ndarray, "acn frame band"]:
    """Return log10 of the mel magnitudes of the shared spectrum, clamped at `FLOOR`."""
    chunks = (np.abs(chunk) for chunk in _chunks(segment, WINDOW))
    return np.concatenate([_log(_mel(chunk, segment.sample_rate_hz, bands)) for chunk in chunks], axis=1)


def _log(magnitude: Float32[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    # NumPy vectorises the natural logarithm but not log10
    return np.log(np.maximum(magnitude, FLOOR)) * np.float32(1 / np.log(10))


def describe(segment: Segment) -> Magnitudes:
    """Return mel and linear magnitudes of a segment at all scales."""
    evaluation_bands = dict(EVALUATION_SCALES)
    training, loudspeakers, evaluation, linear = [], [], {}, {}
    for window, bands in TRAINING_SCALES:
        parts = list(zip(*(_at_scale(chunk, segment, bands, evaluation_bands.get(window))
                           for chunk in _chunks(segment, window)), strict=True))  # fmt: skip
        joined = [np.concatenate(part, axis=1) for part in parts]
        training.append(joined[0])
        loudspeakers.append(joined[1])
        if window in evaluation_bands:
            evaluation[window], linear[window] = joined[2:]
    windows = tuple(evaluation_bands)
    return Magnitudes(
        tuple(training),
        tuple(loudspeakers),
        tuple(evaluation[window] for window in windows),
        tuple(linear[window] for window in windows),
    )


def _chunks(segment: Segment, window: int) -> Iterator[Complex64[ndarray, "acn frame bin"]]:
    """Yield the spectra of a segment with the hop window / 4, some frames at a time."""
    step = CHUNK // window
    for first in range(0, frames_in(segment, window // 4), step):
        if window == WINDOW:
            yield np.ascontiguousarray(segment.field[:, first : first + step])
        else:
            yield spectra(segment, window, window // 4, first, first + step)


def _at_scale(
    spectrum: Complex64[ndarray, "acn frame bin"], segment: Segment, bands: int, evaluation_bands: int | None
) -> tuple[ndarray, ...]:
    """Return log mel magnitudes of channels and loudspeakers; for evaluation also linear ones, mel and STFT."""
    rate_hz, decoder = segment.sample_rate_hz, loudspeaker_matrix(segment.order)
    parts = spectrum.view(np.float32)
    feeds = (decoder @ parts.reshape(len(parts), -1)).reshape(len(decoder), *parts.shape[1:])
    magnitude = np.abs(spectrum)
    found = _log(_mel(magnitude, rate_hz, bands)), _log(_mel(np.abs(feeds.view(np.complex64)), rate_hz, bands))
    return found if evaluation_bands is None else (*found, _mel(magnitude, rate_hz, evaluation_bands), magnitude)


def largest_power(segment: Segment) -> float:
    """Return the largest |X|² of the shared spectrum over channels, frames and bins."""
    return float(np.square(np.abs(segment.field)).max())


def compare(reference: Magnitudes, test: Magnitudes, largest: float) -> SpectralSums:
    """Return the sums of a segment; `largest` is the `largest_power` of the whole reference."""
    floor = np.float32(max(largest * 10 ** (LEVEL_FLOOR_DB / 10), 1e-30))
    decibels = [10 / np.log(10) * np.log(np.maximum(np.square(of.linear[0]), floor)) for of in (reference, test)]
    return SpectralSums(
        np.array([_absolute(a, b) for a, b in zip(reference.training, test.training, strict=True)]),
        np.array([_absolute(a, b) for a, b in zip(reference.loudspeakers, test.loudspeakers, strict=True)]),
        np.array([_as_evaluated(a, b) for a, b in zip(reference.evaluation, test.evaluation, strict=True)]),
        np.array([_as_evaluated(a, b) for a, b in zip(reference.linear, test.linear, strict=True)]),
        np.sqrt(np.square(decibels[0] - decibels[1]).mean(axis=2)).sum(axis=1, dtype=np.float64),
        np.array([scale.shape[1] for scale in reference.training], float),
    )


def _absolute(
    a: Float32[ndarray, "acn frame band"], b: Float32[ndarray, "acn frame band"]
) -> Float64[ndarray, " acn"]:
    return np.abs(a - b).mean(axis=2).sum(axis=1, dtype=np.float64)


def _as_evaluated(
    a: Float32[ndarray, "acn frame bin"], b: Float32[ndarray, "acn frame bin"]
) -> Float64[ndarray, " acn"]:
    """Return |Δ log10(m²)| + |Δ m|, with the weights and the exponent that are the defaults of audiotools."""
    return 2 * _absolute(_log(a), _log(b)) + _absolute(a, b)


def conclude(sums: SpectralSums) -> dict[str, float | None]:
    """Return the distances: means over frames and channels, summed over scales.

    Returns
    -------
    dict
        ``mel_train`` (|Δ log10 mel| at `TRAINING_SCALES`), ``mel_W`` (that of W), ``mel_ls`` (that of the 7.1.4
        loudspeaker feeds), ``mel_eval`` and ``stft_eval`` (|Δ log10 m²| + |Δ m| at `EVALUATION_SCALES`, with and
        without mel filters) and ``lsd_db`` (log-spectral distance of the shared spectrum).
    """
    per_channel = (sums.training / sums.frames[:, None]).sum(axis=0)
    windows = [window for window, _ in TRAINING_SCALES]
    frames = np.array([sums.frames[windows.index(window)] for window, _ in EVALUATION_SCALES])[:, None]
    return {
        "mel_train": float(per_channel.mean()),
        "mel_W": float(per_channel[0]),
        "mel_ls": float((sums.loudspeakers / sums.frames[:, None]).sum(axis=0).mean()),
        "mel_eval": float((sums.evaluation / frames).sum(axis=0).mean()),
        "stft_eval": float((sums.linear / frames).sum(axis=0).mean()),
        "lsd_db": float(sums.level_db.mean() / frames[0, 0]),
    }


def evaluate(
    reference: Float32[ndarray, "acn time"], test: Float32[ndarray, "acn time"], sample_rate_hz: int
) -> dict[str, float | None]:
    """Return the spectral distances of two scenes in memory; see `conclude`.

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
    parts = segments(array_reader(reference), reference.shape[1], sample_rate_hz)
    largest = max(largest_power(part) for part in parts)
    return conclude(accumulate(describe, partial(compare, largest=largest), reference, test, sample_rate_hz))
