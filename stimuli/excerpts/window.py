"""The window of a recording that becomes a test excerpt: how it is read, coded, trimmed, faded and levelled.

An excerpt is coded together with one second of the recording on either side, the *rolls*, which are cut off
again after decoding. They hide how a codec starts and stops.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from render.common.errors import InputError
from render.fileio.scene_file import scene_info, scene_samples
from render.hoa.scene import Scene

ROLL_S = 1.0
FADE_S = 0.05


@dataclass(frozen=True)
class Window:
    """An excerpt of a recording, in samples, and why it was chosen.

    Attributes
    ----------
    start, length : int
        First sample of the excerpt and its number of samples, without rolls.
    roll : int
        Number of samples that are coded before and after it.
    score : float or None
        How critical the excerpt is: a sum of z-scores over all candidates (`stimuli.excerpts.selection`). None
        where there was no choice.
    conditions_met : bool
        Whether it meets the hard conditions of the selection.
    anchor_loss : float or None
        Share of W's loudness that the 3.5 kHz low anchor removes, 0 to 1; None where it was not measured.
    """

    start: int
    length: int
    roll: int
    score: float | None
    conditions_met: bool
    anchor_loss: float | None = None

    def record(self) -> dict[str, Any]:
        """Contents of ``window`` in a manifest, where `length` is stored under the name ``frames``."""
        return {"frames" if name == "length" else name: value for name, value in asdict(self).items()}


def read_with_rolls(path: Path, window: Window) -> Scene:
    """Read a window with `window.roll` samples on either side; beyond the ends of the file it is mirrored.

    Raises
    ------
    InputError
        If the file ends before the window does.
    """
    total, end = scene_info(path).length, window.start + window.length
    if end > total:
        raise InputError(f"{path}: {total} samples, but the excerpt ends at sample {end}")
    before, after = min(window.roll, window.start), min(window.roll, total - end)
    samples, rate_hz = scene_samples(path, window.start - before, before + window.length + after)
    padded = np.pad(samples, ((0, 0), (window.roll - before, window.roll - after)), mode="reflect")
    return Scene(np.ascontiguousarray(padded), rate_hz)


def without_rolls(scene: Scene, window: Window) -> Scene:
    """Cut the rolls off: the inverse of the padding by `read_with_rolls`."""
    kept = scene.samples[:, window.roll : window.roll + window.length]
    return Scene(np.ascontiguousarray(kept), scene.sample_rate_hz)


def apply_fades(scene: Scene) -> Scene:
    """Fade in and out with a raised cosine over 50 ms each, but at most over half the scene."""
    length = min(round(FADE_S * scene.sample_rate_hz), scene.length // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
    samples = scene.samples.copy()
    samples[:, :length] *= ramp
    samples[:, scene.length - length :] *= ramp[::-1]
    return Scene(samples, scene.sample_rate_hz)


def item_gain_db(loudness_lufs: float, true_peak_dbtp: float, target_lufs: float, headroom_dbtp: float) -> float:
    """Gain in dB that brings an item to its target loudness while its true peak stays within the headroom.

    All conditions of an item share this gain. Normalising each condition on its own would raise those that lack
    part of the spectrum, such as the low anchor.
    """
    return min(target_lufs - loudness_lufs, headroom_dbtp - true_peak_dbtp)
