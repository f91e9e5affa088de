"""Scenes in segments, and their short-time spectra: the common time-frequency analysis of all measures.

Scenes are processed segment by segment, so that the memory does not depend on their length. The spectra do not
depend on the segments: frame j of a spectrum is centred at sample j · hop of the scene, and beyond the ends of the
scene the samples are reflected (the convention of ``torch.stft``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import scipy.fft
from jaxtyping import Complex64, Float32, Float64, Int64
from numpy import ndarray

from render.common.errors import InputError
from render.dsp.block_processing import resampled_part
from render.dsp.erb import erb_edges_hz
from render.fileio.scene_file import scene_blocks, scene_info, scene_samples
from render.hoa.scene import order_of

LENGTH = 4 * 30 * 768
"""Samples of a segment: a multiple of the hop (512), of 15 hops, and of AMBIQUAL's patch of 30 · 768 samples."""
CONTEXT = 2048
"""Samples before and after a segment: half of the longest window is 1024, an AMBIQUAL patch starts 1536 early."""
SHORTEST = CONTEXT + 1
"""Shortest scene in samples, as one reflection must fill the context."""

WINDOW, HOP = 2048, 512
"""Window and hop of the spectrum that most measures share (the *shared spectrum*), in samples."""

LARGEST = 1e12
"""Largest sample that is measured, re full scale: magnitudes and powers in float32 overflow not far above it."""

CHUNK = 32768
"""Windowed samples of a channel that are transformed at a time, so that 16 channels fit in the cache."""

Reader = Callable[[int, int], Float32[ndarray, "acn time"]]
"""Function ``(begin, end) -> samples`` that reads the samples `begin` <= n < `end` of a scene."""

Description = TypeVar("Description")
Sums = TypeVar("Sums", bound="Summable")


