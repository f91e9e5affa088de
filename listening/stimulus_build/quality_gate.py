"""The quality gate: measure every stimulus and compare it with what is expected of its condition.

What is measured is what the listener will hear: the excerpt as it is written to the file, with its fades. A
violation stops the build. Loudness and the rates of variable-rate codecs are reported but never corrected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from analysis.metrics import covariance
from analysis.metrics.covariance import Moments, order_levels_db
from analysis.metrics.framing import LENGTH, array_reader, segments
from analysis.metrics.spatial import band_covariances, band_distances
from analysis.metrics.spectral import log_mel
from analysis.metrics.transfer import MAX_LAG, Transfer, transfer
from listening.conditions.anchors import TRANSITION
from listening.conditions.condition import ExpectedProperties
from render.dsp.loudness import ungated_loudness_lufs
from render.hoa.layout import layout
from render.hoa.scene import Scene
from render.hoa.spherical_harmonics import acn_orders
from render.loudspeakers.renderer import decode

MEL_BANDS = 150
"""Mel bands of `mel_distance`, whose window is that of the shared spectrum: the log term of ``mel_eval``."""
SILENT_RMS = 1e-7
"""A channel up to this rms value is digital silence: -140 dB re full scale."""
RATE_TOLERANCE = 0.01
"""Relative deviation that is accepted of a bit rate declared constant."""
CODEC_LAG = 2
"""Samples by which the delays of a codec's modes may differ from each other."""
CODEC_LAG_MARGIN = 1.05
"""A codec is late if the cross-correlation is this many times as large at a lag that is not allowed."""
MIN_LAG_PEAK = 0.5
"""A codec follows the waveform closely enough for a lag of one sample to show if the peak exceeds this."""
MAX_DC = 0.1
"""Largest change of a channel's mean, re the rms of the reference's W."""
SWAP_CORRELATION, SWAP_MARGIN = 0.5, 0.3
"""Magnitude of the correlation of a channel at another place, and how much more it must be than at its own."""
INVERTED_CORRELATION = -0.5
"""A channel whose correlation with the reference's is below this has the wrong polarity."""
MASK_RIPPLE_DB, MASK_DB = 0.1, {TRANSITION: 25.0, 9 / 7: 50.0}
"""Mask of the low-pass anchors (BS.1534-3, clause 5.1): ripple; attenuation from 8/7 and 9/7 of the cut-off on."""
LOWEST_HZ = 50.0
"""The ripple is measured from here on; below, the fades and the dither dominate."""


@dataclass(frozen=True)
class Report:
    """Result of the gate for one stimulus.

    Attributes
    ----------
    measures : dict
        What was measured; JSON values, documented in docs/conditions.md.
    violations : list of str
        What is not as declared, each as the end of a sentence whose subject is the stimulus.
    """

    measures: dict[str, Any]
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Description:
    """What the gate needs of one scene alone; the reference is described once for all of its conditions.

    Attributes
    ----------
    scene : Scene
    loudness_lufs : float
        Ungated BS.1770 loudness of the scene rendered to 4+7+0; minus infinity for silence.
    covariance : float (band, acn, acn)
        Covariance of the channels in the bands of `analysis.metrics`, mean over time.
    log_mel : float32 (acn, frame, band)
        Mel spectrum, `analysis.metrics.spectral.log_mel`.
    """

    scene: Scene
    loudness_lufs: float
    covariance: Float64[ndarray, "band acn acn"]
    log_mel: Float32[ndarray, "acn frame band"]


def describe(scene: Scene) -> Description:
    """Describe a scene of at least `analysis.metrics.framing.SHORTEST` samples."""
    covariances, mels, blocks = [], [], 0
    for segment in segments(array_reader(scene.samples), scene.length, scene.sample_rate_hz):
        by_block = band_covariances(segment)
        covariances.append(by_block.sum(axis=0, dtype=np.float64))
        blocks += len(by_block)
        mels.append(log_mel(segment, MEL_BANDS))
    return Description(
        scene,
        ungated_loudness_lufs(decode(scene, layout("4+7+0"))),
        np.sum(covariances, axis=0) / blocks,
        np.concatenate(mels, axis=1),
    )


