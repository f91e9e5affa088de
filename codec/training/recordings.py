"""Recordings to train on: which of them, their samples as 16-bit integers, and the level of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int16, Shaped
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, blocks, info, read
from render.fileio.container import read_header
from stimuli.eigenscape.corpus import HOLDOUT, find_recordings, split

STEP = 2.0**-15  # of 16 bits, full scale being 1
CLIPPED_SHARE = 1e-3
_BLOCK_FRAMES = 32_768


def training_and_held_out(folders: list[Path], holdout: int | str = HOLDOUT) -> tuple[list[Path], list[Path]]:
    """Recordings in `folders` to train on, and those held out (`stimuli.eigenscape.corpus.split`).

    Raises
    ------
    InputError
        If a folder has no recordings or is there twice, if there is nothing to train on, or nothing held out.
    """
    found = [recording for folder in folders for recording in find_recordings(folder)]
    places = [recording.path.resolve() for recording in found]
    if twice := sorted({str(place) for place in places if places.count(place) > 1}):
        raise InputError(f"{twice[0]}: lies in two of the folders given; name each folder once")
    parts = split(found, holdout)
    where, which = ", ".join(map(str, folders)), f"recording {holdout} of each class"
    if isinstance(holdout, str):
        which = f"the class {holdout}"
    if not parts[0]:
        raise InputError(
            f"{where}: nothing to train on: all {len(found)} recordings are held out ({which}); prepare others too"
        )
    if not parts[1]:
        raise InputError(
            f"{where}: nothing is held out for validation ({which}) among {len(found)} recordings; prepare it too"
        )
    return [r.path for r in parts[0]], [r.path for r in parts[1]]


class Samples:
    """Samples of a recording as integers of 16 bits.

    Attributes
    ----------
    about : AudioInfo
    step : float
        What an integer of 1 means, full scale being 1: 2^-15 for 16-bit PCM, of which copies are made from the
        mapped file. Anything else is decoded when it is copied, and rounded; `step` is then the smallest power of
        two with which the largest sample does not clip, so that quiet 24-bit recordings keep their bits.
    """

    def __init__(self, path: Path):
        self.about = info(path)
        self.step = STEP
        self._mapped = _mapped(self.about)
        if self._mapped is None:
            peak = measured(path).peak
            self.step = STEP * 2.0 ** np.ceil(np.log2(max(peak, STEP) / (1 - STEP)))

    def copy(self, start: int, into: Int16[ndarray, "time channel"]) -> None:
        """Fill `into` with the samples from `start` on."""
        if self._mapped is not None:
            np.copyto(into, self._mapped[start : start + len(into)])
            return
        samples, _ = read(self.about.path, start, len(into))
        np.copyto(into, np.rint(samples.T / np.float32(self.step)), casting="unsafe")


def _mapped(about: AudioInfo) -> Int16[ndarray, "time channel"] | None:
    """Samples in the file itself; None where it does not hold them as 16-bit integers of this machine."""
    if about.subtype != "PCM_16" or about.container == "FLAC":
        return None
    with open(about.path, "rb") as file:
        header = read_header(file, str(about.path))
    if header.big_endian:
        return None
    shape = (header.length, header.channels)
    return np.asarray(np.memmap(about.path, "<i2", "r", header.data_offset, shape))


@dataclass(frozen=True, eq=False)
class Measured:
    """What one pass over a recording tells, full scale being 1.

    Attributes
    ----------
    rms : float (channel,)
    peak : float
    clipped : float (channel,)
        Share of the samples within 2^-15 of full scale.
    """

    rms: Float64[ndarray, " channel"]
    peak: float
    clipped: Float64[ndarray, " channel"]


def measured(path: Path) -> Measured:
    """Measure a recording; again only if the file has changed since."""
    stat = path.stat()
    return _measured(path, stat.st_size, stat.st_mtime_ns)


@cache
def _measured(path: Path, _size: int, _changed: int) -> Measured:
    about = info(path)
    energies, full, peak = np.zeros(about.channels), np.zeros(about.channels), 0.0
    for block, scale in _blocks(about):
        samples = block.astype(np.float32)
        energies += np.einsum("ct,ct->c", samples, samples) * scale**2
        highest = float(max(samples.max(), -samples.min())) * scale
        if highest >= 1 - STEP:
            magnitude = np.abs(samples) * np.float32(scale)
            full += ((magnitude >= 1 - STEP) & (magnitude <= 1)).sum(axis=1)
        peak = max(peak, highest)
    return Measured(np.sqrt(energies / about.length), peak, full / about.length)


def _blocks(about: AudioInfo) -> Iterator[tuple[Shaped[ndarray, "channel time"], float]]:
    """Blocks and what 1 means in them."""
    mapped = _mapped(about)
    if mapped is None:
        for block in blocks(about.path):
            yield block, 1.0
        return
    for start in range(0, about.length, _BLOCK_FRAMES):
        yield mapped[start : start + _BLOCK_FRAMES].T, STEP


def level_gain(path: Path, level_dbfs: float, layout: str = "") -> float:
    """Return the gain that brings the level of a whole recording to `level_dbfs`.

    The level is the rms of channel 0, or half that of the loudest channel if it is more, as when encoding
    (`codec.coding.pipeline.survey`).

    Raises
    ------
    InputError
        If the recording is silent (a feed, with `layout`: in all channels, any other: in channel 0), or clipped.
    """
    about = measured(path)
    level = max(about.rms[0], about.rms.max() / 2)
    # The dither of a silent recording has an rms of half a step
    if (level if layout else about.rms[0]) < STEP:
        where = "every channel" if layout else "channel 0"
        raise InputError(
            f"{path}: {where} is silent throughout (below {20 * np.log10(STEP):.0f} dBFS); there is nothing to "
            "learn: remove it, or record or export it again"
        )
    worst = int(about.clipped.argmax())
    if about.clipped[worst] > CLIPPED_SHARE:
        raise InputError(
            f"{path}: clipped: {about.clipped[worst]:.2%} of channel {worst} are at full scale, "
            f"{CLIPPED_SHARE:.1%} are accepted; remove it, or export it again with less gain"
        )
    return float(10 ** (level_dbfs / 20) / level)
