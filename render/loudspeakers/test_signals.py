"""Write the signals that a lab checks its loudspeakers with, for any layout.

identification: pink noise from each loudspeaker in turn, so that one hears whether every channel arrives where it
should. alignment: the same for as long as a level meter needs; set every loudspeaker to the printed level
(BS.1116-3, clause 8.4). polarity: one positive pulse per loudspeaker, for an oscilloscope. LFE channels get pink
noise from 20 to 120 Hz. The record beside the file (OUT.json) tells when each channel sounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.common.files import record_path, write_json
from render.fileio.audio_file import writer
from render.hoa.layout import Layout, file_order

# Kind -> seconds of sound and of silence after it
KINDS = {"identification": (1.0, 0.5), "alignment": (10.0, 1.0), "polarity": (0.05, 0.95)}


NOISE_DBFS = -18.0  # rms of a sine of full scale being -3.01 dBFS, as BS.1116 counts


_PULSE_DBFS, _PULSE_S = -12.0, 2e-3


_BAND_HZ, _LFE_BAND_HZ = (20.0, 20_000.0), (20.0, 120.0)


_FADE_S = 0.01


def pink_noise(
    frames: int, sample_rate_hz: int, band_hz: tuple[float, float], seed: int
) -> Float32[ndarray, " time"]:
    """Pink noise in a band, -18 dBFS rms: the same power in every octave, periodic in `frames`."""
    hz = np.fft.rfftfreq(frames, 1 / sample_rate_hz)
    inside = (hz >= band_hz[0]) & (hz <= min(band_hz[1], 0.45 * sample_rate_hz))
    phase = np.random.Generator(np.random.Philox(seed)).uniform(0, 2 * np.pi, hz.size)
    spectrum = np.where(inside, 1 / np.sqrt(np.maximum(hz, 1.0)), 0) * np.exp(1j * phase)
    noise = np.fft.irfft(spectrum, frames)
    return (noise / np.sqrt(np.mean(np.square(noise))) * 10 ** (NOISE_DBFS / 20)).astype(np.float32)


def signal(layout: Layout, kind: str, sample_rate_hz: int) -> Iterator[Float32[ndarray, "channel time"]]:
    """Blocks of the signal, one loudspeaker each, channels in BS.2051 order."""
    sound_s, silence_s = KINDS[kind]
    sounding, frames = round(sound_s * sample_rate_hz), round((sound_s + silence_s) * sample_rate_hz)
    fade = np.sin(np.pi / 2 * np.linspace(0, 1, round(_FADE_S * sample_rate_hz), dtype=np.float32)) ** 2
    for index, speaker in enumerate(layout.loudspeakers):
        block = np.zeros((len(layout.loudspeakers), frames), np.float32)
        if kind == "polarity":
            block[index, : round(_PULSE_S * sample_rate_hz)] = 10 ** (_PULSE_DBFS / 20)
        else:
            band_hz = _LFE_BAND_HZ if speaker.is_lfe else _BAND_HZ
            block[index, :sounding] = pink_noise(sounding, sample_rate_hz, band_hz, index)
            block[index, : fade.size] *= fade
            block[index, sounding - fade.size : sounding] *= fade[::-1]
        yield block


def level_dba(layout: Layout) -> float:
    """Level of each loudspeaker at the listener: 85 - 10 lg(n) dB(A) for n full-range ones (BS.1116-3, 8.4)."""
    return 85.0 - 10 * math.log10(sum(not speaker.is_lfe for speaker in layout.loudspeakers))


def write(
    layout: Layout,
    kind: str,
    destination: Path,
    sample_rate_hz: int = 48_000,
    order: str = "bs2051",
    force: bool = False,
) -> dict[str, Any]:
    """Write a signal (24 bit) and its record; `order` as in `render.hoa.layout.file_order`."""
    permutation, mask = file_order(layout, order)
    with writer(destination, len(permutation), sample_rate_hz, "PCM_24", force, mask) as file:
        for block in signal(layout, kind, sample_rate_hz):
            file.write(block[list(permutation)])
    length_s = sum(KINDS[kind])
    record = {
        "kind": kind,
        "layout": layout.name,
        "channel_order": order,
        "sample_rate_hz": sample_rate_hz,
        "level": f"peak {_PULSE_DBFS} dBFS" if kind == "polarity" else f"rms {NOISE_DBFS} dBFS",
        "listening_level_dba": round(level_dba(layout), 2) if kind == "alignment" else None,
        "channels": [
            {"channel": permutation.index(index) + 1, "label": speaker.label, "from_s": index * length_s}
            for index, speaker in enumerate(layout.loudspeakers)
        ],
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record