class Summable(Protocol):
    """Sums over time of two segments' comparison; those of consecutive segments are added."""

    def __add__(self, other: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of a scene with `CONTEXT` more samples on both sides.

    Attributes
    ----------
    extended : float32 (acn, CONTEXT + time + CONTEXT)
        Beyond the ends of the scene, its reflection.
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
        """Samples of the segment without the context."""
        return self.extended[:, CONTEXT:-CONTEXT]

    @property
    def is_first(self) -> bool:
        """Whether this is the first segment of the scene."""
        return self.start == 0

    @property
    def is_last(self) -> bool:
        """Whether this is the last segment of the scene."""
        return self.start + self.samples.shape[1] == self.total

    @cached_property
    def field(self) -> Complex64[ndarray, "acn frame bin"]:
        """The shared spectrum of all channels: `spectra` with `WINDOW` and `HOP`."""
        frames = frames_in(self, HOP)
        result = np.empty((len(self.extended), frames, WINDOW // 2 + 1), np.complex64)
        for first in range(0, frames, CHUNK // WINDOW):
            result[:, first : first + CHUNK // WINDOW] = spectra(self, WINDOW, HOP, first, first + CHUNK // WINDOW)
        return result


def array_reader(samples: Float32[ndarray, "acn time"]) -> Reader:
    """Return a reader of samples in memory."""
    return lambda begin, end: samples[:, begin:end]


def check_level(samples: Float32[ndarray, "acn time"], where: str, first_sample: int = 0) -> None:
    """Raise `InputError` if a sample is above `LARGEST`; arguments as of `render.hoa.scene.check_samples`."""
    if max(samples.max(initial=0), -samples.min(initial=0)) <= LARGEST:
        return
    channel, sample = np.argwhere(np.abs(samples) > LARGEST)[0]
    raise InputError(
        f"{where}: {samples[channel, sample]:.3g} in channel {channel} at sample {first_sample + sample}; "
        f"measures take samples up to {LARGEST:g} re full scale, scale the recording"
    )


def file_reader(
    path: Path, shift: int = 0, channels: int | None = None, sample_rate_hz: int | None = None
) -> Reader:
    """Return a reader of a file from sample `shift` on.

    Silent channels are added up to `channels`, and further ones left out. With a `sample_rate_hz` that is not the
    file's it is resampled, and all positions are in samples of the new rate. A sample above `LARGEST` is an
    `InputError`.
    """
    return partial(_read, path, shift, channels, sample_rate_hz)


def _read(
    path: Path, shift: int, channels: int | None, sample_rate_hz: int | None, begin: int, end: int
) -> Float32[ndarray, "acn time"]:
    if sample_rate_hz is None:
        samples = scene_samples(path, begin + shift, end - begin)[0]
    else:
        about = scene_info(path)
        parts = resampled_part(
            lambda first, last: scene_blocks(path, first, last - first),
            about.channels,
            about.length,
            about.sample_rate_hz,
            sample_rate_hz,
            begin + shift,
            end + shift,
        )
        samples = np.concatenate(list(parts), axis=1)
    check_level(samples, str(path), begin + shift)
    missing = max((channels or 0) - len(samples), 0)
    return np.pad(samples, ((0, missing), (0, 0))) if missing else samples[:channels]


def count(total: int) -> int:
    """Return the number of segments of a scene of `total` samples."""
    return -(-total // LENGTH)


def segment(reader: Reader, number: int, total: int, sample_rate_hz: int) -> Segment:
    """Read segment `number` (from 0) of a scene of `total` samples, at least `SHORTEST`."""
    start = number * LENGTH
    end = min(start + LENGTH, total)
    # A last segment that is shorter than the reflection needs more of the segment before it
    begin = max(min(start - CONTEXT, total - SHORTEST), 0)
    stop = min(max(end + CONTEXT, SHORTEST), total)
    samples = reader(begin, stop)
    before, after = max(CONTEXT - start, 0), max(end + CONTEXT - total, 0)
    extended = np.pad(samples, ((0, 0), (before, after)), mode="reflect") if before or after else samples
    first = start - CONTEXT - (begin - before)
    return Segment(extended[:, first : first + end - start + 2 * CONTEXT], start, total, sample_rate_hz)


def segments(reader: Reader, total: int, sample_rate_hz: int) -> Iterator[Segment]:
    """Read all segments of a scene, one after the other."""
    return (segment(reader, number, total, sample_rate_hz) for number in range(count(total)))


def accumulate(
    describe: Callable[[Segment], Description],
    compare: Callable[[Description, Description], Sums],
    reference: Float32[ndarray, "acn time"],
    test: Float32[ndarray, "acn time"],
    sample_rate_hz: int,
) -> Sums:
    """Describe and compare two scenes in memory segment by segment, and add the sums.

    Raises
    ------
    ValueError
        If the shapes differ, if the scenes are shorter than `SHORTEST`, or if a sample is above `LARGEST`.
    """
    if reference.shape != test.shape or reference.shape[1] < SHORTEST:
        raise ValueError(
            f"need scenes of equal shape and at least {SHORTEST} samples, got {reference.shape} and {test.shape}"
        )
    check_level(reference, "reference")
    check_level(test, "test")
    total: Sums | None = None
    pairs = (segments(array_reader(x), x.shape[1], sample_rate_hz) for x in (reference, test))
    for a, b in zip(*pairs, strict=True):
        here = compare(describe(a), describe(b))
        total = here if total is None else total + here
    assert total is not None
    return total


@cache
def hann(window: int) -> Float32[ndarray, " time"]:
    """Return a periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


def frames_in(segment: Segment, hop: int) -> int:
    """Return the number of frames centred in a segment; a scene of T samples has 1 + T // hop altogether."""
    count = -(-segment.samples.shape[1] // hop)
    return count + 1 if segment.is_last and segment.total % hop == 0 else count


def spectra(
    of: Segment, window: int, hop: int, first: int = 0, last: int | None = None
) -> Complex64[ndarray, "acn frame bin"]:
    """Return the short-time Fourier transform of a segment.

    The window is a periodic Hann window, frames are centred, and nothing is normalised.

    Parameters
    ----------
    of : Segment
    window, hop : int
        In samples; `window` is at most twice `CONTEXT`.
    first, last : int
        Frames of this segment that are computed, `last` excluded; all by default.
    """
    last = frames_in(of, hop) if last is None else min(last, frames_in(of, hop))
    begin = CONTEXT - window // 2 + first * hop
    views = np.lib.stride_tricks.sliding_window_view(of.extended[:, begin:], window, axis=1)
    return scipy.fft.rfft(views[:, : (last - first - 1) * hop + 1 : hop] * hann(window), axis=2, overwrite_x=True)


def erb_band_edges(sample_rate_hz: int, window: int = WINDOW, bands: int = 24) -> Int64[ndarray, " edge"]:
    """Return the bins that bound bands of equal width in ERB rate, from 50 Hz to 16 kHz or half the sample rate.

    The ERB rate is 21.4 log10(1 + 0.00437 f) (Glasberg and Moore 1990). No band is empty: where the bins are wider
    than the bands, each band has one bin and the edges above it move up.

    Returns
    -------
    int (bands + 1,)
        Band b has the bins ``edges[b]`` <= k < ``edges[b + 1]``.
    """
    top_hz = min(16_000.0, sample_rate_hz / 2)
    edges = np.round(erb_edges_hz(50.0, top_hz, bands) * window / sample_rate_hz).astype(int)
    for band in range(bands):
        edges[band + 1] = max(edges[band + 1], edges[band] + 1)
    return edges


def erb_band_centres_hz(sample_rate_hz: int) -> Float64[ndarray, " band"]:
    """Return the frequency halfway between the edges of each band of the shared spectrum."""
    edges = erb_band_edges(sample_rate_hz)
    return (edges[:-1] + edges[1:]) / 2 * sample_rate_hz / WINDOW
