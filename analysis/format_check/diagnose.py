"""Find errors in the format of an Ambisonic file by comparison with its reference.

The covariances of reference, test and both together in ERB bands show in which channel of the test each channel of
the reference is, with which sign and which gain. Of the explanations that fit, the simplest is reported: channel
order, mirror, rotation, polarity, normalisation, gain, delay, dropped orders, collapsed W. Degradations by a codec
(noise, lost bands, uneven levels) are not faults of the format; they widen the tolerances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from analysis.format_check.channel_maps import BandCovariances, ChannelMap, find_channel_map, fuma_gains
from analysis.metrics.alignment import Alignment, align, align_mixtures
from analysis.metrics.covariance import RELATIVE_SILENCE, SILENCE
from analysis.metrics.evaluation import Item
from analysis.metrics.framing import SHORTEST, Reader, Segment, file_reader, segments
from analysis.metrics.spatial import band_covariances
from render.common.errors import InputError
from render.fileio.scene_file import scene_info
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import acn_orders, sn3d_to_n3d

MAX_SECONDS = 30.0
"""A scene is examined up to here: faults of the format last from its beginning to its end."""
# Mean correlation of the channels that counts as a match: of waveforms; of covariances where no waveform matches
_MIN_WAVEFORM = 0.2
_MIN_COVARIANCE = 0.35
# A correlation of W above this makes its lag certain; otherwise another lag must improve the score by this
_CERTAIN, _MIN_IMPROVEMENT = 0.8, 0.02
# An order is dropped if it is 20 dB below the others. W is collapsed, and a gain is reported, if the level is
# beyond these by more than twice the spreads over bands and channels.
_DROPPED_DB = -20.0
_COLLAPSED_DB = -3.0
_GAIN_DB = 0.5
# Gains are not measured in bands that the test has lost (low-pass: 10 dB below the median)
_LOST_BAND_DB = 10.0


@dataclass(frozen=True)
class Finding:
    """A fault of the format.

    Attributes
    ----------
    fault : str
        ``delay``, ``polarity``, ``channel order``, ``mirror``, ``rotation``, ``normalisation``, ``gain``,
        ``dropped orders``, ``collapsed W`` or ``unrelated``.
    what : str
        Its details.
    evidence : str
        The values that indicate it.
    confidence : float
        0 to 1: how much better the test is explained with it, or how far a level is beyond its tolerance.
    """

    fault: str
    what: str
    evidence: str
    confidence: float


@dataclass(frozen=True)
class Diagnosis:
    """Faults of one test; none for a faithful rendition."""

    item: str
    condition: str
    findings: list[Finding]

    def text(self) -> str:
        """Return the faults as lines of text."""
        lines = [f"{self.item}, {self.condition}: {'' if self.findings else 'no fault found'}"]
        for finding in self.findings:
            why = f"{finding.evidence}; confidence {finding.confidence:.2f}"
            lines.append(f"  {finding.fault}: {finding.what} ({why})")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values."""
        return {"item": self.item, "condition": self.condition, "findings": [asdict(one) for one in self.findings]}


def diagnose(reference: Reader, test: Reader, length: int, test_length: int, sample_rate_hz: int) -> list[Finding]:
    """Return the faults of a test, the most basic first; none for a faithful rendition.

    Parameters
    ----------
    reference, test : Reader
        Scenes of the same number of channels.
    length, test_length : int
        Samples of the two scenes.
    sample_rate_hz : int

    Raises
    ------
    InputError
        If the reference is silent, or if fewer than `SHORTEST` samples overlap.
    """
    limit = round(MAX_SECONDS * sample_rate_hz)
    length, test_length = min(length, limit), min(test_length, limit)
    found = align(reference, test, length, test_length)
    if not found.is_match:  # another channel may be in the place of W
        found = align_mixtures(reference, test, length, test_length)
    if found.level <= SILENCE:
        return [Finding("unrelated", "the test is silent", "every channel under -100 dB re full scale", 1.0)]
    candidates = {found.lag: found}
    if abs(found.correlation) < _CERTAIN:  # the channel in the place of W may correlate with W by chance
        other = align_mixtures(reference, test, length, test_length)
        candidates.setdefault(other.lag, other)
        candidates.setdefault(0, Alignment(0, found.correlation, found.channel, found.level))
    best: tuple[float, Alignment, list[Finding]] | None = None
    for lag, alignment in sorted(candidates.items(), key=lambda entry: abs(entry[0])):
        score, faults = _faults(_band_covariances(reference, test, length, test_length, lag, sample_rate_hz))
        if best is None or score > best[0] + _MIN_IMPROVEMENT:
            best = score, alignment, faults
    assert best is not None
    unrelated = any(finding.fault == "unrelated" for finding in best[2])
    return best[2] if unrelated else [*_delay(best[1]), *best[2]]


def _band_covariances(
    reference: Reader, test: Reader, length: int, test_length: int, lag: int, sample_rate_hz: int
) -> BandCovariances:
    """Return the covariances of reference and test at that lag, in the bands in which the reference sounds."""
    begin = max(0, -lag)
    total = min(length, test_length - lag) - begin
    if total < SHORTEST:
        raise InputError(f"{max(total, 0)} samples overlap with the reference; {SHORTEST} are needed")
    channels = len(reference(0, 1))

    def both(start: int, stop: int) -> ndarray:
        parts = reference(start + begin, stop + begin), test(start + begin + lag, stop + begin + lag)
        return np.concatenate(parts)

    # The channels of both scenes are stacked: one matrix has both covariances and the cross-covariance
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
    return BandCovariances(
        scaled[:, :channels, :channels], scaled[:, channels:, channels:], scaled[:, channels:, :channels]
    )


