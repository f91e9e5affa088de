"""The work on one item: make every condition, examine it, record it, draw the contact sheet."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import scene_file
from listening.conditions.condition import Condition
from listening.conditions.foreground import encode_objects, mixed
from listening.conditions.registry import condition
from listening.stimulus_build.contact_sheet import write_contact_sheet
from listening.stimulus_build.quality_gate import describe, examine
from listening.test_design.items import Item, window_of
from listening.test_design.test_plan import ForegroundObject, Plan
from render.common.errors import InputError
from render.common.files import read_record, record_path, sha256, sha256_of, versions, whole_file, write_json
from render.fileio.audio_file import read_scene, write_scene
from render.hoa.scene import Scene
from stimuli.excerpts.window import Window, apply_fades, read_with_rolls, without_rolls

LIBRARIES = ("hoa-rvqgan", "numpy", "scipy", "soxr", "torch")  # what results depend on
PACKAGES = ("analysis", "codec", "listening", "render", "stimuli")
SHEET = "contact_sheet.png"


def build_item(item: Item, plan: Plan, out: Path, model: Path | None, strict: bool = True) -> dict[str, Any]:
    """Make all conditions of one item; return its entry in the manifest.

    What is not as its condition declares stops the work, or is told in the entry if not `strict`.
    """
    window = window_of(item, plan)
    objects = tuple(one for one in plan.objects if one.item in ("", item.id))
    source: dict[str, Any] = {"sha256": sha256(item.path), "window": window.record()}
    if objects:
        source["objects"] = [asdict(one) | {"sha256": sha256(Path(one.file))} for one in objects]
    making = Making(item, objects, source, window, out / "scenes" / item.id)
    entries = {}
    for name in plan.conditions:
        made = condition_of(plan, name, model)
        entries[name] = entry = making.finished(made) or making.make(made)
        if strict and "violations" in entry:
            path = making.folder / f"{name}.w64"
            raise InputError(f"{path}: {name} of {item.id} {'; '.join(entry['violations'])}")
    making.draw_sheet(entries)
    return {"material": item.material, "source": item.path.name, **source, "conditions": entries}


def condition_of(plan: Plan, name: str, model: Path | None) -> Condition:
    """Condition of a plan, with the plan's parameters."""
    return condition(name, model, plan.parameters.get(name))


class Making:
    """The work on one item; what several conditions share is computed once, and only if one needs it."""

    def __init__(
        self,
        item: Item,
        objects: tuple[ForegroundObject, ...],
        source: dict[str, Any],
        window: Window,
        folder: Path,
    ):
        self.item, self.objects, self.source, self.window, self.folder = item, objects, source, window, folder
        self.analyses: dict[str, Any] = {}
        self._reference: tuple[Scene, Any] | None = None

    def reference(self) -> tuple[Scene, Any]:
        """Excerpt with its rolls, and the foreground objects rendered for it (or None)."""
        if self._reference is None:
            scene = read_with_rolls(self.item.path, self.window)
            self._reference = scene, encode_objects(self.objects, scene, self.window.roll)
        return self._reference

    def finished(self, made: Condition) -> dict[str, Any] | None:
        """Entry of a condition that was made before from the same source, None if it is to be made (again)."""
        record = read_record(self.folder / f"{made.id}.w64")
        if record.get("key") != key_of(made, self.source):
            return None
        for name, digest in record["files"].items():
            if not (self.folder / name).is_file():
                return None
            if sha256(self.folder / name) != digest:
                changed = self.folder / name
                raise InputError(f"{changed}: was changed after it was built; remove it to build it again")
        return record["entry"]

    def make(self, made: Condition) -> dict[str, Any]:
        """Apply a condition to the excerpt with its rolls; trim, fade, write, examine, record."""
        reference, objects = self.reference()
        rendition = made.apply(mixed(reference, objects) if made.applies_to_mixture else reference)
        scene = rendition.scene if made.applies_to_mixture else mixed(rendition.scene, objects)
        scene, path = self._excerpt(scene), self.folder / f"{made.id}.w64"
        write_scene(path, scene, force=True)
        files = {path.name: sha256(path)}
        entry: dict[str, Any] = {"file": scene_file(self.folder.name, made.id), "parameters": made.parameters}
        entry |= rendition.facts
        if rendition.payload is not None:
            payload = self.folder / f"{made.id}{rendition.suffix}"
            with whole_file(payload, force=True) as temporary:
                temporary.write_bytes(rendition.payload)
            files[payload.name] = sha256(payload)
            bits = 8 * len(rendition.payload)
            entry |= {
                "payload": f"scenes/{self.folder.name}/{payload.name}",
                "payload_bytes": len(rendition.payload),
                "kbps": round(bits / reference.duration_s / 1000, 3),
            }
        entry["sha256"] = files[path.name]
        reference_analysis, analysis = self._reference_analysis(), self._analysis(made.id, scene)
        kbps = entry.get("packet_kbps", entry.get("kbps"))
        report = examine(reference_analysis, analysis, made.expected, kbps, with_objects=objects is not None)
        entry["quality"] = report.measures
        if report.violations:
            entry["violations"] = report.violations
        write_json(
            record_path(path), {"key": key_of(made, self.source), "files": files, "entry": entry}, force=True
        )
        return entry

    def _excerpt(self, scene: Scene) -> Scene:

        return apply_fades(without_rolls(scene, self.window))

    def _reference_analysis(self) -> Any:

        if "href" not in self.analyses:
            self._analysis("href", self._excerpt(mixed(*self.reference())))
        return self.analyses["href"]

    def _analysis(self, name: str, scene: Scene) -> Any:

        if name not in self.analyses:
            self.analyses[name] = describe(scene)
        return self.analyses[name]

    def draw_sheet(self, entries: dict[str, Any]) -> None:
        """Draw the contact sheet, unless it is there and shows these stimuli."""
        path = self.folder / SHEET
        key = sha256_of([code_digest(), {name: entry["sha256"] for name, entry in entries.items()}])
        made = read_record(path)
        if made.get("key") == key and path.is_file() and sha256(path) == made.get("sha256"):
            return

        for name in entries:
            if name not in self.analyses:
                self._analysis(name, read_scene(self.folder / f"{name}.w64"))
        analyses = {name: self.analyses[name] for name in sorted(entries, key=lambda name: name != "href")}
        captions = {name: _caption(entry) for name, entry in entries.items()}
        write_contact_sheet(path, self.item.id, analyses, captions)
        write_json(record_path(path), {"key": key, "sha256": sha256(path)}, force=True)


def _caption(entry: dict[str, Any]) -> str:
    quality = entry["quality"]
    rate = f"{entry['kbps']:.1f} kbit/s, " if "kbps" in entry else ""
    distances = [distance for distance in quality["covariance_distance"] if distance is not None]
    covariance = f"{sum(distances) / len(distances):.2f}" if distances else "-"
    lag = "no lag" if quality["lag_samples"] is None else f"lag {quality['lag_samples']}"
    return f"{rate}{lag}, mel {quality['mel_distance']:.2f}, covariance {covariance}"


def key_of(made: Condition, source: dict[str, Any]) -> str:
    """Digest of everything that a rendition depends on; another key means that it is made again."""
    parameters = {"condition": made.id, "parameters": made.parameters, "source": source}
    return sha256_of({**parameters, "versions": versions(*LIBRARIES), "code": code_digest()})


@cache
def code_digest() -> str:
    """Digest of our own code: whoever edits a condition must not be given the old renditions."""
    root = Path(__file__).parents[2]
    files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return sha256_of([sha256(path) for path in files])
