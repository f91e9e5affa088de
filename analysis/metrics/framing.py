"""A scene in segments, and its short-time spectra: every measure reads its signals here.

Segments make the memory independent of the length. They are cut so that frames do not notice: whatever the
segment, frame j of a spectrum is centred at sample j · hop of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32, Float64
from numpy import ndarray

from render.dsp.erb import erb_edges_hz
from render.fileio.audio_file import read
from render.hoa.scene import order_of

# Multiple of every hop here (512), of a block of 15 frames of it, and of AMBIQUAL's patch of 30 · 768 samples
LENGTH = 4 * 30 * 768
# Half of the longest window is 1024 samples; an AMBIQUAL patch reaches back 1536
CONTEXT = 2048
# No scene is shorter: one reflection must fill the context
SHORTEST = CONTEXT + 1

WINDOW, HOP = 2048, 512
"""Window and hop of the spectrum that most measures share, in samples."""

CHUNK = 32768
"""Windowed samples of a channel that are transformed at once: 16 channels of them stay in the cache."""

Reader = Callable[[int, int], Float32[ndarray, "acn time"]]
"""Gives the samples from (inclusive) .. to (exclusive) of a scene."""


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of a scene with `CONTEXT` samples more on both sides.

    Attributes
    ----------
    extended : float32 (acn, CONTEXT + time + CONTEXT)
        Beyond the scene's ends it is its reflection.
    start : int
        Position of the first sample after the context; a multiple of `LENGTH`.
    total : int
        Length of the whole scene.
    sample_rate_hz : int
    """

    extended: Float32[ndarray, "acn time"]
    start: int
    total: int
    sample_rate_hz: int

    @property
    def order(self) -> int:
        """Ambisonic order."""
        return order_of(len(self.extended))

    @property
    def samples(self) -> Float32[ndarray, "acn time"]:
        """The stretch itself."""
        return self.extended[:, CONTEXT:-CONTEXT]

    @property
    def is_first(self) -> bool:
        """Whether the scene begins here."""
        return self.start == 0

    @property
    def is_last(self) -> bool:
        """Whether the scene ends here."""
        return self.start + self.samples.shape[1] == self.total

    @cached_property
    def field(self) -> Complex64[ndarray, "acn frame bin"]:
        """Spectra of all channels with `WINDOW` and `HOP`."""
        frames = frames_in(self, HOP)
        result = np.empty((len(self.extended), frames, WINDOW // 2 + 1), np.complex64)
        for first in range(0, frames, CHUNK // WINDOW):  # in chunks that stay in the cache
            result[:, first : first + CHUNK // WINDOW] = spectra(self, WINDOW, HOP, first, first + CHUNK // WINDOW)
        return result


def array_reader(samples: Float32[ndarray, "acn time"]) -> Reader:
    """Read from memory."""
    return lambda begin, end: samples[:, begin:end]


def file_reader(path: Path, shift: int = 0, channels: int | None = None) -> Reader:
    """Read from a file whose sample `shift` is sample 0; missing channels up to `channels` are silent."""
    return partial(_read, path, shift, channels)


def _read(path: Path, shift: int, channels: int | None, begin: int, end: int) -> Float32[ndarray, "acn time"]:
    samples = read(path, begin + shift, end - begin)[0]
    missing = max((channels or 0) - len(samples), 0)
    return np.pad(samples, ((0, missing), (0, 0))) if missing else samples


def count(total: int) -> int:
    """Number of segments of a scene of `total` samples."""
    return -(-total // LENGTH)


def segment(reader: Reader, number: int, total: int, sample_rate_hz: int) -> Segment:
    """Segment `number` (from 0) of a scene of `total` samples, at least `SHORTEST`."""
    start = number * LENGTH
    end = min(start + LENGTH, total)
    # A last segment that is shorter than its reflection takes more from the one before it
    begin = max(min(start - CONTEXT, total - SHORTEST), 0)
    stop = min(max(end + CONTEXT, SHORTEST), total)
    samples = reader(begin, stop)
    before, after = max(CONTEXT - start, 0), max(end + CONTEXT - total, 0)
    extended = np.pad(samples, ((0, 0), (before, after)), mode="reflect") if before or after else samples
    first = start - CONTEXT - (begin - before)
    return Segment(extended[:, first : first + end - start + 2 * CONTEXT], start, total, sample_rate_hz)


def segments(reader: Reader, total: int, sample_rate_hz: int) -> Iterator[Segment]:
    """All segments of a scene."""
    return (segment(reader, number, total, sample_rate_hz) for number in range(count(total)))


@cache
def hann(window: int) -> Float32[ndarray, " time"]:
    """Periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def frames_in(segment: Segment, hop: int) -> int:
    """Frames centred in a segment; the last one of a scene is centred at its end, or less than a hop before."""
    count = -(-segment.samples.shape[1] // hop)
    return count + 1 if segment.is_last and segment.total % hop == 0 else count


def spectra(
    of: Segment, window: int, hop: int, first: int = 0, last: int | None = None
) -> Complex64[ndarray, "acn frame bin"]:
    """Short-time Fourier transform: periodic Hann window, centred, edges reflected, not normalised.

    Together the segments of a scene of T samples have its 1 + T // hop frames. `first` and `last` choose from
    the frames of this segment.
    """
    last = frames_in(of, hop) if last is None else min(last, frames_in(of, hop))
    begin = CONTEXT - window // 2 + first * hop
    views = np.lib.stride_tricks.sliding_window_view(of.extended[:, begin:], window, axis=1)
    return scipy.fft.rfft(views[:, : (last - first - 1) * hop + 1 : hop] * hann(window), axis=2, overwrite_x=True)


def erb_band_edges(sample_rate_hz: int, window: int = WINDOW, bands: int = 24) -> Float64[ndarray, " edge"]:
    """Bin numbers that bound `bands` bands, equally wide in ERB rate from 50 Hz to 16 kHz (or half the rate).

    No band is empty: where the bins are wider than the bands, each has one bin and the upper edge moves up.
    """
    top_hz = min(16_000.0, sample_rate_hz / 2)
    edges = np.round(erb_edges_hz(50.0, top_hz, bands) * window / sample_rate_hz).astype(int)
    for band in range(bands):
        edges[band + 1] = max(edges[band + 1], edges[band] + 1)
    return edges


def erb_band_centres_hz(sample_rate_hz: int) -> Float64[ndarray, " band"]:
    """Frequency halfway between the edges of each band of the shared spectrum."""
    edges = erb_band_edges(sample_rate_hz)
    return (edges[:-1] + edges[1:]) / 2 * sample_rate_hz / WINDOW
