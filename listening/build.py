"""Make every condition of every item of a listening test.

    python -m listening.build --plan demo --material data/prepared -o out/demo
    python -m listening.build --plan demo --input a.wav b.wav -o out/input

Writes scenes/<item>/<condition>.w64 (44.1 kHz float, excerpt with fades), beside it what a codec would
transmit (.opus, .arvq, .pcao), a record of each file, a contact sheet of each item, and manifest.json with
hashes, parameters, versions, the bit rates measured from the bytes and what the quality gate measured. A
stimulus that is not what its condition declares stops the build. What is already there and unchanged is
kept: the command can be interrupted and repeated.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from listening.conditions import Condition
    from listening.engine import Engine
    from listening.items import Item
    from listening.plan import Plan
    from render.scene import Scene
    from stimuli.excerpt import Window

LIBRARIES = ("hoa-rvqgan", "numpy", "scipy", "soxr", "torch")  # what results depend on
# imported once, for all processes of the command
PRELOAD = ("listening.conditions", "listening.contact_sheet", "listening.quality_gate")
PACKAGES = ("codec", "listening", "render", "stimuli")
SHEET = "contact_sheet.png"


def build_item(item: Item, plan: Plan, out: Path, model: Path | None) -> dict[str, Any]:
    """Make all conditions of one item, hold them to what they declare; return its entry in the manifest."""
    from listening.items import window_of
    from render.artefact import sha256

    window = window_of(item, plan)
    objects = tuple(one for one in plan.objects if one.item in ("", item.id))
    source: dict[str, Any] = {"sha256": sha256(item.path), "window": asdict(window)}
    if objects:
        source["objects"] = [asdict(one) | {"sha256": sha256(Path(one.file))} for one in objects]
    making = _Making(item, objects, source, window, out / "scenes" / item.id)
    entries = {}
    for name in plan.conditions:
        made = _condition(plan, name, model)
        entries[name] = making.finished(made) or making.make(made)
    making.draw_sheet(entries)
    return {"material": item.material, "source": item.path.name, **source, "conditions": entries}


def _condition(plan: Plan, name: str, model: Path | None) -> Condition:
    from listening.conditions import condition

    return condition(name, model, plan.parameters.get(name))


class _Making:
    """The work on one item; what several conditions share is computed once, and only if one needs it."""

    def __init__(self, item: Item, objects: tuple, source: dict[str, Any], window: Window, folder: Path):
        self.item, self.objects, self.source, self.window, self.folder = item, objects, source, window, folder
        self.analyses: dict[str, Any] = {}
        self._reference: tuple[Scene, Any] | None = None

    def reference(self) -> tuple[Scene, Any]:
        """Excerpt with its rolls, and the foreground objects rendered for it (or None)."""
        from listening.foreground import foreground
        from stimuli.excerpt import with_rolls

        if self._reference is None:
            scene = with_rolls(self.item.path, self.window)
            self._reference = scene, foreground(self.objects, scene, self.window.roll)
        return self._reference

    def finished(self, made: Condition) -> dict[str, Any] | None:
        """Entry of a condition that was made before from the same source, None if it is to be made (again)."""
        from render.artefact import read_record, sha256

        record = read_record(self.folder / f"{made.id}.w64")
        if record.get("key") != _key(made, self.source):
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
        from listening.foreground import mixed
        from listening.manifest import scene_file
        from listening.quality_gate import examine
        from render.artefact import record_path, sha256, whole_file, write_json
        from render.audio_file import write_scene

        reference, objects = self.reference()
        rendition = made.make(mixed(reference, objects) if made.of_mixture else reference)
        scene = rendition.scene if made.of_mixture else mixed(rendition.scene, objects)
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
        report = examine(reference_analysis, analysis, made.declared, kbps, with_objects=objects is not None)
        if report.violations:
            raise InputError(f"{path}: {made.id} of {self.item.id} {'; '.join(report.violations)}")
        entry["quality"] = report.measures
        write_json(record_path(path), {"key": _key(made, self.source), "files": files, "entry": entry}, force=True)
        return entry

    def _excerpt(self, scene: Scene) -> Scene:
        from stimuli.excerpt import apply_fades, trimmed

        return apply_fades(trimmed(scene, self.window))

    def _reference_analysis(self) -> Any:
        from listening.foreground import mixed

        if "href" not in self.analyses:
            self._analysis("href", self._excerpt(mixed(*self.reference())))
        return self.analyses["href"]

    def _analysis(self, name: str, scene: Scene) -> Any:
        from listening.measures import analyse

        if name not in self.analyses:
            self.analyses[name] = analyse(scene)
        return self.analyses[name]

    def draw_sheet(self, entries: dict[str, Any]) -> None:
        """Draw the contact sheet, unless it is there and shows these stimuli."""
        from render.artefact import read_record, record_path, sha256, sha256_of, whole_file, write_json

        path = self.folder / SHEET
        key = sha256_of([_code_digest(), {name: entry["sha256"] for name, entry in entries.items()}])
        made = read_record(path)
        if made.get("key") == key and path.is_file() and sha256(path) == made.get("sha256"):
            return
        from listening.contact_sheet import contact_sheet
        from render.audio_file import read_scene

        for name in entries:
            if name not in self.analyses:
                self._analysis(name, read_scene(self.folder / f"{name}.w64"))
        analyses = {name: self.analyses[name] for name in sorted(entries, key=lambda name: name != "href")}
        captions = {name: _caption(entry) for name, entry in entries.items()}
        with whole_file(path, force=True) as temporary:
            temporary.write_bytes(contact_sheet(self.item.id, analyses, captions))
        write_json(record_path(path), {"key": key, "sha256": sha256(path)}, force=True)


def _caption(entry: dict[str, Any]) -> str:
    quality = entry["quality"]
    rate = f"{entry['kbps']:.1f} kbit/s, " if "kbps" in entry else ""
    covariance = sum(quality["covariance_distance"]) / len(quality["covariance_distance"])
    return f"{rate}lag {quality['lag_samples']}, mel {quality['mel_distance']:.2f}, covariance {covariance:.2f}"


def _key(made: Condition, source: dict[str, Any]) -> str:
    """Digest of everything that a rendition depends on; another key means that it is made again."""
    from render.artefact import sha256_of, versions

    parameters = {"condition": made.id, "parameters": made.parameters, "source": source}
    return sha256_of({**parameters, "versions": versions(*LIBRARIES), "code": _code_digest()})


@cache
def _code_digest() -> str:
    """Digest of our own code: whoever edits a condition must not be given the old renditions."""
    from render.artefact import sha256, sha256_of

    root = Path(__file__).parents[1]
    files = sorted(path for package in PACKAGES for path in (root / package).glob("*.py"))
    return sha256_of([sha256(path) for path in files])


def build(items: list[Item], plan: Plan, out: Path, model: Path | None, engine: Engine) -> None:
    """Make all items and write the manifest."""
    from listening.foreground import check
    from listening.manifest import NAME
    from render.artefact import versions, write_json

    check(plan.objects)
    for name in plan.conditions:
        _condition(plan, name, model)  # what is missing is said before the work begins
    if plan.excerpts and (unknown := set(plan.excerpts) - {item.id for item in items}):
        raise InputError(f"plan: excerpts of {', '.join(sorted(unknown))} are frozen, but no such items given")
    jobs = {item.id: (item, plan, out, model) for item in items}
    made = engine.run(build_item, jobs)
    done = dict(progress(made, "make all conditions of item", len(items)))
    manifest = {
        "plan": asdict(plan),
        "versions": versions(*LIBRARIES),
        "libraries": _libraries(plan),
        "items": {item.id: done[item.id] for item in items},
    }
    write_json(out / NAME, manifest, force=True)
    _print_rates(manifest)


def _libraries(plan: Plan) -> dict[str, Any]:
    """Libraries outside of Python that made conditions of this plan: version and path."""
    from listening import opus
    from listening.conditions import uses_opus

    if not any(uses_opus(name, plan.parameters.get(name)) for name in plan.conditions):
        return {}
    return {"libopus": {"version": opus.version(), "path": opus.library_path()}}


def _print_rates(manifest: dict[str, Any]) -> None:
    """Print the bit rates measured from the payloads' bytes, mean and range over the items."""
    items = manifest["items"].values()
    for name in manifest["plan"]["conditions"]:
        rates = [item["conditions"][name]["kbps"] for item in items if "kbps" in item["conditions"][name]]
        if rates:
            mean = sum(rates) / len(rates)
            print(f"{name:>12}: {mean:6.1f} kbit/s measured ({min(rates):.1f} to {max(rates):.1f})")


