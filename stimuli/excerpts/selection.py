"""Excerpts for listening: which seconds of a recording, what lies around them, how they begin and end.

The window of a recording is chosen by written criteria, without listening and without any codec. Candidates
begin on full seconds. Hard conditions: no sample at full scale; the level of W within 6 dB of the median of
all candidates; no step of more than 6 dB between the first or last half second and its neighbour; in
recordings over a minute, nothing of the first and last 20 s, where the recordist handles the equipment; and
the 3.5 kHz low anchor must lose at least 10 % of W's loudness (`stimuli.excerpts.audibility`), since an anchor
that
nobody hears anchors nothing. Among what is left the most critical wins, by the sum of three z-scores:
transients (95th percentile of the spectral flux), spread of the directions of arrival, and mixture of direct
and diffuse sound (variance of the diffuseness). Where no window lets the anchor be heard, the one wins that
does so best; if nothing is left, the conditions are dropped; the record says both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.common.errors import InputError
from render.fileio.audio_file import blocks, info, read
from render.hoa.scene import Scene
from stimuli.excerpts.audibility import LOW_ANCHOR_HZ, anchor_loss, band_powers

ROLL_S = 1.0  # coded with the excerpt on both sides and thrown away: hides how codecs begin and end
FADE_S = 0.05
ANCHOR_LOSS = 0.1
_HANDLING_S = 20.0
_SLICE_S = 0.5
_FULL_SCALE = 1 - 2.0**-15  # the largest sample that 16 bits hold
_WINDOW = 1024


@dataclass(frozen=True)
class Window:
    """An excerpt of a recording, in samples, and why it was chosen.

    Attributes
    ----------
    start, frames : int
        The excerpt itself.
    roll : int
        Samples to be coded before and after it.
    score : float or None
        Sum of z-scores; None where there was no choice.
    conditions_met : bool
        Whether it meets the hard conditions.
    anchor_loss : float or None
        Share of W's loudness that the 3.5 kHz low anchor loses, 0 to 1; None where it was not measured.
    """

    start: int
    frames: int
    roll: int
    score: float | None
    conditions_met: bool
    anchor_loss: float | None = None


def choose_window(path: Path, seconds: float) -> Window:
    """Choose an excerpt of `seconds` from a recording; a shorter recording is used whole.

    Reads block by block; memory does not depend on the length. `seconds` must be 1 or more, as the
    criteria compare the half seconds of a window.
    """
    about = info(path)
    rate = about.sample_rate_hz
    frames, roll = round(seconds * rate), round(ROLL_S * rate)
    features, powers = _features(path, rate)
    if about.length <= frames:
        lost = _share(anchor_loss(*powers.mean(axis=0))) if len(powers) else None
        return Window(0, about.length, roll, None, True, lost)
    count = round(seconds / _SLICE_S)
    per_second = round(1 / _SLICE_S)
    last = min(len(features) - count, (about.length - frames) * per_second // rate)
    margin = _HANDLING_S if about.duration_s > 60 else ROLL_S if about.duration_s >= seconds + 2 * ROLL_S else 0
    first = round(margin * per_second)
    candidates = range(0, max(last, 0) + 1, per_second)
    starts = [s for s in candidates if first <= s <= last - first]
    undisturbed = bool(starts) or margin < _HANDLING_S
    starts = starts or list(candidates)
    windows = np.stack([features[s : s + count] for s in starts])
    level = 10 * np.log10(windows[..., 0].mean(1) + 1e-20)
    slices = 10 * np.log10(windows[..., 0] + 1e-20)
    steps = np.maximum(np.abs(slices[:, 1] - slices[:, 0]), np.abs(slices[:, -1] - slices[:, -2]))
    met = (np.abs(level - np.median(level)) <= 6) & (steps <= 6) & (windows[..., 1].max(1) < _FULL_SCALE)
    mean_powers = np.stack([powers[s : s + count].mean(axis=0) for s in starts])
    lost = anchor_loss(mean_powers[:, 0], mean_powers[:, 1])
    heard = lost >= ANCHOR_LOSS
    criteria = np.stack(
        [
            np.percentile(windows[..., 2], 95, axis=1),
            windows[..., 3].mean(1),
            windows[..., 4].std(1),
        ]
    )
    scores = _z_scores(criteria).sum(0)
    allowed, wanted = (met if met.any() else np.ones_like(met)), scores
    if (allowed & heard).any():
        allowed = allowed & heard
    else:
        wanted = lost
    best = int(np.argmax(np.where(allowed, wanted, -np.inf)))
    return Window(
        starts[best] * rate // per_second,
        frames,
        roll,
        round(float(scores[best]), 4),
        bool(met[best] and heard[best]) and undisturbed,
        _share(lost[best]),
    )


def _share(value: Float[ndarray, ""]) -> float:
    return round(float(value), 4)


def _z_scores(values: Float[ndarray, "criterion window"]) -> Float[ndarray, "criterion window"]:
    deviation = values.std(1, keepdims=True)
    return np.divide(values - values.mean(1, keepdims=True), deviation, where=deviation > 1e-12,
                     out=np.zeros_like(values))  # fmt: skip


def _features(path: Path, rate: int) -> tuple[Float[ndarray, "slice feature"], Float[ndarray, "slice 2 band"]]:
    """Of every half second: features, and critical-band powers of W, as it is and without all above 3.5 kHz.

    The features are power of W, peak, spectral flux, direction spread (degrees) and diffuseness.
    """
    size = round(_SLICE_S * rate)
    rows, powers = [], []
    for block in blocks(path, block_frames=size):
        if block.shape[1] == size:
            rows.append(_slice_features(block))
            powers.append(_critical_bands(block[0], rate))
    return np.array(rows), np.array(powers)


def _critical_bands(pressure: Float[ndarray, " time"], rate: int) -> Float[ndarray, "2 band"]:
    hops = len(pressure) // _WINDOW
    frames = pressure[: hops * _WINDOW].reshape(hops, _WINDOW).astype(np.float64) * np.hanning(_WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)
    frequency_hz = np.fft.rfftfreq(_WINDOW, 1 / rate)
    return np.stack(
        [band_powers(power, frequency_hz), band_powers(power * (frequency_hz <= LOW_ANCHOR_HZ), frequency_hz)]
    )


def _slice_features(block: Float[ndarray, "acn time"]) -> list[float]:
    hops = block.shape[1] // _WINDOW
    frames = block[:4, : hops * _WINDOW].reshape(4, hops, _WINDOW).astype(np.float64) * np.hanning(_WINDOW)
    spectrum = np.fft.rfft(frames)
    w, y, z, x = spectrum
    magnitude = np.abs(w)
    flux = np.maximum(np.diff(magnitude, axis=0), 0).sum(1) / (magnitude[:-1].sum(1) + 1e-12)
    # DirAC: active intensity and energy density, per band of 8 bins (340 Hz) and 23 ms frame
    intensity = np.real(np.conj(w) * np.stack([x, y, z]))
    energy = 0.5 * (np.abs(spectrum) ** 2).sum(0)
    bands = 8 * (intensity.shape[-1] // 8)
    intensity = intensity[..., :bands].reshape(3, hops, -1, 8).sum(-1)
    energy = energy[..., :bands].reshape(hops, -1, 8).sum(-1)
    directness = np.linalg.norm(intensity, axis=0)
    diffuseness = 1 - directness.sum() / (energy.sum() + 1e-20)
    mean_vector = np.linalg.norm(intensity.sum((1, 2))) / (directness.sum() + 1e-20)
    spread_deg = np.degrees(np.arccos(np.clip(mean_vector, 0, 1)))
    power = float(np.square(block[0], dtype=np.float64).mean())
    return [
        power,
        float(np.abs(block).max()),
        float(np.percentile(flux, 95)),
        float(spread_deg),
        float(diffuseness),
    ]


def with_rolls(path: Path, window: Window) -> Scene:
    """Read a window with `window.roll` samples on both sides; where the file ends it is reflected."""
    total = info(path).length
    if window.start + window.frames > total:
        raise InputError(f"{path}: {total} samples, the excerpt ends at {window.start + window.frames}")
    before, after = min(window.roll, window.start), min(window.roll, total - window.start - window.frames)
    samples, rate = read(path, window.start - before, before + window.frames + after)
    padded = np.pad(samples, ((0, 0), (window.roll - before, window.roll - after)), mode="reflect")
    return Scene(np.ascontiguousarray(padded), rate)


def trimmed(scene: Scene, window: Window) -> Scene:
    """Cut the rolls off again."""
    kept = scene.samples[:, window.roll : window.roll + window.frames]
    return Scene(np.ascontiguousarray(kept), scene.sample_rate_hz)


def apply_fades(scene: Scene) -> Scene:
    """Fade in and out over 50 ms (at most half the scene each) with a raised cosine."""
    length = min(round(FADE_S * scene.sample_rate_hz), scene.length // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
    samples = scene.samples.copy()
    samples[:, :length] *= ramp
    samples[:, scene.length - length :] *= ramp[::-1]
    return Scene(samples, scene.sample_rate_hz)


def item_gain_db(loudness_lufs: float, true_peak_dbtp: float, target_lufs: float, headroom_dbtp: float) -> float:
    """Gain that brings an item to its target loudness without its true peak passing the headroom.

    One gain for all conditions: a condition normalised by itself (the low anchor, say) would be lifted.
    """
    return min(target_lufs - loudness_lufs, headroom_dbtp - true_peak_dbtp)
