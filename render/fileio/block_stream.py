"""Stages of a signal that passes block by block: joined, resampled, trimmed, dithered, prepared ahead."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32
from numpy import ndarray
from scipy.signal import lfilter

from render.common.errors import InputError
from render.fileio.audio_file import BLOCK_FRAMES, AudioInfo, blocks, info

Blocks = Iterable[Float32[ndarray, "channel time"]]
_PART = re.compile(r"(?P<stem>.*)_(?P<first>\d+)-(?P<last>\d+)ch$")


def parts(path: Path) -> tuple[Path, ...]:
    """All files of a scene of which one is given: ``a_01-08ch.wav`` and ``a_09-16ch.wav``; else the file itself.

    Raises
    ------
    InputError
        If the channels that the names tell do not follow one another from 1 on.
    """
    path = Path(path)
    named = _PART.fullmatch(path.stem)
    if not named or not path.exists():
        return (path,)
    found = {}
    for other in path.parent.glob(f"*{path.suffix}"):
        match = _PART.fullmatch(other.stem)
        if match and match["stem"] == named["stem"]:
            found[int(match["first"]), int(match["last"])] = other
    following = 1
    for first, last in sorted(found):
        if first != following or last < first:
            raise InputError(
                f"{path}: from channel {following} on none follow in {', '.join(p.name for p in found.values())}; "
                "the parts must be named _01-08ch, _09-16ch and so on"
            )
        following = last + 1
    return tuple(found[span] for span in sorted(found))


def joined_info(paths: Sequence[Path]) -> AudioInfo:
    """Describe files whose channels follow one another; InputError unless their rates and lengths agree."""
    every = [info(path) for path in paths]
    first = every[0]
    for path, about in zip(paths, every, strict=True):
        named = _PART.fullmatch(Path(path).stem)
        if named and about.channels != int(named["last"]) - int(named["first"]) + 1:
            raise InputError(
                f"{path}: {about.channels} channels, its name says {named['first']} to {named['last']}"
            )
        if (about.sample_rate_hz, about.length) != (first.sample_rate_hz, first.length):
            raise InputError(
                f"{path}: {about.length} samples at {about.sample_rate_hz} Hz, {first.path.name} has "
                f"{first.length} at {first.sample_rate_hz} Hz; parts of one scene must be equally long"
            )
    return replace(first, channels=sum(about.channels for about in every))


def joined_blocks(paths: Sequence[Path]) -> Iterator[Float32[ndarray, "channel time"]]:
    """Read files that make one scene block by block."""
    if len(paths) == 1:
        yield from blocks(paths[0])
        return
    for several in zip(*(blocks(path) for path in paths), strict=True):
        yield np.concatenate(several)


def resampled_length(frames: int, from_hz: int, to_hz: int) -> int:
    """Return the length of a signal at another rate, to the nearest sample."""
    return (2 * frames * to_hz + from_hz) // (2 * from_hz)


def resampled(
    signal: Blocks, channels: int, from_hz: int, to_hz: int, frames: int
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Resample (soxr VHQ, linear phase, no delay) to `frames` samples in all."""
    if from_hz == to_hz:
        yield from signal
        return

    stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="VHQ")
    left = frames
    for block in signal:
        chunk = stream.resample_chunk(np.ascontiguousarray(block.T))[:left]
        left -= len(chunk)
        yield chunk.T
    chunk = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)[:left]
    yield np.pad(chunk, ((0, left - len(chunk)), (0, 0))).T


def trimmed(
    signal: Blocks, gains: Sequence[float], delays: Sequence[int]
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Scale and delay each channel; the end is lengthened by the largest delay, in samples."""
    scale = np.asarray(gains, np.float32)[:, None]
    waiting = [np.zeros(delay, np.float32) for delay in delays]

    def shifted(block: ndarray) -> ndarray:
        output = np.empty_like(block)
        for channel, row in enumerate(block):
            joined = np.concatenate((waiting[channel], row))
            output[channel], waiting[channel] = joined[: row.size], joined[row.size :]
        return output

    for block in signal:
        yield shifted(scale * block)
    if longest := max(delays):
        yield shifted(np.zeros((len(waiting), longest), np.float32))


def with_bass(signal: Blocks, sample_rate_hz: int) -> Iterator[Float32[ndarray, "channel time"]]:
    """Append the first channel, low-passed as libiamf does for its LFE: 120 Hz, second order, Q = 1."""
    c = 1 / np.tan(np.pi * 120.0 / sample_rate_hz)
    numerator = np.array([1.0, 2.0, 1.0]) / (1 + c + c * c)
    denominator = np.array([1 + c + c * c, 2 * (1 - c * c), 1 - c + c * c]) / (1 + c + c * c)
    state = np.zeros(2)
    for block in signal:
        bass, state = lfilter(numerator, denominator, block[0], zi=state)
        yield np.concatenate((block, bass[None].astype(np.float32)))


def dithered(signal: Blocks, bits: int, seed: int = 0) -> Iterator[Float32[ndarray, "channel time"]]:
    """Add triangular noise of ±1 step of `bits` bits, which frees the rounding error of the signal.

    Mean and power of the error then no longer depend on the signal (Lipshitz, Wannamaker & Vanderkooy 1992).
    Digital silence stays silent.
    """
    random = np.random.Generator(np.random.Philox(seed))
    step = np.float32(2.0 ** (1 - bits))
    for block in signal:
        noise = random.random(block.shape, np.float32) - random.random(block.shape, np.float32)
        noise[~block.any(axis=1)] = 0
        yield block + step * noise


def ahead(signal: Blocks, depth: int = 2) -> Iterator[Float32[ndarray, "channel time"]]:
    """Prepare up to `depth` blocks in a second thread, so that reading and writing use two cores."""
    ready: queue.Queue = queue.Queue(depth)
    ended = threading.Event()

    def put(item: object) -> bool:
        while not ended.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for block in signal:
                if not put(block):
                    return
        except BaseException as error:
            put(error)
        else:
            put(None)

    worker = threading.Thread(target=produce, daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        worker.join()


def block_count(frames: int) -> int:
    """How many blocks a file of that length is read in."""
    return -(-frames // BLOCK_FRAMES)
