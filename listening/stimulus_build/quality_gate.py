"""Quality gate: what a stimulus is, measured, and where that is not what its condition declares.

Everything is measured of what will be heard: the excerpt as it is written, with its fades. A violation stops
the build. Loudness and the rates of variable-rate codecs are told and never corrected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from listening.conditions.anchors import TRANSITION
from listening.conditions.condition import ExpectedProperties
from listening.stimulus_build.rendition_measures import (
    SILENT_RMS,
    Analysis,
    Transfer,
    covariance_distance,
    mel_distance,
    order_db,
    transfer,
)

RATE_TOLERANCE = 0.01
CODER_LAG = 2  # samples between the delays of a coder's layers
DC_LIMIT = 0.1  # of the reference's rms of W
SWAPPED, SWAP_MARGIN = 0.5, 0.3  # likeness at another place, and how much more than at its own
CLEARLY = 1.05
ALIGNED_COHERENCE = 0.5  # from here on a waveform is followed closely enough to tell a lag of one sample
# Mask of the low anchor (BS.1534-3, clause 5.1): ripple, and attenuation from 8/7 and 9/7 of the cut-off on
MASK_RIPPLE_DB, MASK_DB = 0.1, {TRANSITION: 25.0, 9 / 7: 50.0}
LOWEST_HZ = 50.0  # of the pass band that is measured: below, fades and dither count


@dataclass(frozen=True)
class Report:
    """Outcome of the gate for one stimulus: JSON values measured, and sentences about what is wrong."""

    measures: dict[str, Any]
    violations: list[str] = field(default_factory=list)


def examine(
    reference: Analysis,
    test: Analysis,
    expected: ExpectedProperties,
    kbps: float | None,
    with_objects: bool = False,
) -> Report:
    """Measure a stimulus against its reference and hold it to what its condition declares.

    Parameters
    ----------
    reference, test : Analysis
    expected : ExpectedProperties
    kbps : float or None
        Measured bit rate of its payload, without what a container adds to a coder's packets.
    with_objects : bool
        Whether foreground objects were added, which sound also in channels that the condition leaves silent.
    """
    before, after = reference.scene, test.scene
    if (len(after.samples), after.length, after.sample_rate_hz) != (
        len(before.samples),
        before.length,
        before.sample_rate_hz,
    ):
        shape = f"{len(after.samples)} channels, {after.length} samples at {after.sample_rate_hz} Hz"
        return Report({}, [f"has {shape}; the reference {len(before.samples)}, {before.length}"])
    heard = len(before.samples) if expected.low_pass_hz else 4
    found = transfer(before.samples[:heard], after.samples[:heard], before.sample_rate_hz)
    with np.errstate(invalid="ignore"):  # silence has -inf
        loudness_lu = np.subtract(test.loudness_lufs, reference.loudness_lufs)
    measures: dict[str, Any] = {
        "lag_samples": found.lag if _has_lag(found, expected) else None,
        "coherence": found.coherence,
        "peak_dbfs": _dbfs(float(np.abs(after.samples).max())),
        "loudness_difference_lu": round(float(loudness_lu), 2) if np.isfinite(loudness_lu) else None,
        "dc": float(f"{np.abs(test.mean).max():.3g}"),
        "order_db": order_db(reference, test),
        "covariance_distance": [round(value, 4) for value in covariance_distance(reference, test)],
        "mel_distance": round(mel_distance(reference, test), 4),
    }
    violations = _channel_faults(reference, test, expected, with_objects)
    if _has_lag(found, expected) and _is_late(found, expected.is_codec):
        allowed = CODER_LAG if expected.is_codec else 0
        violations.append(f"comes {found.lag} samples after the reference; {allowed} are allowed")
    if np.abs(test.mean - reference.mean).max() > DC_LIMIT * max(reference.rms[0], SILENT_RMS):
        violations.append(f"has a DC of {measures['dc']:g}")
    constant = expected.constant_kbps
    if constant and (kbps is None or abs(kbps / constant - 1) > RATE_TOLERANCE):
        violations.append(f"has {kbps} kbit/s; a constant rate of {constant} is declared")
    if expected.low_pass_hz:
        measures["mask"], faults = mask_of(found, expected.low_pass_hz)
        violations += faults
    return Report(measures, violations)


def _has_lag(found: Transfer, expected: ExpectedProperties) -> bool:
    """Whether a lag can be told: not of noise, nor of a coder that hardly follows the waveform."""
    return expected.follows_waveform and (not expected.is_codec or found.coherence > ALIGNED_COHERENCE)


def _is_late(found: Transfer, coder: bool) -> bool:
    """Whether the waveform clearly fits at another lag than it may have.

    A coder's noise shifts the flat top of a low-pitched correlation by some samples: there clearly means by 5 %.
    """
    if not coder:
        return found.lag != 0
    middle = len(found.correlation) // 2
    allowed = found.correlation[middle - CODER_LAG : middle + CODER_LAG + 1].max()
    return abs(found.lag) > CODER_LAG and found.coherence > CLEARLY * allowed


def _channel_faults(
    reference: Analysis, test: Analysis, expected: ExpectedProperties, with_objects: bool
) -> list[str]:
    faults = []
    kept = expected.active_channels if expected.active_channels is not None else len(test.rms)
    sounds, sounded = test.rms > SILENT_RMS, reference.rms > 10 * SILENT_RMS
    silent = np.flatnonzero(sounded[:kept] & ~sounds[:kept]).tolist()
    if silent and not (expected.may_silence_channels and sounds.any()):
        faults.append(f"is silent in channels {silent}, which sound in the reference")
    loud = (kept + np.flatnonzero(sounds[kept:])).tolist()
    if loud and not with_objects:
        faults.append(f"sounds in channels {loud}, which are declared silent")
    if not expected.follows_waveform:
        return faults
    both = np.flatnonzero(sounds & sounded)
    a, b = (analysis.scene.samples[both] for analysis in (reference, test))
    norm = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    likeness = (a @ b.T) / np.maximum(norm, 1e-20)  # (channel of the reference, channel of the test)
    if not expected.is_codec:
        own = np.diag(likeness)
        faults += [
            f"has channel {both[index]} inverted (correlation {own[index]:.2f})"
            for index in np.flatnonzero(own < -0.5)
        ]
    for source, place in _swaps(np.abs(likeness)):
        faults.append(f"has the reference's channel {both[source]} in channel {both[place]}")
    return faults


def _swaps(likeness: Float[ndarray, "source place"]) -> list[tuple[int, int]]:
    """Which channels have changed places, by a likeness of 0 to 1.

    A coarse codec lets a loud channel leak into a soft one. Swapped are channels that clearly fit better in
    other places all around a cycle of the best assignment.
    """
    _, places = linear_sum_assignment(-likeness)
    moved = []
    for first in range(len(places)):
        cycle = [(first, int(places[first]))]
        while cycle[-1][1] != first:
            cycle.append((cycle[-1][1], int(places[cycle[-1][1]])))
        clear = all(likeness[s, p] > max(SWAPPED, likeness[p, p] + SWAP_MARGIN) for s, p in cycle)
        if len(cycle) > 1 and clear:
            moved.append(cycle[0])
    return moved


def mask_of(found: Transfer, cutoff_hz: float) -> tuple[dict[str, float], list[str]]:
    """Hold a measured low-pass against the mask; return its figures and the violations."""
    inside = (found.frequency_hz >= LOWEST_HZ) & (found.frequency_hz <= cutoff_hz)
    ripple_db = float(np.abs(found.gain_db[inside]).max())
    figures = {"ripple_db": round(ripple_db, 4)}
    faults = []
    if ripple_db > MASK_RIPPLE_DB:
        faults.append(f"has a ripple of {ripple_db:.2f} dB up to {cutoff_hz:g} Hz; {MASK_RIPPLE_DB} is allowed")
    for ratio, need_db in MASK_DB.items():
        edge_hz = ratio * cutoff_hz
        attenuation_db = -float(found.gain_db[found.frequency_hz >= edge_hz].max())
        figures[f"attenuation_db_from_{edge_hz:.0f}_hz"] = round(attenuation_db, 1)
        if attenuation_db < need_db:
            faults.append(f"is down by {attenuation_db:.1f} dB from {edge_hz:.0f} Hz on; {need_db:g} are needed")
    return figures, faults


def _dbfs(amplitude: float) -> float | None:
    return round(20 * float(np.log10(amplitude)), 2) if amplitude else None
