"""The stimuli of an item as loudspeaker or headphone feeds: rendered once, measured, brought to one gain, written.

The loudness of BS.1770 is defined for loudspeakers. Headphone feeds are measured as two channels of weight 1: its
shelving filter stands for the head (annex 1, stage 1), which is in these signals already and so counts twice. It
aligns the items of one test with each other; it is not comparable with the loudness of loudspeaker feeds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy import ndarray

from analysis.metrics.built_test import REFERENCE
from listening.test_design.test_plan import Plan
from render.common import files
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.dsp.convolution import Filters, convolved
from render.dsp.loudness import LoudnessMeter, TruePeakMeter
from render.fileio.audio_file import blocks, info, writer
from render.headphones.hrir import read_sofa
from render.headphones.renderer import HeadphoneRendering, binaural_filters
from render.hoa.layout import Layout, Loudspeaker, file_order, layout
from render.loudspeakers.design import decoding_filters
from stimuli.excerpts.window import item_gain_db

RATE_HZ = 48_000
EARS = Layout("binaural", (Loudspeaker("left", 90.0, 0.0), Loudspeaker("right", -90.0, 0.0)))
EPOCH_S = 946_684_800  # 2000-01-01, the time stamp of every file: the order of writing would reveal conditions


@dataclass(frozen=True)
class Levels:
    """Level of an item: what was measured before the gain, and the gain.

    Attributes
    ----------
    loudness_lufs : float
        Loudness of the rendered reference (ITU-R BS.1770).
    gated : bool
        Whether it was gated; a reference shorter than a gating block of 0.4 s is not.
    true_peak_dbtp : float
        Highest true peak of all conditions.
    gain_db : float
        Gain of all conditions.
    """

    loudness_lufs: float
    gated: bool
    true_peak_dbtp: float
    gain_db: float


@dataclass(frozen=True)
class FeedFormat:
    """How feeds are rendered and written.

    Attributes
    ----------
    layout : Layout
        Of the files; `EARS` for headphones.
    decoder : str
        Method of `render.loudspeakers.design.decoding_filters`, or how the ear signals are made.
    channel_order : str
        Channel order of the files: ``bs2051`` or ``wav``.
    subtype : str
        Sample format of the WAV files.
    headphones : HeadphoneRendering, optional
        How the ear signals are made; None for loudspeakers.
    """

    layout: Layout
    decoder: str
    channel_order: str
    subtype: str = "PCM_24"
    headphones: HeadphoneRendering | None = None

    @property
    def metered(self) -> Layout:
        """Layout that gives the channels their weights in the measurement of loudness."""
        return layout("stereo") if self.headphones else self.layout

    def filters(self, order: int, sample_rate_hz: int) -> Filters:
        """Filters from the channels of a scene to those of the feed."""
        if self.headphones:
            return _headphone_filters(order, sample_rate_hz, self.headphones, str(self.headphones.head_record))
        return decoding_filters(self.layout, order, self.decoder, sample_rate_hz)


@cache
def _headphone_filters(order: int, sample_rate_hz: int, rendering: HeadphoneRendering, head: str) -> Filters:
    """As `binaural_filters`, designed once for all files of a process; `head` has the digest of the SOFA file."""
    return binaural_filters(order, sample_rate_hz, rendering)[0]


def headphone_format(sofa: Path | None, subtype: str = "PCM_24", via: FeedFormat | None = None) -> FeedFormat:
    """Format of headphone feeds.

    Parameters
    ----------
    sofa : Path, optional
        SOFA file of head-related responses; without it the head is a rigid sphere.
    subtype : str
    via : FeedFormat, optional
        Loudspeaker feeds that the head hears; without it the scene's channels are filtered directly.

    Raises
    ------
    InputError
        If the SOFA file cannot be used.
    """
    if sofa:
        read_sofa(sofa)  # before minutes of rendering
    rendering = HeadphoneRendering(sofa, via=via.layout, decoder=via.decoder) if via else HeadphoneRendering(sofa)
    return FeedFormat(EARS, rendering.method, "bs2051", subtype, rendering)


@dataclass(frozen=True)
class ItemFeeds:
    """What was written for an item.

    Attributes
    ----------
    levels : Levels
    length : int
        Samples per channel at 48 kHz.
    digests : dict
        File name -> `digest`.
    """

    levels: Levels
    length: int
    digests: dict[str, str]


def feed_blocks(path: Path, form: FeedFormat, length: int) -> Iterator[ndarray]:
    """Render a scene file to `length` samples at 48 kHz, block by block; its length does not change the memory."""
    about = info(path)
    filters = form.filters(about.ambisonic_order, about.sample_rate_hz)
    feeds = convolved(blocks(path), filters)
    yield from resampled(feeds, len(filters.taps), about.sample_rate_hz, RATE_HZ, length)


def write_item(
    scenes: dict[str, tuple[Path, str]],
    names: dict[str, str],
    folder: Path,
    temporary: Path,
    form: FeedFormat,
    plan: Plan,
    force: bool,
) -> ItemFeeds:
    """Render the stimuli of an item and write their audio files.

    Parameters
    ----------
    scenes : dict
        Condition -> scene file and its SHA-256.
    names : dict
        Blind name -> condition; ``reference`` is written in addition.
    folder : Path
        Folder of the item's files; its name is the item's id.
    temporary : Path
        Folder outside the package; the renditions lie in it under the names of their conditions.
    form : FeedFormat
    plan : Plan
        Gives the target loudness and the headroom.
    force : bool
        Whether files that differ are replaced.

    Raises
    ------
    InputError
        If a scene is missing, is not what the manifest says, or differs from the reference in channels, rate or
        length; if the rendered reference is silent.
    """
    for path, sha256 in scenes.values():
        if not path.is_file() or files.sha256(path) != sha256:
            raise InputError(f"{path}: is missing or not what the manifest says; run listening.build again")
    paths = {name: path for name, (path, _) in scenes.items()}
    about = info(paths[REFERENCE])
    for path in paths.values():
        if replace(info(path), path=about.path) != about:
            raise InputError(
                f"{path}: differs from {about.path.name} in channels, rate and length; run listening.build again"
            )
    length = resampled_length(about.length, about.sample_rate_hz, RATE_HZ)
    rendered = {name: temporary / folder.name / f"{name}.w64" for name in paths}
    levels = render(paths, rendered, form, length, plan)
    digests = {}
    for name, condition in [("reference", REFERENCE), *names.items()]:
        target = folder / f"{name}.wav"
        _write(rendered[condition], target, levels.gain_db, form, force)
        digests[target.name] = digest(target, f"{folder.name}/{target.name}")
    shutil.rmtree(temporary / folder.name)
    sizes = {(folder / name).stat().st_size for name in digests}
    if len(sizes) > 1:
        raise RuntimeError(f"files of item {folder.name} differ in size {sorted(sizes)}, which would reveal them")
    return ItemFeeds(levels, length, digests)


def digest(path: Path, name: str) -> str:
    """SHA-256 of a file's name in the package, a zero byte and its content.

    The name is included so that equal files have different digests: a plain digest in the session would show every
    browser which stimulus is the hidden reference.
    """
    summed = hashlib.sha256(name.encode() + b"\0")
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            summed.update(block)
    return summed.hexdigest()


def render(paths: dict[str, Path], rendered: dict[str, Path], form: FeedFormat, length: int, plan: Plan) -> Levels:
    """Render all conditions of an item to float files of `length` samples, and choose the item's gain.

    The gain follows from the loudness of the rendered reference and the highest true peak of all conditions.
    """
    channels = len(form.layout.loudspeakers)
    meter, peak_dbtp = LoudnessMeter(form.metered, RATE_HZ), -np.inf
    for name, path in paths.items():
        peak = TruePeakMeter(channels)
        with writer(rendered[name], channels, RATE_HZ, "FLOAT") as file:
            for block in feed_blocks(path, form, length):
                if name == REFERENCE:
                    meter.add(block)
                peak.add(block)
                file.write(block)
        peak_dbtp = max(peak_dbtp, peak.true_peak_dbtp())
    loudness_lufs = meter.loudness_lufs()
    if not np.isfinite(loudness_lufs):
        raise InputError(
            f"{paths[REFERENCE]}: the rendered reference is silent (below -70 LUFS); choose another excerpt"
        )
    gain_db = item_gain_db(loudness_lufs, peak_dbtp, plan.target_lufs, plan.headroom_dbtp)
    return Levels(loudness_lufs, meter.gated, peak_dbtp, gain_db)


def _write(rendered: Path, target: Path, gain_db: float, form: FeedFormat, force: bool) -> None:
    """Write a rendered file with its gain, in the channel order and sample format of the package."""
    permutation, mask = file_order(form.layout, form.channel_order)
    gain = np.float32(10 ** (gain_db / 20))
    with writer(target, len(form.layout.loudspeakers), RATE_HZ, form.subtype, force, mask) as file:
        for block in blocks(rendered):
            file.write(gain * block[list(permutation)])
    os.utime(target, (EPOCH_S, EPOCH_S))
