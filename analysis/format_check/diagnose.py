"""Find what is wrong with the format of a test: a doctor for Ambisonic files.

From the covariances of reference and test, and of one with the other, in ERB bands: in which channels each
reference channel is found again, with which sign and with which gain. The simplest explanation that fits is named:
channel order, mirror, rotation, polarity, normalisation, gain, delay, dropped orders, collapsed W. What a codec
does (noise, lost bands, uneven levels) widens the tolerances instead of being named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from analysis.format_check import channel_maps as geometry
from analysis.metrics.alignment import Alignment, align, align_mixtures
from analysis.metrics.covariance import RELATIVE_SILENCE, SILENCE
from analysis.metrics.evaluation import Item
from analysis.metrics.framing import SHORTEST, Reader, Segment, file_reader, segments
from analysis.metrics.spatial import band_covariances
from render.common.errors import InputError
from render.fileio.audio_file import info
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d

LIMIT_S = 30.0
"""The doctor looks at this much of a scene: format faults last from its beginning to its end."""
# Correlation (mean over channels) that a waveform match needs; under it, the covariances alone must tell
_WAVEFORM = 0.2
_COVARIANCE = 0.35
# W's correlation above which its lag needs no second opinion, and the lead that a lag other than 0 needs
_SURE, _LEAD = 0.8, 0.02
# An order is dropped 20 dB under the others; W is collapsed if it falls behind them by this and twice the spreads,
# and a gain is one beyond this and twice the spreads
_DROPPED_DB = -20.0
_COLLAPSED_DB = -3.0
_GAIN_DB = 0.5
# Bands that the test has lost (low-pass, 10 dB under the median) say nothing about gains
_LOST_BAND_DB = 10.0


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes
    ----------
    fault : str
        ``delay``, ``polarity``, ``channel order``, ``mirror``, ``rotation``, ``normalisation``, ``gain``,
        ``dropped orders``, ``collapsed W`` or ``unrelated``.
    what : str
        Its particulars.
    evidence : str
        The figures that speak for it.
    confidence : float
        0 .. 1: how much better the test is explained with it, or how far a level lies beyond its tolerance.
    """

    fault: str
    what: str
    evidence: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Bands:
    """Covariances in ERB bands, each band scaled so that the reference's channels sum to 1."""

    reference: Float64[ndarray, "band acn acn"]
    test: Float64[ndarray, "band acn acn"]
    cross: Float64[ndarray, "band test reference"]


def diagnose(reference: Reader, test: Reader, frames: int, test_frames: int, sample_rate_hz: int) -> list[Finding]:
    """Faults of a test, most basic first; none for a faithful rendition.

    Raises
    ------
    InputError
        If the reference is silent, or less than `SHORTEST` samples overlap.
    """
    limit = round(LIMIT_S * sample_rate_hz)
    frames, test_frames = min(frames, limit), min(test_frames, limit)
    found = align(reference, test, frames, test_frames)
    if not found.is_match:  # W may be another channel now
        found = align_mixtures(reference, test, frames, test_frames)
    if found.level <= SILENCE:
        return [Finding("unrelated", "the test is silent", "every channel under -100 dB re full scale", 1.0)]
    candidates = {found.lag: found}
    if abs(found.correlation) < _SURE:  # the channel that is W may correlate with another one by chance
        other = align_mixtures(reference, test, frames, test_frames)
        candidates.setdefault(other.lag, other)
        candidates.setdefault(0, Alignment(0, found.correlation, found.channel, found.level))
    best: tuple[float, Alignment, list[Finding]] | None = None
    for lag, alignment in sorted(candidates.items(), key=lambda entry: abs(entry[0])):
        score, faults = _faults(_bands(reference, test, frames, test_frames, lag, sample_rate_hz))
        if best is None or score > best[0] + _LEAD:
            best = score, alignment, faults
    assert best is not None
    unrelated = any(finding.fault == "unrelated" for finding in best[2])
    return best[2] if unrelated else [*_delay(best[1]), *best[2]]


def _bands(reference: Reader, test: Reader, frames: int, test_frames: int, lag: int, sample_rate_hz: int) -> Bands:
    begin = max(0, -lag)
    total = min(frames, test_frames - lag) - begin
    if total < SHORTEST:
        raise InputError(f"{max(total, 0)} samples overlap with the reference; {SHORTEST} are needed")
    channels = len(reference(0, 1))

    def both(start: int, stop: int) -> ndarray:
        parts = reference(start + begin, stop + begin), test(start + begin + lag, stop + begin + lag)
        return np.concatenate(parts)

    # Frequencies and blocks as everywhere; the channels of both scenes are those of one
    stacked: Sequence[Segment] = list(segments(both, total, sample_rate_hz))
    covariance = sum(band_covariances(part).sum(axis=0, dtype=np.float64) for part in stacked) / total
    if not isinstance(covariance, ndarray):
        raise InputError("the reference is silent")
    own = covariance[:, :channels, :channels]
    power = np.trace(own, axis1=1, axis2=2)
    heard = power > np.maximum(RELATIVE_SILENCE * power.max(), 1e-20)
    if not heard.any():
        raise InputError("the reference is silent")
    scaled = covariance[heard] / power[heard, None, None]
    return Bands(scaled[:, :channels, :channels], scaled[:, channels:, channels:], scaled[:, channels:, :channels])


