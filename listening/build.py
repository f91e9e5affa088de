"""Make every condition of every item of a listening test.

    python -m listening.build --plan demo --material data/prepared -o out/demo
    python -m listening.build --plan demo --input a.wav b.wav -o out/input

Writes scenes/<item>/<condition>.w64 (44.1 kHz float, excerpt with fades), beside it what a codec would
transmit (.opus, .arvq), a record of each file, and manifest.json with hashes, parameters, versions and the
bit rates measured from the bytes. What is already there and unchanged is kept: the command can be
interrupted and repeated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from listening.conditions import Condition
    from listening.plan import Plan
    from render.scene import Scene

LIBRARIES = ("hoa-rvqgan", "numpy", "scipy", "soxr", "torch")  # what results depend on
PRELOAD = ("codec.inference", "listening.conditions")  # imported once, for all processes of the command
PACKAGES = ("codec", "listening", "render", "stimuli")


@dataclass(frozen=True)
class Item:
    """One excerpt to be heard: its id, its prepared recording, what is known of the recording."""

    id: str
    path: Path
    material: str


def corpus_items(folder: Path, holdout: int) -> list[Item]:
    """Return the held-out recording of every class in a folder of prepared recordings."""
    from stimuli.corpus import find_recordings, split

    _, held_out = split(find_recordings(folder), holdout)
    if not held_out:
        raise InputError(f"{folder}: has no recording number {holdout}, which the excerpts are to come from")
    return [_item(r.scene_class, r.path) for r in held_out]


def input_items(files: list[Path], folder: Path, workers: int) -> list[Item]:
    """Prepare a user's own files (third order, 44.1 kHz, 16 bit) into `folder`; items are named after them."""
    from listening.plan import item_id
    from render.engine import in_parallel
    from stimuli.prepare import prepare_file

    targets: dict[str, Path] = {}
    for path in files:
        name = item_id(path.stem)
        if name.lower() in map(str.lower, targets):  # one file on systems that ignore case
            raise InputError(f"{path}: a second item {name!r}; rename one of the files")
        targets[name] = folder / f"{name}.wav"
    jobs = {name: (path, target) for path, (name, target) in zip(files, targets.items(), strict=True)}
    made = in_parallel(prepare_file, jobs, workers, PRELOAD)
    for _ in progress(made, "prepare recording", len(jobs)):
        pass
    return [_item(name, target) for name, target in targets.items()]


def _item(name: str, path: Path) -> Item:
    """Item with what the record of its prepared recording says about where it comes from."""
    from render.artefact import read_record
    from render.audio_file import info
    from stimuli.prepare import CHANNELS, RATE_HZ

    about = info(path)
    if (about.channels, about.sample_rate_hz) != (CHANNELS, RATE_HZ):
        raise InputError(
            f"{path}: {about.channels} channels at {about.sample_rate_hz} Hz, not {CHANNELS} at {RATE_HZ} Hz; "
            "run stimuli.prepare first"
        )
    return Item(name, path, str(read_record(path).get("material", "recording")))


def build_item(item: Item, plan: Plan, out: Path, model: Path | None) -> dict[str, Any]:
    """Make all conditions of one item; return its entry in the manifest."""
    from listening.conditions import condition
    from render.artefact import sha256
    from stimuli.excerpt import choose_window, with_rolls

    window = choose_window(item.path, plan.seconds)
    source = {"sha256": sha256(item.path), "window": asdict(window)}
    reference = None
    entries = {}
    for name in plan.conditions:
        made = condition(name, model)
        folder = out / "scenes" / item.id
        entry = _finished(folder, made, source)
        if entry is None:
            reference = reference or with_rolls(item.path, window)
            entry = _make(folder, made, source, reference, window)
        entries[name] = entry
    return {"material": item.material, "source": item.path.name, **source, "conditions": entries}


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


def _finished(folder: Path, made: Condition, source: dict[str, Any]) -> dict[str, Any] | None:
    """Entry of a condition that was made before from the same source, None if it is to be made (again)."""
    from render.artefact import read_record, sha256

    record = read_record(folder / f"{made.id}.w64")
    if record.get("key") != _key(made, source):
        return None
    for name, digest in record["files"].items():
        if not (folder / name).is_file():
            return None
        if sha256(folder / name) != digest:
            raise InputError(f"{folder / name}: was changed after it was built; remove it to build it again")
    return record["entry"]


def _make(folder: Path, made: Condition, source: dict[str, Any], reference: Scene, window) -> dict[str, Any]:
    """Apply a condition to the excerpt with its rolls; trim, fade, write, record."""
    from listening.manifest import scene_file
    from render.artefact import record_path, sha256, whole_file, write_json
    from render.audio_file import write_scene
    from stimuli.excerpt import apply_fades, trimmed

    rendition = made.make(reference)
    path = folder / f"{made.id}.w64"
    write_scene(path, apply_fades(trimmed(rendition.scene, window)), force=True)
    files = {path.name: sha256(path)}
    entry: dict[str, Any] = {"file": scene_file(folder.name, made.id), "parameters": made.parameters}
    entry |= rendition.facts
    if rendition.payload is not None:
        payload = folder / f"{made.id}{rendition.suffix}"
        with whole_file(payload, force=True) as temporary:
            temporary.write_bytes(rendition.payload)
        files[payload.name] = sha256(payload)
        bits = 8 * len(rendition.payload)
        entry |= {
            "payload": f"scenes/{folder.name}/{payload.name}",
            "payload_bytes": len(rendition.payload),
            "kbps": round(bits / reference.duration_s / 1000, 3),
        }
    entry["sha256"] = files[path.name]
    write_json(record_path(path), {"key": _key(made, source), "files": files, "entry": entry}, force=True)
    return entry


def build(items: list[Item], plan: Plan, out: Path, model: Path | None, workers: int) -> None:
    """Make all items, `workers` at a time, and write the manifest."""
    from listening.conditions import condition
    from listening.manifest import NAME
    from render.artefact import versions, write_json
    from render.engine import in_parallel

    for name in plan.conditions:
        condition(name, model)  # what is missing is said before the work begins
    jobs = {item.id: (item, plan, out, model) for item in items}
    made = in_parallel(build_item, jobs, workers, PRELOAD)
    done = dict(progress(made, "make all conditions of item", len(items)))
    manifest = {
        "plan": asdict(plan),
        "versions": versions(*LIBRARIES),
        "items": {item.id: done[item.id] for item in items},
    }
    write_json(out / NAME, manifest, force=True)
    _print_rates(manifest)


def _print_rates(manifest: dict[str, Any]) -> None:
    """Print the bit rates measured from the payloads' bytes, mean and range over the items."""
    items = manifest["items"].values()
    for name in manifest["plan"]["conditions"]:
        rates = [item["conditions"][name]["kbps"] for item in items if "kbps" in item["conditions"][name]]
        if rates:
            mean = sum(rates) / len(rates)
            print(f"{name:>12}: {mean:6.1f} kbit/s measured ({min(rates):.1f} to {max(rates):.1f})")


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
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="usually out/<plan>")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    given = arguments.parse_args()

    from listening.plan import load_plan

    plan, workers = load_plan(given.plan), max(1, given.workers or 1)
    if given.input:
        items = input_items(given.input, given.output / "prepared", workers)
    else:
        items = corpus_items(given.material, plan.holdout)
    build(items, plan, given.output, given.model, workers)
    print(f"{given.output / 'manifest.json'}: {len(items)} items x {len(plan.conditions)} conditions")


if __name__ == "__main__":
    run(main)
