"""Signals for setting up the listening room: which loudspeaker is which, and how loud each one is.

identification.wav   every channel in turn, in the order of the files: two bursts of pink noise (LFE: of 60 Hz)
level.wav            every loudspeaker in turn: 5 s of pink noise, -20 dBFS rms, for the sound level meter
tone.wav             1 kHz, 0.3 s, -18 dBFS rms on all loudspeakers together (BS.1534-3, clause 8)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from listening.packaging.feeds import RATE_HZ, FeedFormat
from render.fileio.audio_file import writer
from render.hoa.layout import file_order
from render.loudspeakers.test_signals import NOISE_DBFS, pink_noise

LEVEL_DBFS, TONE_DBFS, TONE_S = -20.0, -18.0, 0.3
_BURST_S, _GAP_S, _LEVEL_S, _FADE_S = 0.35, 0.25, 5.0, 0.01
_BAND_HZ = (20.0, 20_000.0)
NAMES = ("identification.wav", "level.wav", "tone.wav")


def write_signals(folder: Path, form: FeedFormat, force: bool) -> None:
    """Write the three files in the format of the stimuli."""
    permutation, mask = file_order(form.layout, form.channel_order)
    speakers = [form.layout.loudspeakers[index] for index in permutation]
    level, tone = 10 ** (LEVEL_DBFS / 20), np.sqrt(2) * 10 ** (TONE_DBFS / 20)
    gap, length = round(_GAP_S * RATE_HZ), round(_BURST_S * RATE_HZ)
    low = np.sqrt(2) * np.sin(2 * np.pi * 60 * np.arange(length) / RATE_HZ)
    signals = {name: [] for name in NAMES}
    for channel, speaker in enumerate(speakers):
        burst = faded(level * low if speaker.is_lfe else noise(length, channel))
        twice = np.concatenate([burst, np.zeros(gap // 2), burst, np.zeros(2 * gap)])
        signals["identification.wav"].append(_on_channel(channel, len(speakers), twice))
        if not speaker.is_lfe:
            steady = noise(round(_LEVEL_S * RATE_HZ), 100 + channel)
            signals["level.wav"].append(
                _on_channel(channel, len(speakers), np.concatenate([steady, np.zeros(gap)]))
            )
    sine = tone * faded(np.sin(2 * np.pi * 1000 * np.arange(round(TONE_S * RATE_HZ)) / RATE_HZ))
    signals["tone.wav"] = [np.outer([not speaker.is_lfe for speaker in speakers], sine)]
    for name, parts in signals.items():
        with writer(folder / name, len(speakers), RATE_HZ, form.subtype, force, mask) as file:
            for part in parts:
                file.write(part.astype(np.float32))


def noise(length: int, seed: int) -> Float64[ndarray, " time"]:
    """Pink noise at `LEVEL_DBFS`; periodic, so that it may be looped."""
    return 10 ** ((LEVEL_DBFS - NOISE_DBFS) / 20) * pink_noise(length, RATE_HZ, _BAND_HZ, seed).astype(np.float64)


def faded(signal: Float64[ndarray, " time"]) -> Float64[ndarray, " time"]:
    """Raised cosines of 10 ms at both ends."""
    length = round(_FADE_S * RATE_HZ)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    result = signal.copy()
    result[:length] *= ramp
    result[-length:] *= ramp[::-1]
    return result


def _on_channel(
    channel: int, channels: int, signal: Float64[ndarray, " time"]
) -> Float64[ndarray, "channel time"]:
    """Signal on one channel, silence on the others."""
    result = np.zeros((channels, len(signal)))
    result[channel] = signal
    return result