def _delay(found: Alignment) -> list[Finding]:
    if not found.lag:
        return []
    side = "late" if found.lag > 0 else "early"
    evidence = f"correlation {abs(found.correlation):.3f} at {found.lag:+d} samples"
    return [
        Finding(
            "delay",
            f"{abs(found.lag)} samples {side}",
            evidence,
            float(min(1.0, 0.5 + abs(found.correlation) / 2)),
        )
    ]


def _faults(bands: Bands) -> tuple[float, list[Finding]]:
    """How well the test is explained, and by which faults, those that do not change with time."""
    orders = acn_orders(order_of(bands.reference.shape[-1]))
    power = np.stack([np.einsum("bcc->c", of) for of in (bands.reference, bands.test)])
    sounding = power > RELATIVE_SILENCE * power.max(axis=1, keepdims=True)
    dropped = [int(n) for n in range(1, orders[-1] + 1) if _is_dropped(n, orders, power)]
    usable = sounding.all(axis=0) & ~np.isin(orders, dropped)
    if not usable.any():
        return 0.0, [Finding("unrelated", "no channel is active in both scenes", "", 1.0)]
    fit = geometry.best_fit(bands.reference, bands.test, bands.cross, usable, _WAVEFORM, _COVARIANCE)
    if fit is None:
        evidence = f"no arrangement of channels correlates with the reference's ({_WAVEFORM} is needed)"
        return 0.0, [Finding("unrelated", "not a rendition of this reference", evidence, 0.9)]
    result = []
    for fault, what in fit.names:
        evidence = f"correlation of the channels {fit.plain:.3f}, with it {fit.score:.3f}"
        result.append(Finding(fault, what, evidence, fit.confidence))
    if fit.inverted:
        result.append(Finding("polarity", "inverted", f"correlation of the channels {-fit.score:.3f}",
                              min(1.0, 0.5 + fit.score / 2)))  # fmt: skip
    result += _levels(bands, fit, usable)
    if dropped:
        level_db = [
            10 * np.log10(max(power[1, orders == n].sum() / power[0, orders == n].sum(), 1e-12)) for n in dropped
        ]
        evidence = "level " + ", ".join(f"{level:.0f} dB" for level in level_db)
        result.append(Finding("dropped orders", ", ".join(map(str, dropped)), evidence, 1.0))
    return fit.score, result


def _is_dropped(n: int, orders: ndarray, power: ndarray) -> bool:
    """Whether an order of the reference is missing in the test, judged against the order that kept most."""
    ratio = [power[1, orders == k].sum() / max(power[0, orders == k].sum(), 1e-30) for k in range(orders[-1] + 1)]
    return bool(power[0, orders == n].sum() > 1e-6 * power[0].sum()
                and ratio[n] < 10 ** (_DROPPED_DB / 10) * max(ratio))  # fmt: skip


def _levels(bands: Bands, fit: geometry.Fit, usable: Bool[ndarray, " acn"]) -> list[Finding]:
    """Normalisation, gain and W's level, from the gain of every channel in every band."""
    gains_db, spread_db = _channel_gains(bands, fit, usable)
    order = order_of(len(usable))
    lost_w = not usable[0] and fit.permutation[0] == 0
    result = []
    name, pattern_db = _normalisation(gains_db, usable, spread_db, order)
    rest = gains_db - pattern_db
    others = usable & (np.arange(len(usable)) > 0)
    common = float(np.median(rest[others])) if others.any() else float(rest[0])
    w_db = rest[0] - common if usable[0] else -100.0
    if name:
        off, left = (_rms(values[usable] - np.median(values[usable])) for values in (gains_db, rest))
        evidence = f"levels of the channels deviate by {off:.1f} dB rms, with it by {left:.1f} dB"
        result.append(Finding("normalisation", name, evidence, float(np.clip(1 - left / max(off, 1e-9), 0, 1))))
    # A fault of the format changes all channels alike; a codec, each in its way
    uneven_db = float(np.subtract(*np.quantile(rest[others], [0.75, 0.25]))) if others.any() else 0.0
    spreads = f"spread over bands {spread_db:.1f} dB, over channels {uneven_db:.1f} dB"
    limit_db = _COLLAPSED_DB - 2 * (spread_db + uneven_db)
    if others.any() and (lost_w or (usable[0] and w_db < limit_db)):
        what = f"{w_db:.0f} dB against the other channels"
        result.append(Finding("collapsed W", what, spreads, float(np.clip(1 - 0.5 * limit_db / w_db, 0, 1))))
    limit_db = _GAIN_DB + 2 * (spread_db + uneven_db)
    if abs(common) > limit_db:
        confidence = float(np.clip(1 - 0.5 * limit_db / abs(common), 0, 1))
        result.append(Finding("gain", f"{common:+.1f} dB", f"median over channels; {spreads}", confidence))
    return result


