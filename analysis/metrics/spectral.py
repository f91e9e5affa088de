"""Distances between magnitude spectra: mel, STFT and log-spectral distances.

The mel and STFT distances are those that the published neural codec (Kumar et al. 2023) is trained and evaluated
with. All are computed for each channel and averaged over channels, so that they measure timbre and are blind to
everything between channels. The mel distance of training exists in PyTorch too, in `codec.losses.mel`; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from analysis.metrics.framing import CONTEXT, WINDOW, Segment, accumulate, array_reader, frames_in, segments
from analysis.metrics.side_by_side import (
    Bank,
    Frames,
    absolute_differences,
    all_magnitudes,
    bank_of,
    level_differences,
    log_mel_magnitudes,
    side_by_side,
)
from render.common.vectors import LANES
from render.hoa.layout import layout
from render.hoa.scene import order_of
from render.loudspeakers.design import decoding_matrix

TRAINING_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
"""Window and mel bands of the seven scales of the published training configuration; the hop is window / 4."""
EVALUATION_SCALES = ((2048, 150), (512, 80))
"""Window and mel bands of the published evaluation script: the defaults of audiotools' MelSpectrogramLoss."""
FLOOR = 1e-5
"""Magnitudes are clamped at this before the logarithm."""
LEVEL_FLOOR_DB = -100.0
"""Floor of the log-spectral distance, re the largest power of the reference's spectra."""


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """Magnitude spectra of one segment in groups of 16 signals (`analysis.metrics.side_by_side`).

    Attributes
    ----------
    log_mel : tuple of tuple of float32 (frame, band, lane)
        log10 of the mel magnitudes of each scale, for each group: the channels, and the loudspeaker feeds of 7.1.4
        without the LFE.
    evaluation : tuple of tuple of float32 (frame, band, lane)
        Linear mel magnitudes of the two evaluation windows, for each group of channels.
    linear : tuple of tuple of float32 (frame, bin, lane)
        Magnitudes of the two evaluation windows, likewise.
    channels : int
    """

    log_mel: tuple[tuple[Float32[ndarray, "frame band lane"], ...], ...]
    evaluation: tuple[tuple[Float32[ndarray, "frame band lane"], ...], ...]
    linear: tuple[tuple[Float32[ndarray, "frame bin lane"], ...], ...]
    channels: int


@dataclass(frozen=True, eq=False)
class SpectralSums:
    """Differences of each channel, mean over bands or bins and summed over frames; and the number of frames."""

    training: Float64[ndarray, "training_scale acn"]
    loudspeakers: Float64[ndarray, "training_scale loudspeaker"]
    evaluation: Float64[ndarray, "scale acn"]
    linear: Float64[ndarray, "scale acn"]
    level_db: Float64[ndarray, " acn"]
    frames: Float64[ndarray, " training_scale"]

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
def _mel_bank(sample_rate_hz: int, window: int, bands: int) -> Bank:
    return bank_of(mel_filter_bank(sample_rate_hz, window, bands))


@cache
def loudspeaker_matrix(order: int) -> Float32[ndarray, "loudspeaker acn"]:
    """Return the matrix of the project's own 7.1.4 decoder without the LFE."""
    to = layout("7.1.4")
    sounding = [i for i, speaker in enumerate(to.loudspeakers) if not speaker.is_lfe]
    return decoding_matrix(to, order)[sounding].astype(np.float32)


def log_mel(segment: Segment, bands: int) -> Float32[ndarray, "acn frame band"]:
    """Return log10 of the mel magnitudes of the frames of the shared spectrum, clamped at `FLOOR`."""
    bank = _mel_bank(segment.sample_rate_hz, WINDOW, bands)
    groups = [
        log_mel_magnitudes(group, _frames(segment, WINDOW), bank, FLOOR)
        for group in side_by_side(segment.extended)
    ]
    return np.concatenate(groups, axis=2).transpose(2, 0, 1)[: len(segment.extended)]


