"""Levels and covariances of an audio file's channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from scipy.signal import butter, sosfilt

from render.fileio.scene_file import scene_files, split_blocks, split_info

if TYPE_CHECKING:
    from jaxtyping import Float

# Recordings of microphone arrays are complete in all orders here, below spatial aliasing
_BAND_HZ = (1000.0, 5000.0)


@dataclass(frozen=True, eq=False)
class ChannelLevels:
    """Levels of the channels of a file; full scale is 1.

    Attributes
    ----------
    peak, dc : (channel,)
        Largest magnitude and mean of each channel.
    rms, band_rms : (channel,)
        Root mean square of each channel, broadband and from 1 to 5 kHz.
    full_scale : int
        Number of values at or beyond full scale, in all channels.
    covariance : (channel, channel)
        From 1 to 5 kHz.
    first_full_scale : tuple of int, or None
        Channel and sample of the first value at full scale.
    """

    peak: Float[ndarray, " channel"]
    dc: Float[ndarray, " channel"]
    rms: Float[ndarray, " channel"]
    band_rms: Float[ndarray, " channel"]
    full_scale: int
    covariance: Float[ndarray, "channel channel"]
    first_full_scale: tuple[int, int] | None


def channel_levels(path: Path) -> ChannelLevels:
    """Measure a file, or all files of a scene that it is a part of, block by block, as they are.

    Raises
    ------
    InputError
        If the file is damaged or a sample is not finite, as `render.fileio.audio_file.blocks`.
    """
    paths = scene_files(path)
    about = split_info(paths)
    high_hz = min(_BAND_HZ[1], 0.45 * about.sample_rate_hz)
    band = butter(2, (_BAND_HZ[0], high_hz), "bandpass", fs=about.sample_rate_hz, output="sos")
    state = np.zeros((len(band), about.channels, 2))
    peak, total, energy = np.zeros((3, about.channels))
    covariance = np.zeros((about.channels, about.channels))
    full_scale, first, position = 0, None, 0
    # The largest integer of a sample format below 32 bits, as a fraction of full scale
    highest = 1.0 - 2.0**-15 if about.subtype == "PCM_16" else 1.0 - 2.0**-23
    for block in split_blocks(paths):
        magnitude = np.abs(block)
        peak = np.maximum(peak, magnitude.max(axis=1))
        if peak.max() >= highest:
            at = np.argwhere((magnitude >= highest).T)
            if full_scale == 0 and len(at):
                first = (int(at[0, 1]), position + int(at[0, 0]))
            full_scale += len(at)
        position += block.shape[1]
        total += block.sum(axis=1, dtype=np.float64)
        energy += np.square(block, dtype=np.float64).sum(axis=1)
        in_band, state = sosfilt(band, block, axis=1, zi=state)
        covariance += in_band @ in_band.T
    covariance /= about.length
    rms, band_rms = np.sqrt(energy / about.length), np.sqrt(np.diag(covariance))
    return ChannelLevels(peak, total / about.length, rms, band_rms, full_scale, covariance, first)
