"""Say what an audio file is.

Prints container, sample format, channels and length; for an Ambisonic file its order, the level of each
order and which normalisation (SN3D, N3D) that speaks for, which channel order (ACN, FuMa) the covariances speak
for, with the evidence; peak, clipping, DC and silent channels. Nothing is converted. A non-finite sample is an
error that names channel and position. With --layout the file is a loudspeaker feed: loudness and true peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import butter, sosfilt

from render.fileio.audio_file import blocks, info
from render.hoa.spherical_harmonics import acn_orders

# Where recordings of microphone arrays are complete in all orders, below spatial aliasing
_BAND_HZ = (1000.0, 5000.0)


_UNCLEAR_DB = 2.0


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of a file, full scale being 1.

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
        Channel and sample of the first of the values at full scale.
    """

    peak: Float[ndarray, " channel"]
    dc: Float[ndarray, " channel"]
    rms: Float[ndarray, " channel"]
    band_rms: Float[ndarray, " channel"]
    full_scale: int
    covariance: Float[ndarray, "channel channel"]
    first_full_scale: tuple[int, int] | None


def levels(path: Path) -> Levels:
    """Measure a file block by block; InputError if it is damaged or not finite."""
    about = info(path)
    high_hz = min(_BAND_HZ[1], 0.45 * about.sample_rate_hz)
    band = butter(2, (_BAND_HZ[0], high_hz), "bandpass", fs=about.sample_rate_hz, output="sos")
    state = np.zeros((len(band), about.channels, 2))
    peak, total, energy = np.zeros((3, about.channels))
    covariance = np.zeros((about.channels, about.channels))
    full_scale, first, position = 0, None, 0
    # The largest integer of a sample format below 32 bits, as a fraction of full scale
    highest = 1.0 - 2.0**-15 if about.subtype == "PCM_16" else 1.0 - 2.0**-23
    for block in blocks(path):
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
    frames = about.length
    covariance /= frames
    rms, band_rms = np.sqrt(energy / frames), np.sqrt(np.diag(covariance))
    return Levels(peak, total / frames, rms, band_rms, full_scale, covariance, first)


def order_levels_db(rms: Float[ndarray, " acn"]) -> Float[ndarray, " order"]:
    """Level of all channels of each order together, relative to W, in dB.

    In SN3D the squared harmonics of an order sum to 1 in every direction (Unsöld), so each order is as
    strong as W, for one source as for many uncorrelated ones; in N3D order n is 10·lg(2n+1) stronger.
    """
    power = np.bincount(acn_orders(int(np.sqrt(len(rms))) - 1), np.square(rms))
    return 10 * np.log10(np.maximum(power, 1e-30) / np.maximum(power[0], 1e-30))


def normalisation(level_db: Float[ndarray, " order"]) -> tuple[str, dict[str, float]]:
    """Guess the normalisation from the levels of the orders.

    Returns
    -------
    name : str
        SN3D, N3D, or unclear if the mean deviations from both differ by less than 2 dB.
    deviation_db : dict
        Mean absolute deviation of the orders from each hypothesis.
    """
    orders = np.arange(1, len(level_db))
    expected = {"SN3D": np.zeros(len(orders)), "N3D": 10 * np.log10(2 * orders + 1)}
    deviation = {name: float(np.abs(level_db[1:] - level).mean()) for name, level in expected.items()}
    best, second = sorted(deviation, key=deviation.__getitem__)
    return (best if deviation[second] - deviation[best] >= _UNCLEAR_DB else "unclear"), deviation


def _db(value: float) -> str:
    return f"{20 * math.log10(value):.1f}" if value > 0 else "-inf"
