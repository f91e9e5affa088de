"""Recordings to train on: their samples as 16-bit integers, and the gain that brings each to one level."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int16, Shaped
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, blocks, info, read
from render.fileio.container import read_header

INT16_SCALE = 2.0**-15  # value of an integer of 1 in 16-bit PCM, full scale being 1
MAX_CLIPPED_SHARE = 1e-3
_BLOCK_SAMPLES = 32_768


@dataclass(frozen=True)
class SignalFormat:
    """What all recordings of a run have in common.

    Attributes
    ----------
    channels : int
    sample_rate_hz : int
    layout : str
        Name of the loudspeaker layout, or "" for Ambisonics.
    """

    channels: int
    sample_rate_hz: int
    layout: str = ""


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of a whole recording, full scale being 1.

    Attributes
    ----------
    rms : float64 (channel,)
    peak : float
        Largest magnitude of any sample.
    clipped : float64 (channel,)
        Share of the samples within 2^-15 of full scale.
    """

    rms: Float64[ndarray, " channel"]
    peak: float
    clipped: Float64[ndarray, " channel"]


class Int16Samples:
    """Samples of an audio file as 16-bit integers.

    16-bit PCM (as `stimuli.prepare` writes it) is copied from the mapped file. Any other format is decoded and
    rounded at each access.

    Parameters
    ----------
    path : Path
    peak : float, optional
        Largest magnitude of the file's samples, needed unless they are 16-bit PCM: `scale` is then the smallest
        power of two with which no sample clips, so that quiet 24-bit recordings keep their resolution.

    Attributes
    ----------
    about : AudioInfo
    scale : float
        Value of an integer of 1, full scale being 1.
    """

    def __init__(self, path: Path, peak: float = 1.0):
        self.about = info(path)
        self.scale = INT16_SCALE
        self._mapped = _mapped(self.about)
        if self._mapped is None:
            self.scale *= 2.0 ** np.ceil(np.log2(max(peak, INT16_SCALE) / (1 - INT16_SCALE)))

    def copy(self, start: int, into: Int16[ndarray, "time channel"]) -> None:
        """Fill `into` with the samples from `start` on."""
        if self._mapped is not None:
            np.copyto(into, self._mapped[start : start + len(into)])
            return
        samples, _ = read(self.about.path, start, len(into))
        np.copyto(into, np.rint(samples.T / np.float32(self.scale)), casting="unsafe")


@dataclass(frozen=True, eq=False)
class NormalisedRecording:
    """A recording and the gain that brings it to the level of the network's input.

    Attributes
    ----------
    samples : Int16Samples
    gain : float
        One gain for all channels, which keeps the level differences between them.
    peak : float
        Largest magnitude of the samples before the gain, full scale being 1.
    """

    samples: Int16Samples
    gain: float
    peak: float

    @property
    def path(self) -> Path:
        """The audio file."""
        return self.samples.about.path

    @property
    def length(self) -> int:
        """Samples per channel."""
        return self.samples.about.length

    @property
    def factor(self) -> float:
        """Factor from the integers of the file to the level of the network's input."""
        return self.gain * self.samples.scale


def open_recordings(
    paths: list[Path], signal_format: SignalFormat, level_dbfs: float, min_length: int = 1
) -> list[NormalisedRecording]:
    """Open recordings, each with the gain that brings it to `level_dbfs` (`level_gain`).

    Every file is read once as a whole to measure its levels, several at a time.

    Raises
    ------
    InputError
        If there is none; if one has another rate or number of channels than `signal_format`, or fewer than
        `min_length` samples per channel; if one is silent or clipped.
    """
    check_format(paths, signal_format, min_length)

    def opened(path: Path) -> NormalisedRecording:
        levels = measure_levels(path)
        gain = level_gain(levels, level_dbfs, str(path), signal_format.layout)
        return NormalisedRecording(Int16Samples(path, levels.peak), gain, levels.peak)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(opened, paths))


