"""Render an Ambisonic scene to loudspeakers.

Reads a file of any order up to 7 (WAV, RF64, BW64, W64, CAF, FLAC) block by block, decodes it for a layout of
ITU-R BS.2051 or IAMF and writes the loudspeaker signals, with a record of what was done beside them (FEED.json).
A scene in several files (a_01-08ch.wav, a_09-16ch.wav) is named by any of them. No limiter and no gain: what
goes beyond full scale is clipped in integer files and reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from render.common.cli import progress
from render.common.errors import InputError
from render.common.files import record_path, sha256_of, write_json
from render.dsp.convolution import Filters, convolved
from render.dsp.loudness import Meter
from render.fileio.audio_file import writer
from render.fileio.block_stream import (
    ahead,
    block_count,
    dithered,
    joined_blocks,
    joined_info,
    parts,
    resampled,
    resampled_length,
    trimmed,
    with_bass,
)
from render.hoa.calibration import Trim
from render.hoa.layout import Layout, file_order
from render.hoa.scene import Feed, Scene
from render.loudspeakers.design import decoding_filters, of_file


def decode(scene: Scene, layout: Layout, method: str = "adm") -> Feed:
    """Loudspeaker signals of a scene.

    Parameters
    ----------
    scene : Scene
    layout : Layout
    method : str
        A decoder of `render.loudspeakers.design.decoding_filters`.

    Raises
    ------
    InputError
        If there is no such decoder for this layout and order.

    Examples
    --------
    >>> import numpy as np
    >>> from render.hoa.layout import layout
    >>> from render.hoa.scene import Scene
    >>> decode(Scene(np.ones((16, 8), np.float32), 48000), layout("7.1.4")).samples.shape
    (12, 8)
    """
    filters = decoding_filters(layout, scene.order, method, scene.sample_rate_hz)
    samples = np.concatenate(list(convolved([scene.samples], filters)), axis=1)
    return Feed(samples, scene.sample_rate_hz, layout)


def decode_file(
    source: Path,
    destination: Path,
    layout: Layout,
    method: str = "adm",
    order: str = "bs2051",
    subtype: str = "PCM_24",
    force: bool = False,
    loudness: bool = True,
    *,
    convention: str = "sn3d",
    lfe: str = "off",
    sample_rate_hz: int | None = None,
    dither: bool = False,
    trims: Mapping[str, Trim] | None = None,
) -> dict[str, Any]:
    """Decode a file block by block and write its record beside it; memory does not depend on the length.

    Parameters
    ----------
    source, destination : Path
        `source` may be one of several files of a scene, see `render.fileio.block_stream.parts`.
    layout : Layout
    method : str
        A decoder of `render.loudspeakers.design.decoding_filters`.
    order : str
        Channel order of the file, ``bs2051``, ``wav`` (rear before side, channel mask set) or a list of labels.
    subtype : str
        Sample format of the file, see `render.fileio.audio_file.writer`.
    force : bool
        Replace an existing file that differs.
    loudness : bool
        Measure the loudness, which takes about as long as decoding; before any trims.
    convention : str
        What the source is: ``sn3d`` (ACN), ``n3d`` (ACN) or ``fuma`` (`render.hoa.spherical_harmonics.to_sn3d`).
    lfe : str
        ``off``: silent, as BS.2127 asks. ``libiamf``: what libiamf feeds it when compiled to, W below 120 Hz over
        the square root of the number of other loudspeakers.
    sample_rate_hz : int, optional
        Rate of the feed, by soxr VHQ; that of the source without.
    dither : bool
        Add triangular noise before rounding to 16 bits.
    trims : mapping, optional
        Gain and delay by label (`render.hoa.calibration`); the delays lengthen the feed.

    Returns
    -------
    dict
        The record: input, decoder and matrix digest, channels, peak, loudness, clipping.
    """
    sources = parts(Path(source))
    about = joined_info(sources)
    rate_hz = sample_rate_hz or about.sample_rate_hz
    permutation, mask = file_order(layout, order)
    speakers = tuple(layout.loudspeakers[index] for index in permutation)
    decoder = decoding_filters(layout, about.ambisonic_order, method, about.sample_rate_hz)
    filters = of_file(decoder, layout, convention, lfe).permuted(permutation)
    meter = None
    if loudness:
        meter = Meter(Layout(layout.name, speakers), rate_hz)
    if dither and subtype != "PCM_16":
        raise InputError(f"dither is for PCM_16; {subtype} needs none")

    scene = progress(joined_blocks(sources), f"decode {about.path.name} in blocks", block_count(about.length))
    if lfe != "off":
        scene = with_bass(scene, about.sample_rate_hz)
    frames = resampled_length(about.length, about.sample_rate_hz, rate_hz)
    feed = resampled(convolved(scene, filters), len(speakers), about.sample_rate_hz, rate_hz, frames)
    feed = _metered(ahead(feed), meter)
    if trims is not None:
        gains = [10 ** (trims[speaker.label].gain_db / 20) for speaker in speakers]
        feed = trimmed(feed, gains, [round(trims[speaker.label].delay_s * rate_hz) for speaker in speakers])
    if dither:
        feed = dithered(feed, 16)
    with writer(destination, len(speakers), rate_hz, subtype, force, mask) as file:
        for block in feed:
            file.write(block)
    first_clipped = None
    if file.first_clipped:
        channel, sample = file.first_clipped
        first_clipped = {"channel": speakers[channel].label, "time_s": sample / rate_hz}
    record = {
        "input": about.path.name if len(sources) == 1 else [path.name for path in sources],
        "ambisonic_order": about.ambisonic_order,
        "normalisation": {"sn3d": "ACN/SN3D", "n3d": "ACN/N3D", "fuma": "FuMa"}[convention],
        "decoder": method,
        "matrix_sha256": _digest(decoder),
        "layout": layout.name,
        "channel_order": order,
        "channels": [asdict(speaker) for speaker in speakers],
        "lfe": lfe,
        "trims": {label: asdict(trim) for label, trim in trims.items()} if trims is not None else None,
        "input_sample_rate_hz": about.sample_rate_hz,
        "sample_rate_hz": rate_hz,
        "frames": file.length,
        "subtype": subtype,
        "dither": "TPDF" if dither else None,
        "peak_dbfs": _db(20 * np.log10(file.peak)) if file.peak else None,
        **_loudness(meter),
        "clipped_values": file.clipped,
        "first_clipped": first_clipped,
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record


def _digest(decoder: Filters) -> str:
    """SHA-256 of a decoder to nine digits: of the matrix where it has no filters."""
    taps = decoder.taps[:, :, 0] if decoder.taps.shape[2] == 1 else decoder.taps
    return sha256_of((np.round(taps, 9) + 0.0).tolist())


def _metered(blocks, meter: Meter | None):
    for block in blocks:
        if meter:
            meter.add(block)
        yield block


def _loudness(meter: Meter | None) -> dict[str, Any]:
    if meter is None:
        return {"loudness_lufs": None, "loudness_gated": None}
    level = meter.integrated_lufs() if meter.gated else meter.ungated_lufs()
    return {"loudness_lufs": _db(level), "loudness_gated": meter.gated}


def _db(level: float) -> float | None:
    """Level for a record, which knows no infinity."""
    return round(float(level), 4) if math.isfinite(level) else None
