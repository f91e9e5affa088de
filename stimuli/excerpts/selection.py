"""Choice of the seconds of a recording that are listened to, by written criteria: no listening, no codec.

Candidates begin on full seconds. The hard conditions are:

- no sample is at full scale;
- the level of W lies within 6 dB of the median over all candidates;
- the first and the last half second differ from their neighbours by 6 dB at most;
- in recordings of more than a minute, the first and last 20 s are left out: there the recordist handles the
  equipment;
- the 3.5 kHz low anchor removes at least 10 % of W's loudness (`stimuli.excerpts.audibility`): an anchor that
  sounds like the reference anchors nothing.

Of the candidates that remain, the most critical one is chosen: the one with the largest sum of three z-scores, for
transients (95th percentile of the spectral flux), for the spread of the directions of arrival, and for the mixture
of direct and diffuse sound (standard deviation of the diffuseness). If the anchor is audible in no candidate, the
one in which it removes the most loudness is chosen; if no candidate meets the other conditions, they are dropped.
`Window` records both cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from render.fileio.audio_file import AudioInfo
from render.fileio.scene_file import scene_blocks, scene_info
from stimuli.excerpts.audibility import LOW_ANCHOR_HZ, anchor_loss, band_powers
from stimuli.excerpts.window import ROLL_S, Window

MIN_ANCHOR_LOSS = 0.1
_HANDLING_S = 20.0
_SLICE_S = 0.5
_SLICES_PER_S = round(1 / _SLICE_S)
_MAX_STEP_DB = 6.0
_FULL_SCALE = 1 - 2.0**-15  # the largest sample that 16 bits hold
_FRAME = 1024  # samples of an STFT frame; frames do not overlap


@dataclass(frozen=True)
class _Slices:
    """Measures of every half second of a recording.

    Attributes
    ----------
    power, peak, flux, spread_deg, diffuseness : float (slice,)
        Of W: power, 95th percentile of the spectral flux. Of all channels: largest absolute sample. Of the first
        order: spread of the directions of arrival and diffuseness (DirAC).
    band_powers : float (slice, 2, band)
        Powers of W in critical bands, of all of it and of what the low anchor keeps.
    """

    power: Float[ndarray, " slice"]
    peak: Float[ndarray, " slice"]
    flux: Float[ndarray, " slice"]
    spread_deg: Float[ndarray, " slice"]
    diffuseness: Float[ndarray, " slice"]
    band_powers: Float[ndarray, "slice 2 band"]


def choose_window(path: Path, seconds: float) -> Window:
    """Choose an excerpt of a recording; a recording that is not longer than the excerpt is used whole.

    The file is read block by block, so memory does not depend on its length.

    Parameters
    ----------
    path : Path
        Ambisonic recording of first order or higher, ACN/SN3D.
    seconds : float
        Length of the excerpt, at least 1: the criteria compare the half seconds of a window with each other.
    """
    about = scene_info(path)
    length, roll = round(seconds * about.sample_rate_hz), round(ROLL_S * about.sample_rate_hz)
    slices = _measure_slices(path, about.sample_rate_hz)
    if about.length <= length:
        powers = slices.band_powers
        lost = _rounded(anchor_loss(*powers.mean(axis=0))) if len(powers) else None
        return Window(0, about.length, roll, None, True, lost)
    starts, undisturbed = _candidates(about, len(slices.power), seconds)
    count = min(round(seconds / _SLICE_S), len(slices.power))
    slices_of = np.add.outer(starts, np.arange(count))  # (candidate, slice)
    met = _conditions_met(slices, slices_of)
    mean_powers = slices.band_powers[slices_of].mean(axis=1)
    lost = anchor_loss(mean_powers[:, 0], mean_powers[:, 1])
    audible = lost >= MIN_ANCHOR_LOSS
    criticality = _criticality(slices, slices_of)
    allowed = met if met.any() else np.ones_like(met)
    if (allowed & audible).any():
        best = int(np.argmax(np.where(allowed & audible, criticality, -np.inf)))
    else:
        best = int(np.argmax(np.where(allowed, lost, -np.inf)))
    return Window(
        start=int(starts[best]) * about.sample_rate_hz // _SLICES_PER_S,
        length=length,
        roll=roll,
        score=_rounded(criticality[best]),
        conditions_met=bool(met[best] and audible[best]) and undisturbed,
        anchor_loss=_rounded(lost[best]),
    )


def _candidates(about: AudioInfo, slice_count: int, seconds: float) -> tuple[ndarray, bool]:
    """First slices of the candidates, and whether they stay clear of the parts where equipment is handled."""
    count = round(seconds / _SLICE_S)
    unused = about.length - round(seconds * about.sample_rate_hz)
    last = min(slice_count - count, unused * _SLICES_PER_S // about.sample_rate_hz)
    margin_s = _HANDLING_S if about.duration_s > 60 else ROLL_S
    margin = round(margin_s * _SLICES_PER_S)
    starts = np.arange(0, max(last, 0) + 1, _SLICES_PER_S)
    inner = starts[(starts >= margin) & (starts <= last - margin)]
    undisturbed = len(inner) > 0 or margin_s < _HANDLING_S
    return inner if len(inner) else starts, undisturbed


def _conditions_met(slices: _Slices, slices_of: ndarray) -> Bool[ndarray, " candidate"]:
    """Whether each candidate meets the hard conditions on level, steps at its ends, and full scale."""
    power = slices.power[slices_of]
    level_db = 10 * np.log10(power.mean(axis=1) + 1e-20)
    slice_db = 10 * np.log10(power + 1e-20)
    step_db = np.maximum(np.abs(slice_db[:, 1] - slice_db[:, 0]), np.abs(slice_db[:, -1] - slice_db[:, -2]))
    typical = np.abs(level_db - np.median(level_db)) <= _MAX_STEP_DB
    return typical & (step_db <= _MAX_STEP_DB) & (slices.peak[slices_of].max(axis=1) < _FULL_SCALE)


def _criticality(slices: _Slices, slices_of: ndarray) -> Float[ndarray, " candidate"]:
    """Sum of the z-scores of transients, spread of directions and mixture of direct and diffuse sound."""
    criteria = np.stack(
        [
            np.percentile(slices.flux[slices_of], 95, axis=1),
            slices.spread_deg[slices_of].mean(axis=1),
            slices.diffuseness[slices_of].std(axis=1),
        ]
    )
    deviation = criteria.std(axis=1, keepdims=True)
    centred = criteria - criteria.mean(axis=1, keepdims=True)
    return np.divide(centred, deviation, where=deviation > 1e-12, out=np.zeros_like(criteria)).sum(axis=0)


def _rounded(value: Float[ndarray, ""]) -> float:
    return round(float(value), 4)


def _measure_slices(path: Path, sample_rate_hz: int) -> _Slices:
    """Measure every full half second of a file."""
    size = round(_SLICE_S * sample_rate_hz)
    features, powers = [], []
    for block in scene_blocks(path, block_length=size):
        if block.shape[1] == size:
            features.append(_slice_features(block))
            powers.append(_critical_bands(block[0], sample_rate_hz))
    columns = np.array(features).reshape(-1, 5).T
    return _Slices(*columns, band_powers=np.array(powers))


def _critical_bands(pressure: Float[ndarray, " time"], sample_rate_hz: int) -> Float[ndarray, "2 band"]:
    """Powers of W in critical bands: as it is, and without all above the low anchor's cut-off."""
    power = np.square(np.abs(_frames_spectrum(pressure))).mean(axis=0)
    frequency_hz = np.fft.rfftfreq(_FRAME, 1 / sample_rate_hz)
    kept = power * (frequency_hz <= LOW_ANCHOR_HZ)
    return np.stack([band_powers(power, frequency_hz), band_powers(kept, frequency_hz)])


