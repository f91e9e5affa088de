"""Test signals for checking the loudspeakers of a listening room.

- identification: pink noise from each loudspeaker in turn, to hear whether every channel arrives where it should.
- alignment: the same, long enough for a sound level meter (BS.1116-3, clause 8.4).
- polarity: one positive pulse from each loudspeaker, for an oscilloscope.

LFE channels carry pink noise from 20 to 120 Hz.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from render.common.files import record_path, write_json
from render.fileio.audio_file import writer
from render.hoa.layout import Layout, file_order

if TYPE_CHECKING:
    from jaxtyping import Float32

# Kind -> seconds of sound and of the silence after it
KINDS = {"identification": (1.0, 0.5), "alignment": (10.0, 1.0), "polarity": (0.05, 0.95)}
NOISE_DBFS = -18.0  # rms, where a full-scale sine has -3.01 dBFS, as in BS.1116
_PULSE_DBFS, _PULSE_S = -12.0, 2e-3
_BAND_HZ, _LFE_BAND_HZ = (20.0, 20_000.0), (20.0, 120.0)
_FADE_S = 0.01


def pink_noise(
    length: int, sample_rate_hz: int, band_hz: tuple[float, float], seed: int
) -> Float32[ndarray, " time"]:
    """Band-limited pink noise of -18 dBFS rms: the same power in every octave, periodic in `length` samples."""
    hz = np.fft.rfftfreq(length, 1 / sample_rate_hz)
    inside = (hz >= band_hz[0]) & (hz <= min(band_hz[1], 0.45 * sample_rate_hz))
    phase = np.random.Generator(np.random.Philox(seed)).uniform(0, 2 * np.pi, hz.size)
    spectrum = np.where(inside, 1 / np.sqrt(np.maximum(hz, 1.0)), 0) * np.exp(1j * phase)
    noise = np.fft.irfft(spectrum, length)
    return (noise / np.sqrt(np.mean(np.square(noise))) * 10 ** (NOISE_DBFS / 20)).astype(np.float32)


def signal_blocks(layout: Layout, kind: str, sample_rate_hz: int) -> Iterator[Float32[ndarray, "channel time"]]:
    """Yield the blocks of a test signal, one for each loudspeaker, with channels in BS.2051 order."""
    sound_s, silence_s = KINDS[kind]
    sounding, length = round(sound_s * sample_rate_hz), round((sound_s + silence_s) * sample_rate_hz)
    fade = np.sin(np.pi / 2 * np.linspace(0, 1, round(_FADE_S * sample_rate_hz), dtype=np.float32)) ** 2
    for index, speaker in enumerate(layout.loudspeakers):
        block = np.zeros((len(layout.loudspeakers), length), np.float32)
        if kind == "polarity":
            block[index, : round(_PULSE_S * sample_rate_hz)] = 10 ** (_PULSE_DBFS / 20)
        else:
            band_hz = _LFE_BAND_HZ if speaker.is_lfe else _BAND_HZ
            block[index, :sounding] = pink_noise(sounding, sample_rate_hz, band_hz, index)
            block[index, : fade.size] *= fade
            block[index, sounding - fade.size : sounding] *= fade[::-1]
        yield block


def listening_level_dba(layout: Layout) -> float:
    """Level of each of n full-range loudspeakers at the listener: 85 - 10 lg(n) dB(A) (BS.1116-3, clause 8.4)."""
    return 85.0 - 10 * math.log10(len(layout.full_range))


def write_signal(
    layout: Layout,
    kind: str,
    destination: Path,
    sample_rate_hz: int = 48_000,
    order: str = "bs2051",
    force: bool = False,
) -> dict[str, Any]:
    """Write a test signal (24 bit) and its record, ``OUT.json``, with the time at which each channel sounds.

    Parameters
    ----------
    layout : Layout
    kind : str
        A key of `KINDS`.
    destination : Path
    sample_rate_hz : int
    order : str
        Channel order of the file, see `render.hoa.layout.file_order`.
    force : bool
        Replace an existing file that differs.

    Returns
    -------
    dict
        The record.
    """
    permutation, mask = file_order(layout, order)
    with writer(destination, len(permutation), sample_rate_hz, "PCM_24", force, mask) as file:
        for block in signal_blocks(layout, kind, sample_rate_hz):
            file.write(block[list(permutation)])
    length_s = sum(KINDS[kind])
    record = {
        "kind": kind,
        "layout": layout.name,
        "channel_order": order,
        "sample_rate_hz": sample_rate_hz,
        "level": f"peak {_PULSE_DBFS} dBFS" if kind == "polarity" else f"rms {NOISE_DBFS} dBFS",
        "listening_level_dba": round(listening_level_dba(layout), 2) if kind == "alignment" else None,
        "channels": [
            {"channel": permutation.index(index) + 1, "label": speaker.label, "from_s": index * length_s}
            for index, speaker in enumerate(layout.loudspeakers)
        ],
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record