def _delay(found: Alignment) -> list[Finding]:
    if not found.lag:
        return []
    side = "late" if found.lag > 0 else "early"
    correlation = abs(found.correlation)
    evidence = f"correlation {correlation:.3f} at {found.lag:+d} samples"
    return [Finding("delay", f"{abs(found.lag)} samples {side}", evidence, float(min(1.0, 0.5 + correlation / 2)))]


def _faults(bands: BandCovariances) -> tuple[float, list[Finding]]:
    """Return the score of the explanation of a test, and the faults that it consists of, without a delay."""
    orders = acn_orders(order_of(bands.reference.shape[-1]))
    power = np.stack([np.einsum("bcc->c", of) for of in (bands.reference, bands.test)])
    sounding = power > RELATIVE_SILENCE * power.max(axis=1, keepdims=True)
    dropped = [int(n) for n in range(1, orders[-1] + 1) if _is_dropped(n, orders, power)]
    usable = sounding.all(axis=0) & ~np.isin(orders, dropped)
    if not usable.any():
        return 0.0, [Finding("unrelated", "no channel is active in both scenes", "", 1.0)]
    channels = find_channel_map(bands, usable, _MIN_WAVEFORM, _MIN_COVARIANCE)
    if channels is None:
        evidence = f"no arrangement of channels correlates with the reference's ({_MIN_WAVEFORM} is needed)"
        return 0.0, [Finding("unrelated", "not a rendition of this reference", evidence, 0.9)]
    result = []
    for fault, what in channels.faults:
        evidence = f"correlation of the channels {channels.identity_score:.3f}, with it {channels.score:.3f}"
        result.append(Finding(fault, what, evidence, channels.confidence))
    if channels.is_inverted:
        result.append(Finding("polarity", "inverted", f"correlation of the channels {-channels.score:.3f}",
                              min(1.0, 0.5 + channels.score / 2)))  # fmt: skip
    result += _level_faults(bands, channels, usable)
    if dropped:
        level_db = [
            10 * np.log10(max(power[1, orders == n].sum() / power[0, orders == n].sum(), 1e-12)) for n in dropped
        ]
        evidence = "level " + ", ".join(f"{level:.0f} dB" for level in level_db)
        result.append(Finding("dropped orders", ", ".join(map(str, dropped)), evidence, 1.0))
    return channels.score, result


def _is_dropped(n: int, orders: ndarray, power: ndarray) -> bool:
    """Whether an order of the reference is missing in the test, relative to the order that is preserved best."""
    ratio = [power[1, orders == k].sum() / max(power[0, orders == k].sum(), 1e-30) for k in range(orders[-1] + 1)]
    return bool(power[0, orders == n].sum() > 1e-6 * power[0].sum()
                and ratio[n] < 10 ** (_DROPPED_DB / 10) * max(ratio))  # fmt: skip


def _level_faults(bands: BandCovariances, channels: ChannelMap, usable: Bool[ndarray, " acn"]) -> list[Finding]:
    """Return faults of normalisation, gain and level of W, from the gain of every channel in every band."""
    gains_db, spread_db = _channel_gains(bands, channels, usable)
    order = order_of(len(usable))
    lost_w = not usable[0] and channels.permutation[0] == 0
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
    # A fault of the format changes all channels by the same gain, a codec each by another
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
    bands: BandCovariances, channels: ChannelMap, usable: Bool[ndarray, " acn"]
) -> tuple[Float64[ndarray, " acn"], float]:
    """Return the gains of the channels re the mapped reference (median over bands), and their typical spread."""
    expected = np.einsum("ci,bij,cj->bc", channels.matrix, bands.reference, channels.matrix)
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
    """Return name and gains (dB) of the normalisation that the levels show; W, which may have collapsed, aside."""
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
    """Return the gains of the channels if one normalisation is taken for another."""
    to_n3d = sn3d_to_n3d(order)
    found = {"N3D taken for SN3D": to_n3d, "SN3D taken for N3D": 1 / to_n3d}
    if order <= 3:
        to_fuma = fuma_gains(order)
        found |= {"FuMa (MaxN) taken for SN3D": to_fuma, "SN3D taken for FuMa (MaxN)": 1 / to_fuma}
    return found


def _rms(values: ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def diagnose_files(reference: Path, test: Path) -> list[Finding]:
    """Return the faults of a file.

    Raises
    ------
    InputError
        If a file cannot be read, if rate or order of the test do not fit the reference, if the reference is
        silent, or if too few samples overlap.
    """
    about, other = scene_info(reference), scene_info(test)
    if about.sample_rate_hz != other.sample_rate_hz:
        raise InputError(
            f"{test}: {other.sample_rate_hz} Hz, the reference has {about.sample_rate_hz} Hz; resample one of them"
        )
    if other.ambisonic_order > about.ambisonic_order:
        raise InputError(f"{test}: order {other.ambisonic_order}, the reference has order {about.ambisonic_order}")
    try:
        return diagnose(file_reader(about.path), file_reader(other.path, channels=about.channels),
                        about.length, other.length, about.sample_rate_hz)  # fmt: skip
    except InputError as error:
        raise InputError(f"{test}: {error}" if str(test) not in str(error) else str(error)) from None


def diagnose_items(items: Sequence[Item]) -> Iterator[Diagnosis]:
    """Diagnose every test of some items, except copies of the reference; errors as `diagnose_files`."""
    for item in items:
        for condition, path in item.tests.items():
            if path != item.reference:
                yield Diagnosis(item.id, condition, diagnose_files(item.reference, path))
