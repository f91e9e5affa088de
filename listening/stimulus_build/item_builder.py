"""The work on one item: make and measure the stimulus of every condition, and draw the contact sheet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import REFERENCE, scene_file
from listening.conditions.condition import Condition
from listening.conditions.registry import condition
from listening.stimulus_build.cache_key import contact_sheet_key, quality_key, stimulus_key
from listening.stimulus_build.contact_sheet import write_contact_sheet
from listening.stimulus_build.quality_gate import Description, describe, examine
from listening.stimulus_build.renditions import Excerpt, apply_condition, read_excerpt, write_stimulus
from listening.test_design.foreground_object import ForegroundObject
from listening.test_design.items import Item, window_of
from listening.test_design.test_plan import Plan
from render.common.errors import InputError
from render.common.files import read_record, record_path, sha256, write_json
from render.fileio.scene_file import read_scene
from stimuli.excerpts.window import Window

CONTACT_SHEET_FILE = "contact_sheet.png"


def build_item(
    item: Item, plan: Plan, out: Path, model: Path | None, strict: bool = True, contact_sheet: bool = True
) -> dict[str, Any]:
    """Make the stimuli of one item; return its entry in the manifest.

    Parameters
    ----------
    item : Item
    plan : Plan
    out : Path
        Folder of the build; the files go to ``scenes/<item>`` in it.
    model : Path or None
        Model file of the proposed codec where the plan names none; None: the shipped one.
    strict : bool
        Whether a stimulus without the properties that its condition promises stops the work. If not, its entry
        lists the ``violations``.
    contact_sheet : bool
        Whether one is drawn.

    Raises
    ------
    InputError
        If a stimulus violates what its condition promises (`strict`), or was changed after it was built.
    """
    objects = tuple(one for one in plan.objects if one.item in ("", item.id))
    source = Source(item, window_of(item, plan), objects)
    builder = StimulusBuilder(source, out / "scenes" / item.id)
    entries = {}
    for name in sorted(plan.conditions, key=lambda name: name != REFERENCE):  # the others are measured against it
        entries[name] = entry = builder.build(condition(name, model, plan.parameters.get(name)))
        if strict and "violations" in entry:
            raise InputError(f"{builder.path(name)}: {name} of {item.id} {'; '.join(entry['violations'])}")
    entries = {name: entries[name] for name in plan.conditions}
    if contact_sheet:
        builder.draw_contact_sheet(entries)
    return {"material": item.material, "source": item.path.name, **source.record, "conditions": entries}


@dataclass(frozen=True)
class Source:
    """What the stimuli of an item are made from."""

    item: Item
    window: Window
    objects: tuple[ForegroundObject, ...]

    @cached_property
    def record(self) -> dict[str, Any]:
        """The source as JSON values, the SHA-256 of every file included."""
        record: dict[str, Any] = {"sha256": sha256(self.item.path), "window": self.window.record()}
        if self.objects:
            record["objects"] = [asdict(one) | {"sha256": sha256(Path(one.file))} for one in self.objects]
        return record


class StimulusBuilder:
    """Builds the stimuli of one item in its folder, and keeps those that are already there.

    Reading the excerpt takes long, and so does describing a stimulus for the gate. Both happen only where
    something is made or measured, and once for all conditions.

    Parameters
    ----------
    source : Source
    folder : Path
    """

    def __init__(self, source: Source, folder: Path):
        self.source, self.folder = source, folder
        self._descriptions: dict[str, Description] = {}

    def path(self, name: str) -> Path:
        """Audio file of a condition's stimulus."""
        return self.folder / f"{name}.w64"

    def build(self, condition: Condition) -> dict[str, Any]:
        """Make a stimulus unless it is there, measure it unless that is recorded; return its entry."""
        record = self._kept(condition) or self._make(condition)
        if record.get("quality_key") != quality_key():
            record |= {"entry": record["entry"] | self._examine(condition, record["entry"])}
            record["quality_key"] = quality_key()
            write_json(record_path(self.path(condition.id)), record, force=True)
        return record["entry"]

    def _kept(self, condition: Condition) -> dict[str, Any] | None:
        """Record of a stimulus that was made before from the same source; None if it has to be made."""
        record = read_record(self.path(condition.id))
        if record.get("key") != stimulus_key(condition, self.source.record):
            return None
        for name, digest in record["files"].items():
            path = self.folder / name
            if not path.is_file():
                return None
            if sha256(path) != digest:
                raise InputError(f"{path}: was changed after it was built; remove it to build it again")
        return record

    def _make(self, condition: Condition) -> dict[str, Any]:
        """Apply a condition to the excerpt and write its files; return their record."""
        stimulus, rendition = apply_condition(condition, self._excerpt)
        self._descriptions[condition.id] = describe(stimulus)
        path = self.path(condition.id)
        files = write_stimulus(path, stimulus, rendition)
        entry: dict[str, Any] = {"file": scene_file(self.folder.name, condition.id)}
        entry |= {"parameters": condition.parameters, **rendition.facts}
        if rendition.payload is not None:
            size = len(rendition.payload)
            entry |= {
                "payload": f"scenes/{self.folder.name}/{condition.id}{rendition.suffix}",
                "payload_bytes": size,
                "kbps": round(8 * size / self._excerpt.scene.duration_s / 1000, 3),
            }
        entry["sha256"] = files[path.name]
        return {"key": stimulus_key(condition, self.source.record), "files": files, "entry": entry}

    def _examine(self, condition: Condition, entry: dict[str, Any]) -> dict[str, Any]:
        """Fields of an entry that the quality gate determines."""
        entry.pop("violations", None)
        report = examine(
            self._description(REFERENCE),
            self._description(condition.id),
            condition.expected,
            entry.get("packet_kbps", entry.get("kbps")),
            with_objects=bool(self.source.objects),
        )
        return {"quality": report.measures} | ({"violations": report.violations} if report.violations else {})

    @cached_property
    def _excerpt(self) -> Excerpt:
        return read_excerpt(self.source.item.path, self.source.window, self.source.objects)

    def _description(self, name: str) -> Description:
        if name not in self._descriptions:
            self._descriptions[name] = describe(read_scene(self.path(name)))
        return self._descriptions[name]

    def draw_contact_sheet(self, entries: dict[str, Any]) -> None:
        """Draw the contact sheet, unless it is there and shows these stimuli."""
        path = self.folder / CONTACT_SHEET_FILE
        captions = {name: _caption(entry) for name, entry in entries.items()}
        key = contact_sheet_key({name: entry["sha256"] for name, entry in entries.items()}, captions)
        record = read_record(path)
        if record.get("key") == key and path.is_file() and sha256(path) == record.get("sha256"):
            return
        reference_first = sorted(entries, key=lambda name: name != REFERENCE)
        descriptions = {name: self._description(name) for name in reference_first}
        write_contact_sheet(path, self.source.item.id, descriptions, captions)
        write_json(record_path(path), {"key": key, "sha256": sha256(path)}, force=True)


def _caption(entry: dict[str, Any]) -> str:
    quality = entry["quality"]
    rate = f"{entry['kbps']:.1f} kbit/s, " if "kbps" in entry else ""
    distances = [distance for distance in quality["covariance_distance"] if distance is not None]
    covariance = f"{sum(distances) / len(distances):.2f}" if distances else "-"
    lag = "no lag" if quality["lag_samples"] is None else f"lag {quality['lag_samples']}"
    return f"{rate}{lag}, mel {quality['mel_distance']:.2f}, covariance {covariance}"