def examine(
    reference: Description,
    test: Description,
    expected: ExpectedProperties,
    kbps: float | None,
    with_objects: bool = False,
) -> Report:
    """Measure a stimulus against its reference and compare it with what is expected of its condition.

    Parameters
    ----------
    reference, test : Description
    expected : ExpectedProperties
    kbps : float or None
        Measured bit rate of its payload, without what a container adds to the codec's packets.
    with_objects : bool
        Whether foreground objects were added, which sound also in channels that the condition leaves silent.
    """
    before, after = reference.scene, test.scene
    if (after.samples.shape, after.sample_rate_hz) != (before.samples.shape, before.sample_rate_hz):
        shape = f"{len(after.samples)} channels, {after.length} samples at {after.sample_rate_hz} Hz"
        return Report({}, [f"has {shape}; the reference {len(before.samples)}, {before.length}"])
    # Above the first order a codec may have little waveform left; a filter must be right in all channels
    compared = len(before.samples) if expected.low_pass_hz else 4
    response = transfer(before.samples[:compared], after.samples[:compared], before.sample_rate_hz)
    sums = _moments(before, after)
    mean, rms = sums.mean / sums.count, np.sqrt(np.diagonal(sums.products, axis1=1, axis2=2) / sums.count)
    with np.errstate(invalid="ignore"):  # silence has -inf
        loudness_lu = np.subtract(test.loudness_lufs, reference.loudness_lufs)
    has_lag = _has_lag(response, expected)
    measures: dict[str, Any] = {
        "lag_samples": response.lag if has_lag else None,
        "coherence": round(response.peak, 4),
        "peak_dbfs": _dbfs(float(np.abs(after.samples).max())),
        "loudness_difference_lu": round(float(loudness_lu), 2) if np.isfinite(loudness_lu) else None,
        "dc": float(f"{np.abs(mean[1]).max():.3g}"),
        "order_db": _order_db(sums, rms),
        "covariance_distance": [
            None if distance is None else round(distance, 4)
            for distance in band_distances(reference.covariance, test.covariance)
        ],
        "mel_distance": round(float(np.abs(reference.log_mel - test.log_mel).mean()), 4),
    }
    violations = _level_faults(rms, expected, with_objects)
    if expected.follows_waveform:
        violations += _channel_faults(
            before, after, np.flatnonzero((rms > SILENT_RMS).all(axis=0)), expected.is_codec
        )
    if has_lag and _is_late(response, expected.is_codec):
        allowed = CODEC_LAG if expected.is_codec else 0
        violations.append(f"comes {response.lag} samples after the reference; {allowed} are allowed")
    if np.abs(mean[1] - mean[0]).max() > MAX_DC * max(rms[0, 0], SILENT_RMS):
        violations.append(f"has a DC of {measures['dc']:g}")
    constant = expected.constant_kbps
    if constant and (kbps is None or abs(kbps / constant - 1) > RATE_TOLERANCE):
        violations.append(f"has {kbps} kbit/s; a constant rate of {constant} is declared")
    if expected.low_pass_hz:
        measures["mask"], faults = compare_with_mask(response, expected.low_pass_hz)
        violations += faults
    return Report(measures, violations)


def _moments(reference: Scene, test: Scene) -> Moments:
    """Sums over the samples, in parts that bound the memory of their double precision."""
    total: Moments | None = None
    for first in range(0, reference.length, LENGTH):
        part = slice(first, first + LENGTH)
        here = covariance.compare(reference.samples[:, part], test.samples[:, part])
        total = here if total is None else total + here
    assert total is not None  # a scene is not empty
    return total


def _order_db(sums: Moments, rms: Float[ndarray, "scene acn"]) -> list[float | None]:
    """Level of each order over the reference's; None where the order is silent in either scene."""
    orders = acn_orders(round(len(rms[0]) ** 0.5) - 1)
    sounds = rms > SILENT_RMS
    return [
        round(level_db, 2) if level_db is not None and sounds[:, orders == n].any(axis=1).all() else None
        for n, level_db in enumerate(order_levels_db(*sums.covariances()))
    ]


def _has_lag(response: Transfer, expected: ExpectedProperties) -> bool:
    """Whether a lag is meaningful: noise has none, nor has a codec that hardly follows the waveform."""
    return expected.follows_waveform and (not expected.is_codec or response.peak > MIN_LAG_PEAK)