def _channel_gains(
    bands: Bands, fit: geometry.Fit, usable: Bool[ndarray, " acn"]
) -> tuple[Float64[ndarray, " acn"], float]:
    """Gain of each channel (median over bands) against the rearranged reference; its usual spread over bands."""
    expected = np.einsum("ci,bij,cj->bc", fit.matrix, bands.reference, fit.matrix)
    found = np.einsum("bcc->bc", bands.test)
    heard = expected > 1e-7 * expected.max(axis=1, keepdims=True)
    ratio_db = 10 * np.log10(np.maximum(found, 1e-20) / np.maximum(expected, 1e-20))
    ratio_db[~heard] = np.nan
    by_band = np.array([np.median(row[usable & ~np.isnan(row)]) if (usable & ~np.isnan(row)).any() else np.nan
                        for row in ratio_db])  # fmt: skip
    kept = np.abs(by_band - np.nanmedian(by_band)) < _LOST_BAND_DB
    gains, spreads = np.zeros(len(usable)), []
    for channel in np.flatnonzero(usable):
        values = ratio_db[kept, channel]
        values = values[~np.isnan(values)]
        if values.size:
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            gains[channel] = middle
            spreads.append(high - low)
    return gains, float(np.median(spreads)) if spreads else 0.0


def _normalisation(
    gains_db: Float64[ndarray, " acn"], usable: Bool[ndarray, " acn"], spread_db: float, order: int
) -> tuple[str, Float64[ndarray, " acn"]]:
    """Name and gains (dB) of the normalisation that the levels show; W aside, as it may have collapsed."""
    best, pattern_db = "", np.zeros(len(usable))
    others = usable & (np.arange(len(usable)) > 0)
    for counted in (usable, others):
        values = gains_db[counted]
        off = _rms(values - np.median(values)) if values.size else 0.0
        if off < 0.5 + spread_db:
            return best, pattern_db
        left = {}
        for name, gains in normalisations(order).items():
            pattern = 20 * np.log10(gains)
            rest = values - pattern[counted]
            left[name] = (_rms(rest - np.median(rest)), pattern)
        name = min(left, key=lambda key: left[key][0])
        if left[name][0] < min(0.3 + 0.5 * spread_db, 0.35 * off):
            return name, left[name][1]
    return best, pattern_db


def normalisations(order: int) -> dict[str, Float64[ndarray, " acn"]]:
    """Gains of each channel if one normalisation is taken for another."""
    to_n3d = sn3d_to_n3d(order)
    found = {"N3D taken for SN3D": to_n3d, "SN3D taken for N3D": 1 / to_n3d}
    if order <= 3:
        to_fuma = geometry.fuma_gains(order)
        found |= {"FuMa (MaxN) taken for SN3D": to_fuma, "SN3D taken for FuMa (MaxN)": 1 / to_fuma}
    return found


def _rms(values: ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def diagnose_files(reference: Path, test: Path) -> list[Finding]:
    """Faults of a file against its reference; errors as `pairs.prepare`."""
    about, other = info(reference), info(test)
    if about.sample_rate_hz != other.sample_rate_hz:
        raise InputError(f"{test}: {other.sample_rate_hz} Hz, the reference has {about.sample_rate_hz} Hz")
    if other.ambisonic_order > about.ambisonic_order:
        raise InputError(f"{test}: order {other.ambisonic_order}, the reference has order {about.ambisonic_order}")
    try:
        return diagnose(file_reader(about.path), file_reader(other.path, channels=about.channels),
                        about.length, other.length, about.sample_rate_hz)  # fmt: skip
    except InputError as error:
        raise InputError(f"{test}: {error}" if str(test) not in str(error) else str(error)) from None


def examine(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Print the doctor's findings for every test, and return them as JSON values."""
    found = []
    for item in items:
        for condition, path in item.tests.items():
            if path == item.reference:
                continue
            findings = diagnose_files(item.reference, path)
            print(f"{item.id}, {condition}: {'no fault found' if not findings else ''}")
            for finding in findings:
                why = f"{finding.evidence}; confidence {finding.confidence:.2f}"
                print(f"  {finding.fault}: {finding.what} ({why})")
            found.append({"item": item.id, "condition": condition, "findings": [asdict(f) for f in findings]})
    return found