def check_format(paths: list[Path], signal_format: SignalFormat, min_length: int = 1) -> None:
    """Raise `InputError` unless there are recordings, all of the format and with `min_length` samples or more."""
    if not paths:
        raise InputError("there are no recordings to take excerpts from")
    for path in paths:
        about = info(path)
        if (about.channels, about.sample_rate_hz) != (signal_format.channels, signal_format.sample_rate_hz):
            raise InputError(
                f"{path}: {about.channels} channels at {about.sample_rate_hz} Hz; the model takes "
                f"{signal_format.channels} at {signal_format.sample_rate_hz} Hz; run stimuli.prepare first"
            )
        if about.length < min_length:
            raise InputError(
                f"{path}: {about.length} samples ({about.duration_s:.2f} s), an excerpt needs {min_length}; use a "
                "smaller excerpt_frames, or remove the recording"
            )


def _mapped(about: AudioInfo) -> Int16[ndarray, "time channel"] | None:
    """Map the samples of a file; None unless it holds them as little-endian 16-bit integers."""
    if about.subtype != "PCM_16" or about.container == "FLAC":
        return None
    with open(about.path, "rb") as file:
        header = read_header(file, str(about.path))
    if header.big_endian:
        return None
    shape = (header.length, header.channels)
    return np.asarray(np.memmap(about.path, "<i2", "r", header.data_offset, shape))


def measure_levels(path: Path) -> Levels:
    """Measure a recording in one pass, block by block."""
    about = info(path)
    energies, full_scale, peak = np.zeros(about.channels), np.zeros(about.channels), 0.0
    for block, scale in _blocks(about):
        samples = block.astype(np.float32)
        energies += np.einsum("ct,ct->c", samples, samples) * scale**2
        highest = float(max(samples.max(), -samples.min())) * scale
        if highest >= 1 - INT16_SCALE:
            magnitude = np.abs(samples) * np.float32(scale)
            full_scale += ((magnitude >= 1 - INT16_SCALE) & (magnitude <= 1)).sum(axis=1)
        peak = max(peak, highest)
    return Levels(np.sqrt(energies / about.length), peak, full_scale / about.length)


def _blocks(about: AudioInfo) -> Iterator[tuple[Shaped[ndarray, "channel time"], float]]:
    """Yield blocks of samples and the value of a sample of 1 in them."""
    mapped = _mapped(about)
    if mapped is None:
        for block in blocks(about.path):
            yield block, 1.0
        return
    for start in range(0, about.length, _BLOCK_SAMPLES):
        yield mapped[start : start + _BLOCK_SAMPLES].T, INT16_SCALE


def level_gain(levels: Levels, level_dbfs: float, where: str, layout: str = "") -> float:
    """Return the gain that brings the level of a whole recording to `level_dbfs`.

    The level is the rms of channel 0, or half that of the loudest channel if that is more, as in the encoder
    (`codec.coding.pipeline`).

    Parameters
    ----------
    levels : Levels
    level_dbfs : float
    where : str
        Name of the recording in error messages.
    layout : str
        Name of the loudspeaker layout of a feed; "" for Ambisonics.

    Raises
    ------
    InputError
        If channel 0 of a scene, or every channel of a feed, is silent; if more than 0.1 % of a channel is clipped.
    """
    level = max(levels.rms[0], levels.rms.max() / 2)
    # The dither of a silent recording has an rms of half a quantisation step
    if (level if layout else levels.rms[0]) < INT16_SCALE:
        silent = "every channel" if layout else "channel 0"
        raise InputError(
            f"{where}: {silent} is silent throughout (below {20 * np.log10(INT16_SCALE):.0f} dBFS), so there is "
            "nothing to learn from it; remove it, or record or export it again"
        )
    worst = int(levels.clipped.argmax())
    if levels.clipped[worst] > MAX_CLIPPED_SHARE:
        raise InputError(
            f"{where}: clipped: {levels.clipped[worst]:.2%} of channel {worst} is at full scale, at most "
            f"{MAX_CLIPPED_SHARE:.1%} is accepted; remove it, or export it again with less gain"
        )
    return float(10 ** (level_dbfs / 20) / level)