def _slice_features(block: Float[ndarray, "acn time"]) -> list[float]:
    """Power, peak, spectral flux, spread of directions (degrees) and diffuseness of a slice."""
    spectrum = _frames_spectrum(block[:4])
    w, y, z, x = spectrum
    magnitude = np.abs(w)
    flux = np.maximum(np.diff(magnitude, axis=0), 0).sum(1) / (magnitude[:-1].sum(1) + 1e-12)
    # DirAC: active intensity and energy density, per band of 8 bins (340 Hz) and frame of 23 ms
    intensity = np.real(np.conj(w) * np.stack([x, y, z]))
    used = 8 * (intensity.shape[-1] // 8)
    intensity = intensity[..., :used].reshape(3, len(w), -1, 8).sum(-1)
    energy = 0.5 * np.square(np.abs(spectrum[..., :used])).sum()
    magnitude_of_intensity = np.linalg.norm(intensity, axis=0)
    diffuseness = 1 - magnitude_of_intensity.sum() / (energy + 1e-20)
    mean_vector = np.linalg.norm(intensity.sum((1, 2))) / (magnitude_of_intensity.sum() + 1e-20)
    spread_deg = np.degrees(np.arccos(np.clip(mean_vector, 0, 1)))
    power = float(np.square(block[0], dtype=np.float64).mean())
    peak, flux_95 = float(np.abs(block).max()), float(np.percentile(flux, 95))
    return [power, peak, flux_95, float(spread_deg), float(diffuseness)]


def _frames_spectrum(samples: Float[ndarray, "*acn time"]) -> ndarray:
    """Spectra (..., frame, bin) of Hann-windowed frames; what does not fill a last frame is left out."""
    count = samples.shape[-1] // _FRAME
    frames = samples[..., : count * _FRAME].reshape(*samples.shape[:-1], count, _FRAME)
    return np.fft.rfft(frames.astype(np.float64) * np.hanning(_FRAME))