def _frames(segment: Segment, window: int) -> Frames:
    """Frames of a segment with the hop window / 4."""
    return Frames(CONTEXT - window // 2, window // 4, frames_in(segment, window // 4), window)


def describe(segment: Segment) -> Magnitudes:
    """Return mel and linear magnitudes of a segment at all scales."""
    rate_hz, evaluation_bands = segment.sample_rate_hz, dict(EVALUATION_SCALES)
    channels = side_by_side(segment.extended)
    feeds = side_by_side(loudspeaker_matrix(segment.order) @ segment.extended)
    logs, evaluation, linear = [], {}, {}
    for window, bands in TRAINING_SCALES:
        frames, bank = _frames(segment, window), _mel_bank(rate_hz, window, bands)
        if window in evaluation_bands:
            other = _mel_bank(rate_hz, window, evaluation_bands[window])
            found = [all_magnitudes(group, frames, bank, FLOOR, other) for group in channels]
            of_channels, evaluation[window], linear[window] = zip(*found, strict=True)
        else:
            of_channels = tuple(log_mel_magnitudes(group, frames, bank, FLOOR) for group in channels)
        of_feeds = (log_mel_magnitudes(group, frames, bank, FLOOR) for group in feeds)
        logs.append((*of_channels, *of_feeds))
    windows = tuple(evaluation_bands)
    return Magnitudes(
        tuple(logs),
        tuple(evaluation[window] for window in windows),
        tuple(linear[window] for window in windows),
        len(segment.extended),
    )


def largest_power(segment: Segment) -> float:
    """Return the largest |X|² of the shared spectrum over channels, frames and bins."""
    return float(np.square(np.abs(segment.field)).max())


def compare(reference: Magnitudes, test: Magnitudes, largest: float) -> SpectralSums:
    """Return the sums of a segment; `largest` is the `largest_power` of the whole reference."""
    level_floor = np.sqrt(max(largest * 10 ** (LEVEL_FLOOR_DB / 10), 1e-30))
    mel = np.array([_absolute(a, b) for a, b in zip(reference.log_mel, test.log_mel, strict=True)])
    evaluation, _ = _as_evaluated(reference.evaluation, test.evaluation, level_floor)
    linear, roots = _as_evaluated(reference.linear, test.linear, level_floor)
    channels = reference.channels
    first_feed = len(reference.linear[0]) * LANES
    return SpectralSums(
        mel[:, :channels],
        mel[:, first_feed : first_feed + len(loudspeaker_matrix(order_of(channels)))],
        evaluation[:, :channels],
        linear[:, :channels],
        20 / np.log(10) * roots[0, :channels],
        np.array([len(scale[0]) for scale in reference.log_mel], float),
    )


def _absolute(a: Sequence[ndarray], b: Sequence[ndarray]) -> Float64[ndarray, " signal"]:
    """Return Σ |a - b| over frames, mean over bands, of the signals of all groups."""
    return np.concatenate([absolute_differences(x, y) / x.shape[1] for x, y in zip(a, b, strict=True)])


def _as_evaluated(
    a: Sequence[Sequence[ndarray]], b: Sequence[Sequence[ndarray]], level_floor: float
) -> tuple[Float64[ndarray, "scale signal"], Float64[ndarray, "scale signal"]]:
    """Return |Δ log10(m²)| + |Δ m|, as is the default of audiotools, and the root of the mean of (Δ ln m)²."""
    distances, roots = [], []
    for of_a, of_b in zip(a, b, strict=True):
        found = [
            (*level_differences(x, y, FLOOR, level_floor), x.shape[1]) for x, y in zip(of_a, of_b, strict=True)
        ]
        distances.append(
            np.concatenate([(2 / np.log(10) * logs + linear) / bins for logs, linear, _, bins in found])
        )
        roots.append(np.concatenate([root for _, _, root, _ in found]))
    return np.array(distances), np.array(roots)


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
