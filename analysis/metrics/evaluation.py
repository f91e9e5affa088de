"""What is to be measured: references, their tests and what is known of them, from files or from a built test.

A reference and its tests are an item. The tests of an item are aligned and cut to what all of them overlap in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.metrics.alignment import MIN_CORRELATION, Alignment, align
from analysis.metrics.built_test import REFERENCE, BuiltTest
from analysis.metrics.covariance import SILENCE
from analysis.metrics.framing import SHORTEST, Reader, count, file_reader, segment
from analysis.metrics.registry import FACTS, Description, Scale, Sums, compare, describe, scale
from render.common.errors import InputError
from render.fileio.audio_file import AudioInfo, info
from render.hoa.scene import order_of


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
        Condition -> figures of `measures.FACTS` that are known.
    material : str
        What the reference is, where known: ``recording``, ``synthetic``, ...
    """

    id: str
    reference: Path
    tests: dict[str, Path]
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    material: str = ""


@dataclass(frozen=True)
class Prepared:
    """An item whose tests are aligned.

    Attributes
    ----------
    item : Item
    sample_rate_hz, channels : int
    start, total : int
        First sample of the reference that is measured, and how many are.
    alignments : dict
        Condition -> Alignment.
    scale : Scale
    notes : dict
        Condition -> what was done to it before it was measured.
    """

    item: Item
    sample_rate_hz: int
    channels: int
    start: int
    total: int
    alignments: dict[str, Alignment]
    scale: Scale
    notes: dict[str, list[str]]

    def reader(self, condition: str | None) -> Reader:
        """Samples of a test, or of the reference for None, that stand at the same place."""
        if condition is None:
            return file_reader(self.item.reference, self.start)
        shift = self.start + self.alignments[condition].lag
        return file_reader(self.item.tests[condition], shift, self.channels)


def items_of_files(reference: Path, tests: list[Path]) -> list[Item]:
    """Items of files that the user names, one for each length of a test, so that a short one cuts no other.

    Conditions are the files' names, with their folders where the names alone are not unique.
    """
    stems = [path.stem for path in tests]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in tests]
    if len(set(names)) < len(names):
        raise InputError(f"{next(name for name in names if names.count(name) > 1)}: is given twice")
    by_length: dict[int, dict[str, Path]] = {}
    for name, path in zip(names, tests, strict=True):
        by_length.setdefault(info(path).length, {})[name] = path
    return [Item(reference.stem, reference, group) for group in by_length.values()]


def items_of_build(test: BuiltTest) -> list[Item]:
    """Return the items of a built test; the hidden reference is among the conditions of each."""
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
    # a rate among the parameters is what was asked for; ours is the one measured from the payload's bytes
    known = {**{name: value for name, value in nominal.items() if name != "kbps"}, **made}
    return {
        name: float(known[name])
        for name in FACTS
        if isinstance(known.get(name), int | float) and not isinstance(known[name], bool)
    }


def prepare(item: Item, take_as_aligned: bool) -> Prepared:
    """Align the tests of an item, and look through its reference.

    Parameters
    ----------
    item : Item
    take_as_aligned : bool
        Whether a test without the reference's waveform (a parametric codec, noise) is measured as it stands.

    Raises
    ------
    InputError
        If a file cannot be read, if rate or channels of a test do not fit the reference, if a test is not a
        rendition of the reference, or if less than `SHORTEST` samples overlap.
    """
    about = info(item.reference)
    channels, rate_hz = (about.ambisonic_order + 1) ** 2, about.sample_rate_hz
    alignments: dict[str, Alignment] = {}
    notes: dict[str, list[str]] = {}
    begin, end = 0, about.length
    for condition, path in item.tests.items():
        test = info(path)
        notes[condition] = _check(about, test)
        found = Alignment(0, 1.0, "W", 1.0)
        if path != item.reference:
            reader = file_reader(path, channels=channels)
            found = align(file_reader(item.reference), reader, about.length, test.length)
            _check_match(found, item.reference, path, take_as_aligned, notes[condition])
        alignments[condition] = found
        begin, end = max(begin, -found.lag), min(end, test.length - found.lag)
    if end - begin < SHORTEST:
        raise InputError(
            f"{item.reference}: {max(end - begin, 0)} samples overlap with the tests; {SHORTEST} are needed"
        )
    if end - begin < about.length:
        for condition in notes:
            notes[condition].append(f"samples {begin} to {end} of the reference's {about.length} measured")
    try:
        of = scale(file_reader(item.reference, begin), end - begin, rate_hz)
    except InputError as error:
        raise InputError(f"{item.reference}: {error}") from None
    return Prepared(item, rate_hz, channels, begin, end - begin, alignments, of, notes)


def _check(reference: AudioInfo, test: AudioInfo) -> list[str]:
    """Refuse what cannot be compared; say what is done to the rest."""
    if test.sample_rate_hz != reference.sample_rate_hz:
        raise InputError(
            f"{test.path}: {test.sample_rate_hz} Hz, the reference {reference.path} has "
            f"{reference.sample_rate_hz} Hz; resample one of them"
        )
    order, expected = test.ambisonic_order, order_of(reference.channels)
    if order > expected:
        raise InputError(
            f"{test.path}: order {order} ({test.channels} channels), the reference {reference.path} has only "
            f"order {expected}; cut the test to {reference.channels} channels if that is meant"
        )
    if order < expected:
        return [f"order {order}: the missing channels of order {expected} are taken as silent"]
    return []


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


def measure_segment(prepared: Prepared, number: int) -> dict[str, Sums]:
    """Sums of one segment of every test; the reference is described once."""

    def described(condition: str | None) -> Description:
        reader = prepared.reader(condition)
        return describe(segment(reader, number, prepared.total, prepared.sample_rate_hz))

    reference = described(None)
    found = {}
    for condition, path in prepared.item.tests.items():
        test = reference if path == prepared.item.reference else described(condition)
        found[condition] = compare(reference, test, prepared.scale)
    return found


def segment_numbers(prepared: Prepared) -> Iterator[int]:
    """Numbers of the segments of an item."""
    return iter(range(count(prepared.total)))
