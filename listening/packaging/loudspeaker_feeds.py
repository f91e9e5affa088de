"""The stimuli of an item as loudspeaker feeds: rendered once, measured, brought to one gain, written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy import ndarray

from listening.test_design.test_plan import Plan
from render.common import files as artefact
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length
from render.dsp.convolution import convolved
from render.dsp.loudness import LoudnessMeter, TruePeakMeter
from render.fileio.audio_file import blocks, info, writer
from render.hoa.layout import Layout, file_order
from render.loudspeakers.design import decoding_filters
from stimuli.excerpts.window import item_gain_db

RATE_HZ = 48_000
EPOCH_S = 946_684_800  # 2000-01-01: the same time stamp on every file, or the order of making would tell


@dataclass(frozen=True)
class Levels:
    """Level of an item: what was measured before the gain, and the gain."""

    loudness_lufs: float
    gated: bool
    true_peak_dbtp: float
    gain_db: float


@dataclass(frozen=True)
class Form:
    """How feeds are rendered and written.

    Attributes
    ----------
    layout : Layout
    decoder : str
        Method of `render.loudspeakers.design.decoding_filters`.
    order : str
        Channel order of the files: bs2051 or wav.
    subtype : str
        Of the WAV files.
    """

    layout: Layout
    decoder: str
    order: str
    subtype: str = "PCM_24"


def feed_blocks(path: Path, layout: Layout, method: str, frames: int) -> Iterator[ndarray]:
    """Render a scene file to `frames` samples at 48 kHz, block by block, in memory independent of its length."""
    about = info(path)
    filters = decoding_filters(layout, about.ambisonic_order, method, about.sample_rate_hz)
    feeds = convolved(blocks(path), filters)
    yield from resampled(feeds, len(filters.taps), about.sample_rate_hz, RATE_HZ, frames)


def write_item(
    item: str, names: dict[str, str], entries: dict[str, Any], build: Path, audio: Path, form: Form, plan: Plan,
    force: bool,
) -> dict[str, Any]:  # fmt: skip
    """Write the audio files of one item below `audio`; return its levels, length and the files' digests.

    Parameters
    ----------
    item : str
    names : dict
        Blind name -> condition; ``reference`` is written besides.
    entries : dict
        Condition -> entry in the manifest.
    """
    paths = {}
    for name, entry in entries.items():
        path = paths[name] = build / entry["file"]
        _check(path, entry["sha256"])
    about = info(paths["href"])
    for path in paths.values():
        if replace(info(path), path=about.path) != about:
            raise InputError(f"{path}: has not the channels, rate and length of {about.path.name}; build it again")
    frames = resampled_length(about.length, about.sample_rate_hz, RATE_HZ)
    audio.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".rendering-", dir=audio) as place:
        rendered = {name: Path(place) / f"{name}.w64" for name in paths}
        levels = render(paths, rendered, form.layout, form.decoder, frames, plan)
        digests = {}
        for file_name, condition in [("reference", "href"), *names.items()]:
            target = audio / item / f"{file_name}.wav"
            _write(rendered[condition], target, levels.gain_db, form, force)
            digests[f"{file_name}.wav"] = digest(target, f"{item}/{target.name}")
    sizes = {(audio / item / name).stat().st_size for name in digests}
    if len(sizes) > 1:
        raise RuntimeError(f"files of item {item} differ in size {sorted(sizes)}, which would tell them apart")
    return {"levels": levels, "frames": frames, "digests": digests}


def _check(path: Path, sha256: str) -> None:

    if not path.is_file() or artefact.sha256(path) != sha256:
        raise InputError(f"{path}: is missing or not what the manifest says; run listening.build again")


def digest(path: Path, name: str) -> str:
    """SHA-256 of a file's name in the package, a zero byte and its content.

    The name is part of it since equal files must not have equal digests: a plain digest in a session file
    would show every browser which stimulus is the hidden reference.
    """
    summed = hashlib.sha256(name.encode() + b"\0")
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            summed.update(block)
    return summed.hexdigest()


def render(
    paths: dict[str, Path], rendered: dict[str, Path], layout: Layout, method: str, frames: int, plan: Plan
) -> Levels:
    """Render all conditions of an item to float files; choose the item's gain.

    Measured are the loudness of the rendered reference and the true peak of all conditions.
    """
    meter, peak_dbtp = LoudnessMeter(layout, RATE_HZ), -np.inf
    for name, path in paths.items():
        peak = TruePeakMeter(len(layout.loudspeakers))
        with writer(rendered[name], len(layout.loudspeakers), RATE_HZ, "FLOAT") as file:
            for block in feed_blocks(path, layout, method, frames):
                if name == "href":
                    meter.add(block)
                peak.add(block)
                file.write(block)
        peak_dbtp = max(peak_dbtp, peak.true_peak_dbtp())
    loudness_lufs = meter.loudness_lufs()
    if not np.isfinite(loudness_lufs):
        raise InputError(f"{paths['href']}: the rendered reference is silent (below -70 LUFS); choose another")
    gain_db = item_gain_db(loudness_lufs, peak_dbtp, plan.target_lufs, plan.headroom_dbtp)
    return Levels(loudness_lufs, meter.gated, peak_dbtp, gain_db)


def _write(rendered: Path, target: Path, gain_db: float, form: Form, force: bool) -> None:

    permutation, mask = file_order(form.layout, form.order)
    gain = np.float32(10 ** (gain_db / 20))
    with writer(target, len(form.layout.loudspeakers), RATE_HZ, form.subtype, force, mask) as file:
        for block in blocks(rendered):
            file.write(gain * block[list(permutation)])
    os.utime(target, (EPOCH_S, EPOCH_S))