def without(plan: Plan, skipped: list[str]) -> Plan:
    """Plan without some conditions: ids, or ``opus`` for all that need libopus."""
    from listening.conditions import uses_opus

    def goes(name: str) -> bool:
        return name in skipped or ("opus" in skipped and uses_opus(name, plan.parameters.get(name)))

    for name in skipped:
        if name != "opus" and name not in plan.conditions:
            raise InputError(f"--skip {name}: no condition of the plan, which has {', '.join(plan.conditions)}")
    kept = tuple(name for name in plan.conditions if not goes(name))
    parameters = {name: given for name, given in plan.parameters.items() if name in kept}
    return replace(plan, conditions=kept, parameters=parameters)


def refuse_commands(plan: Plan, allowed: bool) -> None:
    """Refuse to run a plan's command lines unless the user said so: plans come from others."""
    commands = {name: given["command"] for name, given in plan.parameters.items() if "command" in given}
    if commands and not allowed:
        name, command = next(iter(commands.items()))
        raise InputError(f"plan: {name} would run {command!r} on this machine; --allow-commands lets it")


def proposed_conditions(plan: Plan) -> list[str]:
    """Conditions of a plan that are the proposed codec."""

    def is_one(name: str) -> bool:
        given = plan.parameters.get(name, {})
        return "model" in given or ("command" not in given and name.partition("_")[0] == "prop")

    return [name for name in plan.conditions if is_one(name)]