def _is_late(response: Transfer, is_codec: bool) -> bool:
    """Whether the waveform fits better at a lag that is not allowed.

    The noise of a codec moves the flat top of a low-pitched signal's correlation by some samples, so that there
    the other lag must fit clearly better.
    """
    if not is_codec:
        return response.lag != 0
    allowed = response.cross_correlation[MAX_LAG - CODEC_LAG : MAX_LAG + CODEC_LAG + 1].max()
    return abs(response.lag) > CODEC_LAG and response.peak > CODEC_LAG_MARGIN * allowed


def _level_faults(rms: Float[ndarray, "scene acn"], expected: ExpectedProperties, with_objects: bool) -> list[str]:
    """Name channels that are silent but should sound, or sound but are declared silent."""
    faults = []
    sounds, should_sound = rms[1] > SILENT_RMS, rms[0] > 10 * SILENT_RMS
    kept = len(sounds) if expected.active_channels is None else expected.active_channels
    silent = np.flatnonzero(should_sound[:kept] & ~sounds[:kept]).tolist()
    if silent and not (expected.may_silence_channels and sounds.any()):
        faults.append(f"is silent in channels {silent}, which sound in the reference")
    loud = (kept + np.flatnonzero(sounds[kept:])).tolist()
    if loud and not with_objects:
        faults.append(f"sounds in channels {loud}, which are declared silent")
    return faults


def _channel_faults(reference: Scene, test: Scene, numbers: Int[ndarray, " channel"], is_codec: bool) -> list[str]:
    """Name inverted and swapped channels among those of these numbers, which sound in both scenes."""
    faults = []
    x, y = reference.samples[numbers], test.samples[numbers]
    norm = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    correlation = (x @ y.T) / np.maximum(norm, 1e-20)  # (channel of the reference, channel of the test)
    if not is_codec:  # a codec lets loud channels leak into soft ones, inverted as well
        own = np.diag(correlation)
        faults += [
            f"has channel {numbers[index]} inverted (correlation {own[index]:.2f})"
            for index in np.flatnonzero(own < INVERTED_CORRELATION)
        ]
    for source, place in _swaps(np.abs(correlation)):
        faults.append(f"has the reference's channel {numbers[source]} in channel {numbers[place]}")
    return faults


def _swaps(similarity: Float[ndarray, "source place"]) -> list[tuple[int, int]]:
    """Return channels that have changed places, by similarities of 0 to 1.

    A coarse codec lets a loud channel leak into a soft one. Only channels that clearly fit better in other places
    all around a cycle of the best assignment are swapped.
    """
    _, places = linear_sum_assignment(-similarity)
    moved = []
    for first in range(len(places)):
        cycle = [(first, int(places[first]))]
        while cycle[-1][1] != first:
            cycle.append((cycle[-1][1], int(places[cycle[-1][1]])))
        is_clear = all(
            similarity[source, place] > max(SWAP_CORRELATION, similarity[place, place] + SWAP_MARGIN)
            for source, place in cycle
        )
        if len(cycle) > 1 and is_clear:
            moved.append(cycle[0])
    return moved


def compare_with_mask(response: Transfer, cutoff_hz: float) -> tuple[dict[str, float], list[str]]:
    """Compare a measured low-pass filter with the mask; return the measures and the violations."""
    inside = (response.frequency_hz >= LOWEST_HZ) & (response.frequency_hz <= cutoff_hz)
    ripple_db = float(np.abs(response.gain_db[inside]).max())
    measures = {"ripple_db": round(ripple_db, 4)}
    faults = []
    if ripple_db > MASK_RIPPLE_DB:
        faults.append(f"has a ripple of {ripple_db:.2f} dB up to {cutoff_hz:g} Hz; {MASK_RIPPLE_DB} is allowed")
    for ratio, required_db in MASK_DB.items():
        edge_hz = ratio * cutoff_hz
        attenuation_db = -float(response.gain_db[response.frequency_hz >= edge_hz].max())
        measures[f"attenuation_db_from_{edge_hz:.0f}_hz"] = round(attenuation_db, 1)
        if attenuation_db < required_db:
            faults.append(
                f"is attenuated by {attenuation_db:.1f} dB from {edge_hz:.0f} Hz on; {required_db:g} are needed"
            )
    return measures, faults


def _dbfs(amplitude: float) -> float | None:
    return round(20 * float(np.log10(amplitude)), 2) if amplitude else None
