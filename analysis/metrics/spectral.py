"""Distances between magnitude spectra, as the published neural codec trains and evaluates with them.

All are computed channel by channel and averaged over channels: they hear timbre, and nothing between channels.
The mel distance exists in `codec.losses.mel` too, in torch: a test makes each the other's oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CHUNK, WINDOW, Segment, frames_in, spectra
from render.hoa.layout import layout
from render.loudspeakers.design import decoding_matrix

TRAINING_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
"""Window and mel bands of the seven scales of the published training configuration; hop is window / 4."""
EVALUATION_SCALES = ((2048, 150), (512, 80))
"""Defaults of audiotools' MelSpectrogramLoss, which the published evaluation script uses."""
FLOOR = np.float32(1e-5)
LEVEL_FLOOR_DB = -100.0
"""Floor of the log-spectral distance, below the largest power of the reference's spectra."""

_BANDS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """What the distances compare, of one segment.

    Attributes
    ----------
    training : tuple of float32 (acn, frame, band)
        log10 of the mel magnitudes of each scale.
    loudspeakers : tuple of float32 (loudspeaker, frame, band)
        The same of the feeds of 7.1.4 without LFE.
    evaluation : tuple of float32 (acn, frame, band)
        Mel magnitudes, linear.
    linear : tuple of float32 (acn, frame, bin)
        Magnitudes of the two evaluation windows.
    """

    training: tuple[Float32[ndarray, "acn frame band"], ...]
    loudspeakers: tuple[Float32[ndarray, "loudspeaker frame band"], ...]
    evaluation: tuple[Float32[ndarray, "acn frame band"], ...]
    linear: tuple[Float32[ndarray, "acn frame bin"], ...]


@dataclass(frozen=True, eq=False)
class SpectralSums:
    """Sums of differences over frames, mean over bands, for each channel; they add up over segments."""

    training: Float64[ndarray, "scale acn"]
    loudspeakers: Float64[ndarray, "scale loudspeaker"]
    evaluation: Float64[ndarray, "scale acn"]
    linear: Float64[ndarray, "scale acn"]
    level_db: Float64[ndarray, " acn"]
    frames: Float64[ndarray, " scale"]

    def __add__(self, other: SpectralSums) -> SpectralSums:
        return SpectralSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def mel_filter_bank(sample_rate_hz: int, window: int, bands: int) -> Float64[ndarray, "band bin"]:
    """Slaney's mel filters with unit area, 0 Hz to half the rate (Auditory Toolbox 1998; librosa's default)."""
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
    """Mel filters in groups of bands with the bins that they reach: most of the whole matrix is 0."""
    filters = mel_filter_bank(sample_rate_hz, window, bands).astype(np.float32)
    groups = []
    for first in range(0, bands, _BANDS_AT_ONCE):
        rows = slice(first, min(first + _BANDS_AT_ONCE, bands))
        used = np.flatnonzero(filters[rows].any(axis=0))
        bins = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
        groups.append((rows, bins, np.ascontiguousarray(filters[rows, bins].T)))
    return groups


def _mel(
    magnitude: Float32[ndarray, "acn frame bin"], sample_rate_hz: int, bands: int
) -> Float32[ndarray, "acn frame band"]:
    """Mel magnitudes."""
    window = 2 * (magnitude.shape[2] - 1)
    result = np.empty((*magnitude.shape[:2], bands), np.float32)
    for rows, bins, filters in _filters(sample_rate_hz, window, bands):
        result[:, :, rows] = magnitude[:, :, bins] @ filters
    return result


@cache
def loudspeaker_matrix(order: int) -> Float32[ndarray, "loudspeaker acn"]:
    """Rows of the project's own 7.1.4 decoder without the LFE's."""
    to = layout("7.1.4")
    sounding = [i for i, speaker in enumerate(to.loudspeakers) if not speaker.is_lfe]
    return decoding_matrix(to, order)[sounding].astype(np.float32)


def log_mel(segment: Segment, bands: int) -> Float32[ndarray, "acn frame band"]:
    """log10 of the mel magnitudes of the shared spectrum, clamped at `FLOOR`."""
    chunks = (np.abs(chunk) for chunk in _chunks(segment, WINDOW))
    return np.concatenate([_log(_mel(chunk, segment.sample_rate_hz, bands)) for chunk in chunks], axis=1)


def _log(magnitude: Float32[ndarray, "*shape"]) -> Float32[ndarray, "*shape"]:
    # The natural logarithm is vectorised in numpy, log10 is not
    return np.log(np.maximum(magnitude, FLOOR)) * np.float32(1 / np.log(10))


def describe(segment: Segment) -> Magnitudes:
    """Mel and linear magnitudes of a segment at all scales."""
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
    """Spectra of a segment with hop window / 4, a chunk of frames at a time."""
    step = CHUNK // window
    for first in range(0, frames_in(segment, window // 4), step):
        if window == WINDOW:
            yield np.ascontiguousarray(segment.field[:, first : first + step])
        else:
            yield spectra(segment, window, window // 4, first, first + step)


def _at_scale(
    spectrum: Complex64[ndarray, "acn frame bin"], segment: Segment, bands: int, evaluation_bands: int | None
) -> tuple[ndarray, ...]:
    """Log mel magnitudes of channels and loudspeakers; where evaluated, linear mel and plain magnitudes too."""
    rate_hz, decoder = segment.sample_rate_hz, loudspeaker_matrix(segment.order)
    parts = spectrum.view(np.float32)
    feeds = (decoder @ parts.reshape(len(parts), -1)).reshape(len(decoder), *parts.shape[1:])
    magnitude = np.abs(spectrum)
    found = _log(_mel(magnitude, rate_hz, bands)), _log(_mel(np.abs(feeds.view(np.complex64)), rate_hz, bands))
    return found if evaluation_bands is None else (*found, _mel(magnitude, rate_hz, evaluation_bands), magnitude)


def largest_power(segment: Segment) -> float:
    """Largest |X|² of the shared spectrum, over channels, frames and bins."""
    return float(np.square(np.abs(segment.field)).max())


def compare(reference: Magnitudes, test: Magnitudes, largest: float) -> SpectralSums:
    """Sums of all differences in a segment; `largest` is the reference scene's `largest_power`."""
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
    """|Δ log10(m²)| + |Δ m|, the weights and the power of audiotools' defaults."""
    return 2 * _absolute(_log(a), _log(b)) + _absolute(a, b)


def conclude(sums: SpectralSums) -> dict[str, float | None]:
    """Mean over frames and channels, sum over scales."""
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