def warn_of_training_material(plan: Plan, model: Path | None) -> None:
    """Say on stderr where the excerpts come from recordings that the codec was trained with."""
    import sys

    from listening.proposed import card_of, shipped_model
    from stimuli.corpus import HOLDOUT

    for name in proposed_conditions(plan):
        given = plan.parameters.get(name, {})
        path = Path(given["model"]) if "model" in given else model or shipped_model()
        holdout = card_of(path).get("holdout", HOLDOUT)
        if plan.holdout != holdout:
            print(
                f"warning: {name}: the plan's excerpts come from {plan.holdout!r}, and {path.name} was trained "
                f"with {holdout!r} held out: it may have heard them",
                file=sys.stderr,
            )


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "listening.build")
    arguments.add_argument("--plan", default="demo", help="name or path of a plan (default: demo)")
    source = arguments.add_mutually_exclusive_group()
    source.add_argument(
        "--material",
        type=Path,
        default=Path("data/prepared/seed-1"),
        metavar="DIR",
        help="folder of prepared recordings; items come from the held-out ones (default: data/prepared/seed-1)",
    )
    source.add_argument("--input", type=Path, nargs="+", metavar="FILE", help="your own files, one item each")
    arguments.add_argument("--model", type=Path, metavar="M", help="model of prop (default: the shipped one)")
    arguments.add_argument(
        "--skip", action="append", default=[], metavar="ID", help="leave a condition out; opus: all that need it"
    )
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="usually out/<plan>")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    arguments.add_argument("--engine", metavar="E", help="local:N, inline, dask:ADDRESS or slurm[:PARTITION]")
    arguments.add_argument("--allow-commands", action="store_true", help="run the command lines in the plan")
    given = arguments.parse_args()

    from listening.engine import engine
    from listening.items import corpus_items, input_items
    from listening.plan import load_plan

    plan = without(load_plan(given.plan), given.skip)
    refuse_commands(plan, given.allow_commands)
    codecs = ("codec.inference",) if proposed_conditions(plan) else ()
    where = engine(given.engine, given.workers, given.output, codecs + PRELOAD)
    if given.input:
        items = input_items(given.input, given.output / "prepared", where)
    else:
        items = corpus_items(given.material, plan.holdout)
        warn_of_training_material(plan, given.model)
    build(items, plan, given.output, given.model, where)
    print(f"{given.output / 'manifest.json'}: {len(items)} items x {len(plan.conditions)} conditions")


if __name__ == "__main__":
    run(main)
