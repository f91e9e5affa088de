"""Decode Ambisonic scenes to loudspeaker feeds, in memory or file by file.

Files are read and written block by block, so that memory does not depend on their length. Nothing limits or
scales the feed: values beyond full scale are clipped in integer files and reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from render.common.errors import InputError
from render.common.files import record_path, sha256_of, write_json
from render.common.progress import progress
from render.dsp.block_processing import (
    dithered,
    resampled,
    resampled_length,
    scaled_and_delayed,
    with_low_passed_w,
)
from render.dsp.convolution import Filters, convolved
from render.dsp.loudness import LoudnessMeter
from render.fileio.audio_file import block_count, writer
from render.fileio.scene_file import scene_blocks, scene_info
from render.hoa.layout import Layout, file_order
from render.hoa.scene import Feed, Scene
from render.loudspeakers.calibration import Trim
from render.loudspeakers.design import adapted_to_input, decoder_name, decoding_filters

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True)
class Decoding:
    """How a scene becomes loudspeaker signals.

    Attributes
    ----------
    layout : Layout
    method : str
        A decoder of `render.loudspeakers.design.decoding_filters`.
    convention : str, optional
        Convention of the scene's file: ``sn3d`` (ACN), ``n3d`` (ACN) or ``fuma``; without it what the file says,
        and ACN/SN3D where it says nothing (`render.fileio.scene_file.scene_info`).
    lfe : str
        ``off``: LFE channels are silent, as BS.2127 prescribes. ``libiamf``: they carry W below 120 Hz over the
        square root of the number of other loudspeakers, as libiamf can be compiled to do.
    trims : mapping, optional
        Gain and delay of each loudspeaker by its label (`render.loudspeakers.calibration`); the longest delay
        lengthens the feed.
    """

    layout: Layout
    method: str = "adm"
    convention: str | None = None
    lfe: str = "off"
    trims: Mapping[str, Trim] | None = None


@dataclass(frozen=True)
class FeedFormat:
    """How a feed is written to a file.

    Attributes
    ----------
    subtype : str
        Sample format, see `render.fileio.audio_file.writer`.
    channel_order : str
        ``bs2051``, ``wav`` (rear before side, channel mask set) or a list of labels, as for
        `render.hoa.layout.file_order`.
    sample_rate_hz : int, optional
        The feed is resampled to this rate (soxr VHQ); without it the feed has the rate of the scene.
    dither : bool
        Add triangular dither before rounding, for PCM_16 only.

    Raises
    ------
    InputError
        If dither is asked for with another sample format.
    """

    subtype: str = "PCM_24"
    channel_order: str = "bs2051"
    sample_rate_hz: int | None = None
    dither: bool = False

    def __post_init__(self):
        if self.dither and self.subtype != "PCM_16":
            raise InputError(f"dither is for PCM_16; {self.subtype} needs none")


DEFAULT_FORMAT = FeedFormat()


def decode(scene: Scene, layout: Layout, method: str = "adm") -> Feed:
    """Decode a scene to loudspeaker signals.

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
    decoding: Decoding,
    feed_format: FeedFormat = DEFAULT_FORMAT,
    measure_loudness: bool = True,
    force: bool = False,
) -> dict[str, Any]:
    """Decode a file to a feed and write its record beside it (``FEED.json``).

    Parameters
    ----------
    source, destination : Path
        `source` may be any one of several files of a scene (`render.fileio.scene_file`).
    decoding : Decoding
    feed_format : FeedFormat
    measure_loudness : bool
        Measure the loudness before any trims.
    force : bool
        Replace an existing file that differs.

    Returns
    -------
    dict
        The record: input, decoder and its digest, channels, peak, loudness, clipping.

    Raises
    ------
    InputError
        If the source cannot be read, or there is no such decoder, channel order or file format.
    """
    scene = scene_info(source, decoding.convention)
    rate_hz = feed_format.sample_rate_hz or scene.sample_rate_hz
    permutation, mask = file_order(decoding.layout, feed_format.channel_order)
    layout = decoding.layout.permuted(permutation)
    decoder = decoding_filters(decoding.layout, scene.ambisonic_order, decoding.method, scene.sample_rate_hz)
    filters = adapted_to_input(decoder, decoding.layout, decoding.lfe).permuted(permutation)
    meter = LoudnessMeter(layout, rate_hz) if measure_loudness else None

    signal = scene_blocks(source, convention=decoding.convention)
    signal = progress(signal, f"decode {scene.path.name} in blocks", block_count(scene.length))
    if decoding.lfe != "off":
        signal = with_low_passed_w(signal, scene.sample_rate_hz)
    length = resampled_length(scene.length, scene.sample_rate_hz, rate_hz)
    feed = resampled(convolved(signal, filters), len(layout.labels), scene.sample_rate_hz, rate_hz, length)
    if meter:
        feed = _metered(feed, meter)
    if decoding.trims is not None:
        trims = [decoding.trims[label] for label in layout.labels]
        gains = [10 ** (trim.gain_db / 20) for trim in trims]
        feed = scaled_and_delayed(feed, gains, [round(trim.delay_s * rate_hz) for trim in trims])
    if feed_format.dither:
        feed = dithered(feed, 16)
    channels, subtype = len(layout.labels), feed_format.subtype
    with writer(destination, channels, rate_hz, subtype, force, mask, length=length) as file:
        for block in feed:
            file.write(block)
    first_clipped = None
    if file.first_clipped:
        channel, sample = file.first_clipped
        first_clipped = {"channel": layout.labels[channel], "time_s": sample / rate_hz}
    trims = decoding.trims
    record = {
        "input": scene.path.name if len(scene.paths) == 1 else [path.name for path in scene.paths],
        "ambisonic_order": scene.ambisonic_order,
        "normalisation": scene.convention,
        "contradicts": scene.contradiction or None,
        "decoder": decoder_name(decoding.method),
        "matrix_sha256": _digest(decoder),
        "layout": layout.name,
        "channel_order": feed_format.channel_order,
        "channels": [asdict(loudspeaker) for loudspeaker in layout.loudspeakers],
        "lfe": decoding.lfe,
        "trims": {label: asdict(trim) for label, trim in trims.items()} if trims is not None else None,
        "input_sample_rate_hz": scene.sample_rate_hz,
        "sample_rate_hz": rate_hz,
        "frames": file.length,
        "subtype": feed_format.subtype,
        "dither": "TPDF" if feed_format.dither else None,
        "peak_dbfs": _finite_db(20 * np.log10(file.peak)) if file.peak else None,
        "loudness_lufs": _finite_db(meter.loudness_lufs()) if meter else None,
        "loudness_gated": meter.gated if meter else None,
        "clipped_values": file.clipped,
        "first_clipped": first_clipped,
    }
    write_json(record_path(Path(destination)), record, force=True)
    return record


def _digest(decoder: Filters) -> str:
    """SHA-256 of a decoder's coefficients to nine digits; those of one tap count as a matrix."""
    taps = decoder.taps[:, :, 0] if decoder.taps.shape[2] == 1 else decoder.taps
    return sha256_of((np.round(taps, 9) + 0.0).tolist())


def _metered(
    blocks: Iterable[Float32[ndarray, "channel time"]], meter: LoudnessMeter
) -> Iterator[Float32[ndarray, "channel time"]]:
    for block in blocks:
        meter.add(block)
        yield block


def _finite_db(level: float) -> float | None:
    """Round a level for a record; JSON has no infinity, so silence is None."""
    return round(float(level), 4) if math.isfinite(level) else None
