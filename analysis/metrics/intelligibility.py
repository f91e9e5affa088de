"""Intelligibility of speech in W: ESTOI (Jensen and Taal 2016).

The extended short-time objective intelligibility correlates the spectrograms of 15 third-octave bands from 150 Hz
to 4.3 kHz in segments of 0.38 s, each of them normalised by rows and columns. Silent frames of the reference are
left out. This is the published algorithm; the package pystoi gives the same values to rounding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.signal import resample_poly

RATE_HZ = 10_000
FRAME, FFT = 256, 512
BANDS, LOWEST_HZ = 15, 150.0
SEGMENT_FRAMES = 30
RANGE_DB = 40.0
"""Frames that are weaker than the loudest by more than this are silent."""
MAX_S = 60.0
"""Longer signals are measured up to here, which bounds the memory."""
_EPS = np.finfo(float).eps


def estoi(
    reference: Float64[ndarray, " time"], test: Float64[ndarray, " time"], sample_rate_hz: int
) -> float | None:
    """Return the ESTOI of a signal, at most 1; about 0.5 of all words are understood at 0.4.

    Parameters
    ----------
    reference, test : float64 (time,)
        Aligned signals of one channel; the reference is clean speech.
    sample_rate_hz : int

    Returns
    -------
    float or None
        None if fewer than `SEGMENT_FRAMES` frames of the reference are not silent, or the test is silent.
    """
    length = round(MAX_S * sample_rate_hz)
    x, y = (_resampled(signal[:length], sample_rate_hz) for signal in (reference, test))
    if not y.any() or len(x) <= FRAME:
        return None
    x, y = _without_silence(x, y)
    bands = _third_octaves()
    x_bands, y_bands = (np.sqrt(np.square(np.abs(_spectra(signal))) @ bands.T).T for signal in (x, y))
    if x_bands.shape[1] < SEGMENT_FRAMES:
        return None
    products = (
        (_normalised(a) * _normalised(b)).sum() / SEGMENT_FRAMES
        for a, b in zip(_segments(x_bands), _segments(y_bands), strict=True)
    )
    return float(sum(products) / (x_bands.shape[1] - SEGMENT_FRAMES + 1))


def _resampled(signal: Float64[ndarray, " time"], sample_rate_hz: int) -> Float64[ndarray, " resampled"]:
    """Resample to `RATE_HZ` by the published program's filter, Octave's default: Kaiser, 60 dB."""
    if sample_rate_hz == RATE_HZ:
        return signal.astype(np.float64)
    divisor = int(np.gcd(RATE_HZ, sample_rate_hz))
    up, down = RATE_HZ // divisor, sample_rate_hz // divisor
    cutoff, rejection_db = 1 / (2 * max(up, down)), 60.0
    half = int(np.ceil((rejection_db - 8) / (28.714 * cutoff / 10)))
    taps = np.kaiser(2 * half + 1, 0.1102 * (rejection_db - 8.7)) * np.sinc(
        2 * cutoff * np.arange(-half, half + 1)
    )
    return resample_poly(signal, up, down, window=taps / taps.sum())


def _frames(signal: Float64[ndarray, " time"]) -> Float64[ndarray, "frame window"]:
    """Windowed frames with half overlap; the last one ends before the last sample."""
    window = np.hanning(FRAME + 2)[1:-1]
    count = -(-(len(signal) - FRAME) // (FRAME // 2))
    return np.lib.stride_tricks.sliding_window_view(signal, FRAME)[:: FRAME // 2][:count] * window


def _without_silence(
    x: Float64[ndarray, " time"], y: Float64[ndarray, " time"]
) -> tuple[Float64[ndarray, " time"], Float64[ndarray, " time"]]:
    """Overlap and add those frames in which `x` is not silent."""
    x_frames, y_frames = _frames(x), _frames(y)
    level_db = 20 * np.log10(np.linalg.norm(x_frames, axis=1) + _EPS)
    sounding = level_db > level_db.max() - RANGE_DB
    return _overlap_added(x_frames[sounding]), _overlap_added(y_frames[sounding])


def _overlap_added(frames: Float64[ndarray, "frame window"]) -> Float64[ndarray, " time"]:
    halves = frames.reshape(len(frames), 2, FRAME // 2)
    result = np.zeros((len(frames) + 1, FRAME // 2))
    result[:-1] += halves[:, 0]
    result[1:] += halves[:, 1]
    return result.reshape(-1)


def _spectra(signal: Float64[ndarray, " time"]) -> ndarray:
    return np.fft.rfft(_frames(signal), FFT, axis=1)


def _third_octaves() -> Float64[ndarray, "band bin"]:
    """Bins of each third-octave band, whose edges are rounded to the nearest bin."""
    bins_hz = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    edges_hz = LOWEST_HZ * 2.0 ** ((2 * np.arange(BANDS + 1) - 1) / 6)
    edges = np.abs(bins_hz - edges_hz[:, None]).argmin(axis=1)
    number = np.arange(len(bins_hz))
    return ((number >= edges[:-1, None]) & (number < edges[1:, None])).astype(float)


def _segments(bands: Float64[ndarray, "band frame"]) -> ndarray:
    """All runs of `SEGMENT_FRAMES` frames (segment, band, frame), a view."""
    return np.lib.stride_tricks.sliding_window_view(bands, SEGMENT_FRAMES, axis=1).transpose(1, 0, 2)


def _normalised(segment: Float64[ndarray, "band frame"]) -> Float64[ndarray, "band frame"]:
    """Rows, then columns, of mean 0 and norm 1; what is constant becomes 0."""
    for axis in (1, 0):
        segment = segment - segment.mean(axis=axis, keepdims=True)
        norm = np.linalg.norm(segment, axis=axis, keepdims=True)
        segment = np.divide(segment, norm, where=norm > 0, out=np.zeros_like(segment))
    return segment
