"""Measure items, each a reference with its tests, from files or from a built listening test.

The tests of an item are aligned with the reference and cut to the part in which all of them overlap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.alignment import MIN_CORRELATION, Alignment, align
from analysis.metrics.built_test import REFERENCE, BuiltTest
from analysis.metrics.covariance import SILENCE, lost_channels
from analysis.metrics.framing import SHORTEST, Reader, Segment, count, file_reader, segment
from analysis.metrics.intelligibility import MAX_S, estoi
from analysis.metrics.registry import (
    FACTS,
    ReferenceLevels,
    Sums,
    compare,
    conclude,
    describe,
    reference_levels,
)
from analysis.metrics.spatial import band_distances
from analysis.metrics.visqol import visqol
from render.common.errors import InputError
from render.common.parallel import in_parallel, workers_need
from render.common.progress import progress
from render.dsp.block_processing import resampled_length
from render.fileio.audio_file import AudioInfo
from render.fileio.scene_file import scene_info, scene_name, whole_scenes
from render.hoa.scene import order_of

BATCH_ITEMS = 16
"""Items that are measured at a time, so that the memory does not depend on how many there are."""
FIRST_MEASUREMENT = "analysis.metrics.first_measurement"
"""What `measure_items` tells `workers_need`; whoever starts workers for something before says so earlier."""


@dataclass(frozen=True)
class Item:
    """A reference and its tests.

    Attributes
    ----------
    id : str
    reference : Path
    tests : dict
        Condition -> file.
    facts : dict
        Condition -> those values of `analysis.metrics.registry.FACTS` that are known.
    material : str
        Kind of the reference where it is known: ``recording``, ``synthetic``, ...
    order : int, optional
        Highest Ambisonic order that is measured; that of the reference by default.
    """

    id: str
    reference: Path
    tests: dict[str, Path]
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    material: str = ""
    order: int | None = None


@dataclass(frozen=True)
class Prepared:
    """An item whose tests have been aligned.

    Attributes
    ----------
    item : Item
    sample_rate_hz, channels : int
    start, total : int
        First sample of the reference that is measured, and the number of samples.
    alignments : dict
        Condition -> Alignment.
    levels : ReferenceLevels
    notes : dict
        Condition -> sentences about what was done to the test before it was measured.
    """

    item: Item
    sample_rate_hz: int
    channels: int
    start: int
    total: int
    alignments: dict[str, Alignment]
    levels: ReferenceLevels
    notes: dict[str, list[str]]

    def reader(self, condition: str | None) -> Reader:
        """Return a reader of a test, or of the reference for None, from the first measured sample on."""
        if condition is None:
            return file_reader(self.item.reference, self.start, self.channels)
        shift = self.start + self.alignments[condition].lag
        return _test_reader(self.item.tests[condition], shift, self.channels, self.sample_rate_hz)


def items_of_files(reference: Path, tests: list[Path], order: int | None = None) -> list[Item]:
    """Return the items of files: one for each length of a test, so that a short test does not cut the others.

    Conditions are the names of the files, with their folders where the names alone are not unique; `order` is that
    of the items.

    Raises
    ------
    InputError
        If a file cannot be read, or if a test is given twice.
    """
    tests = whole_scenes(tests)
    stems = [scene_name(path) for path in tests]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in tests]
    if len(set(names)) < len(names):
        raise InputError(f"{next(name for name in names if names.count(name) > 1)}: given twice")
    rate_hz = scene_info(reference).sample_rate_hz
    by_length: dict[int, dict[str, Path]] = {}
    for name, path in zip(names, tests, strict=True):
        by_length.setdefault(_length_at(scene_info(path), rate_hz), {})[name] = path
    return [Item(scene_name(reference), reference, group, order=order) for group in by_length.values()]


def items_of_build(test: BuiltTest) -> list[Item]:
    """Return the items of a built test; the tests of each include the hidden reference."""
    return [
        Item(
            item,
            test.scene(item, REFERENCE),
            {condition: test.scene(item, condition) for condition in entry["conditions"]},
            {condition: _facts(stimulus) for condition, stimulus in entry["conditions"].items()},
            entry["material"],
        )
        for item, entry in test.items.items()
    ]


def _facts(made: Mapping[str, Any]) -> dict[str, float]:
    parameters = made.get("parameters")
    nominal = parameters if isinstance(parameters, dict) else {}
    # A rate among the parameters is a nominal one; kbps is measured from the bytes of the payload
    known = {**{name: value for name, value in nominal.items() if name != "kbps"}, **made}
    return {
        name: float(known[name])
        for name in FACTS
        if isinstance(known.get(name), int | float) and not isinstance(known[name], bool)
    }


def prepare(item: Item, take_as_aligned: bool) -> Prepared:
    """Align the tests of an item and find the levels of its reference.

    Parameters
    ----------
    item : Item
    take_as_aligned : bool
        Whether a test without the waveform of the reference (a parametric codec, noise) is measured as it is.

    Raises
    ------
    InputError
        If a file cannot be read, if the order of a test or of the item is higher than that of the reference, if a
        test does not have the waveform of the reference, if fewer than `SHORTEST` samples overlap, if a sample is
        above `analysis.metrics.framing.LARGEST`, or if the reference is silent.
    """
    about = scene_info(item.reference)
    order, rate_hz = about.ambisonic_order if item.order is None else item.order, about.sample_rate_hz
    if not 0 <= order <= about.ambisonic_order:
        raise InputError(f"{item.reference}: has order {about.ambisonic_order}, order {order} cannot be measured")
    channels = (order + 1) ** 2
    alignments: dict[str, Alignment] = {}
    notes: dict[str, list[str]] = {}
    begin, end = 0, about.length
    for condition, path in item.tests.items():
        test = scene_info(path)
        notes[condition] = _check_format(about, test, order)
        found = Alignment(0, 1.0, "W", 1.0)
        length = _length_at(test, rate_hz)
        if path != item.reference:
            reader = _test_reader(path, 0, channels, rate_hz)
            found = align(file_reader(item.reference, channels=channels), reader, about.length, length)
            _check_match(found, item.reference, path, take_as_aligned, notes[condition])
        alignments[condition] = found
        begin, end = max(begin, -found.lag), min(end, length - found.lag)
    if end - begin < SHORTEST:
        raise InputError(
            f"{item.reference}: {max(end - begin, 0)} samples overlap with the tests; {SHORTEST} are needed"
        )
    if end - begin < about.length:
        for condition in notes:
            notes[condition].append(f"samples {begin} to {end} of the reference's {about.length} measured")
    reader = file_reader(item.reference, begin, channels)
    levels = reference_levels(reader, end - begin, rate_hz, f"{item.reference}: the reference")
    return Prepared(item, rate_hz, channels, begin, end - begin, alignments, levels, notes)


def _check_format(reference: AudioInfo, test: AudioInfo, measured: int) -> list[str]:
    """Refuse a test that cannot be compared with the reference; return notes about how the others are treated.

    `measured` is the order that is measured.
    """
    order, expected = test.ambisonic_order, order_of(reference.channels)
    if order > expected:
        raise InputError(
            f"{test.path}: order {order} ({test.channels} channels), the reference {reference.path} has only "
            f"order {expected}; cut the test to {reference.channels} channels if that is meant"
        )
    notes = []
    if test.sample_rate_hz != reference.sample_rate_hz:
        notes.append(f"resampled from {test.sample_rate_hz} to {reference.sample_rate_hz} Hz")
    if measured < expected:
        notes.append(f"orders up to {measured} measured; the reference has order {expected}")
    if order < measured:
        notes.append(f"order {order}: the missing channels of order {measured} are taken as silent")
    return notes


def _length_at(test: AudioInfo, rate_hz: int) -> int:
    """Samples of a test at the rate of its reference."""
    return resampled_length(test.length, test.sample_rate_hz, rate_hz)


def _test_reader(path: Path, shift: int, channels: int, rate_hz: int) -> Reader:
    """Return a reader of a test at the rate of its reference."""
    has_rate = scene_info(path).sample_rate_hz == rate_hz
    return file_reader(path, shift, channels, None if has_rate else rate_hz)


def _check_match(found: Alignment, reference: Path, test: Path, take_as_aligned: bool, notes: list[str]) -> None:
    if found.level <= SILENCE:
        notes.append("silent: every channel under -100 dB re full scale")
    elif found.is_match:
        if found.lag:
            notes.append(f"comes {found.lag} samples late; taken away" if found.lag > 0
                         else f"comes {-found.lag} samples early; made good")  # fmt: skip
    elif take_as_aligned:
        notes.append("has not the reference's waveform; taken as aligned")
    else:
        raise InputError(
            f"{test}: does not have the waveform of {reference} (correlation {found.correlation:.2f} at the best "
            f"lag, {MIN_CORRELATION} is needed): is that its reference? For noise or a parametric codec, whose "
            "files are aligned by construction, add --aligned"
        )


def measure_items(
    items: Sequence[Item],
    workers: int,
    take_as_aligned: bool,
    with_visqol: bool = False,
    all_speech: bool = False,
) -> Iterator[dict[str, Any]]:
    """Measure items and yield the rows of the table, in the order of the items and of their conditions.

    Parameters
    ----------
    items : sequence of Item
    workers : int
        Segments that are measured at a time, each in a process of its own; the results do not depend on it.
    take_as_aligned : bool
        As in `prepare`.
    with_visqol : bool
        Whether to compute ``visqol_W`` too.
    all_speech : bool
        Whether all items are speech, so that ``estoi_W`` is computed. It also is of items whose material says so.

    Yields
    ------
    dict
        JSON values: ``item``, ``condition``, ``material``, ``values`` (measure -> float or None),
        ``silent_channels`` (the channels that the test has lost), ``cov_bands`` (eq. 3 in each band) and
        ``notes``.
    """
    if sys.platform != "darwin":  # whose linear algebra must not be used before a fork
        workers_need(FIRST_MEASUREMENT)
    for first in range(0, len(items), BATCH_ITEMS):
        batch = items[first : first + BATCH_ITEMS]
        yield from _measure_batch(batch, workers, take_as_aligned, with_visqol, all_speech)


def _measure_batch(
    items: Sequence[Item], workers: int, take_as_aligned: bool, with_visqol: bool, all_speech: bool
) -> Iterator[dict[str, Any]]:
    jobs = {number: (item, take_as_aligned) for number, item in enumerate(items)}
    prepared = dict(progress(in_parallel(prepare, jobs, workers), "align item", len(jobs)))
    work = {(i, k): (prepared[i], k) for i in jobs for k in range(count(prepared[i].total))}
    measured = in_parallel(_measure_segment, work, workers)
    by_segment: dict[tuple[int, int], dict[str, Sums]] = dict(progress(measured, "measure segment", len(work)))
    sums: dict[tuple[int, str], Sums] = {}
    for i, k in work:  # in order, so that rounding does not depend on which worker was faster
        for condition, here in by_segment.pop((i, k)).items():
            sums[i, condition] = sums[i, condition] + here if k else here
    tests = {(i, condition): (prepared[i], condition) for i in jobs for condition in items[i].tests}
    scores: dict[tuple[int, str], float | None] = {}
    if with_visqol:
        scores = dict(progress(in_parallel(_visqol_of_w, tests, workers), "ViSQOL of test", len(tests)))
    speech = {key: test for key, test in tests.items() if all_speech or is_speech(items[key[0]])}
    understood: dict[tuple[int, str], float | None] = {}
    if speech:
        understood = dict(progress(in_parallel(_estoi_of_w, speech, workers), "ESTOI of test", len(speech)))
    for key, (of, condition) in tests.items():
        yield _row(of, condition, sums[key], scores.get(key), understood.get(key))


def is_speech(item: Item) -> bool:
    """Whether the material of an item says that it is speech."""
    return "speech" in item.material.lower()


def _measure_segment(prepared: Prepared, number: int) -> dict[str, Sums]:
    """Return the sums of one segment for every test; the reference and tests that are alike are measured once."""

    def read(condition: str | None) -> Segment:
        return segment(prepared.reader(condition), number, prepared.total, prepared.sample_rate_hz)

    of_reference = read(None)
    reference = describe(of_reference)
    digest_of_reference = _digest(of_reference)
    by_samples: dict[bytes, Sums] = {}
    found = {}
    for condition in prepared.item.tests:
        test = read(condition)
        digest = _digest(test)
        if digest not in by_samples:
            described = reference if digest == digest_of_reference else describe(test)
            by_samples[digest] = compare(reference, described, prepared.levels)
        found[condition] = by_samples[digest]
    return found


def _digest(of: Segment) -> bytes:
    return sha256(of.extended.tobytes()).digest()


def _visqol_of_w(prepared: Prepared, condition: str) -> float | None:
    readers = prepared.reader(None), prepared.reader(condition)
    reference, test = (reader(0, prepared.total)[0].astype(np.float64) for reader in readers)
    return visqol(reference, test, prepared.sample_rate_hz)


def _estoi_of_w(prepared: Prepared, condition: str) -> float | None:
    length = min(prepared.total, round(MAX_S * prepared.sample_rate_hz))
    readers = prepared.reader(None), prepared.reader(condition)
    reference, test = (reader(0, length)[0].astype(np.float64) for reader in readers)
    return estoi(reference, test, prepared.sample_rate_hz)


def _row(
    prepared: Prepared, condition: str, sums: Sums, visqol_w: float | None, estoi_w: float | None
) -> dict[str, Any]:
    alignment = prepared.alignments[condition]
    values = conclude(sums) | prepared.item.facts.get(condition, {})
    values |= {"visqol_W": visqol_w, "estoi_W": estoi_w}
    values |= {"lag_samples": float(alignment.lag), "align_corr": alignment.correlation}
    return {
        "item": prepared.item.id,
        "condition": condition,
        "material": prepared.item.material,
        "values": values,
        "silent_channels": lost_channels(sums.moments),
        "cov_bands": band_distances(*sums.spatial.mean_covariances()),
        "notes": prepared.notes[condition],
    }
