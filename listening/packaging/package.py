"""Render a built test for loudspeakers and write the blinded package.

    python -m listening.export --build out/demo --layout 7.1.4
    python -m listening.export --build out/demo --format webmushra

Every condition of an item goes through one decoding matrix and one gain, which brings the loudness of the
rendered reference to the plan's target and keeps the true peak of every condition below its headroom. The
package holds 48 kHz WAV files (channels in BS.2051 order), signals to set up the room, session.json with the
orders of presentation and a template for the ratings. The key that tells which file is which condition, and
the test plan that names them, are written beside the package, never into it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.metrics.built_test import MANIFEST, read_built_test
from listening.packaging.loudspeaker_feeds import EPOCH_S, RATE_HZ, Form, write_item
from listening.packaging.plan_report import document
from listening.packaging.room_signals import NAMES, write_signals
from listening.packaging.webmushra import FOLDER, SUBTYPE, write_configurations
from listening.test_design.presentation_orders import orders
from listening.test_design.test_plan import Plan, plan_of
from render.common.errors import InputError
from render.common.files import sha256, whole_file, write_json
from render.common.parallel import in_parallel
from render.common.progress import progress
from render.hoa.layout import file_order, layout

_BLIND = re.compile(r"reference|[0-9a-f]{8}")


INSTRUCTION = (
    "You hear a reference and several versions of it; one of them is the reference itself. Rate the overall "
    "quality of each version against the reference: the sound quality, and how correct the spatial impression "
    "is (directions, distances, envelopment). Use the scale from 0 to 100: 100 means no audible difference "
    "from the reference. At least one version must be rated 100; the worst need not be rated 'bad'."
)


TRAINING = (
    "Listen to all items and to all of their versions in any order, until you know the whole range of differences "
    "and how the program works. What you rate here is discarded."
)


SCALE = {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]}


def blind_names(secret: bytes, item: str, conditions: list[str]) -> dict[str, str]:
    """8 hexadecimal digits for each condition, that nobody can tell without the manifest."""
    names = {
        hmac.new(secret, f"{item}/{name}".encode(), hashlib.sha256).hexdigest()[:8]: name for name in conditions
    }
    if len(names) != len(conditions):
        raise RuntimeError(f"two blind names of item {item} are equal")
    return dict(sorted(names.items()))


def layout_label(name: str) -> str:
    """Name of a layout in file names; a layout may be given as a file of measured positions."""
    return Path(name).stem if name.endswith(".toml") else name


def key_path(build: Path, package: Path) -> Path:
    """Where the key lies: beside the package, never inside it."""
    package, build = package.resolve(), build.resolve()
    if package == build or package in build.parents:
        raise InputError(f"{package}: would hold the build, which tells the conditions; choose another folder")
    return package.parent / f"key-{package.name.removeprefix('package-')}.json"


def clear_other_export(audio: Path, names: dict[str, dict[str, str]], force: bool) -> None:
    """Refuse a folder with audio of another build, which would be mixed with this one's; `force` removes it."""
    expected = {(item, name) for item, stimuli in names.items() for name in ("reference", *stimuli)}
    for path in sorted(audio.glob("*/*.wav")):
        if not _BLIND.fullmatch(path.stem) or (path.parent.name, path.stem) in expected:
            continue
        if not force:
            raise InputError(
                f"{path}: belongs to the export of another build; remove {audio.parent} or use --force"
            )
        path.unlink()


@dataclass(frozen=True)
class Export:
    """One export: what was asked for, and what it is made from.

    Attributes
    ----------
    build, package : Path
    layout_name : str
    kind : str
        One of `FORMATS`.
    form : Form
    plan : Plan
    items : dict
        Item -> its entry in the manifest.
    names : dict
        Item -> blind name -> condition.
    secret : bytes
    listeners, seed : int
        Of the orders.
    force : bool
    """

    build: Path
    package: Path
    layout_name: str
    kind: str
    form: Form
    plan: Plan
    items: dict[str, dict[str, Any]]
    names: dict[str, dict[str, str]]
    secret: bytes
    listeners: int
    seed: int
    force: bool

    @property
    def test(self) -> str:
        """Id of the test, as webMUSHRA names its folder."""
        return "test_" + re.sub(r"[^A-Za-z0-9]", "_", layout_label(self.layout_name))

    @property
    def audio(self) -> Path:
        """Folder of the items' files."""
        return self.package / FOLDER / self.test if self.kind == "webmushra" else self.package / "audio"


def export(made: Export, workers: int) -> Path:
    """Write the package and, beside it, its key and test plan; return where the key lies."""
    key_file = key_path(made.build, made.package)
    clear_other_export(made.audio, made.names, made.force)
    jobs = {}
    for item, entry in made.items.items():
        names = made.names[item]
        if made.kind == "webmushra":  # it plays the open reference as the hidden one
            names = {name: condition for name, condition in names.items() if condition != "href"}
        jobs[item] = (
            item, names, entry["conditions"], made.build, made.audio, made.form, made.plan, made.force,
        )  # fmt: skip
    rendered = in_parallel(write_item, jobs, workers)
    done = dict(progress(rendered, f"render to {made.form.layout.name}, item", len(jobs)))
    if made.kind == "webmushra":
        write_signals(made.audio / "signals", made.form, made.force)
        _write_webmushra(made)
    else:
        write_signals(made.package / "signals", made.form, made.force)
        write_json(made.package / "session.json", _session(made, done), made.force)
        write_ratings_template(made.package / "ratings_template.csv", made.names, made.force)
    key = {
        "layout": layout_label(made.layout_name),
        "decoder": made.form.decoder,
        "manifest_sha256": made.secret.hex(),
        "items": made.names,
        "orders_seed": made.seed,
        "levels": {item: asdict(done[item]["levels"]) for item in made.items},
    }
    write_json(key_file, key, made.force)
    _write_document(made, done, key_file)
    _make_times_equal(made.package)
    if made.kind == "bundle":
        _write_bundle(made)
    _print_levels({item: done[item] for item in made.items})
    return key_file


def _layout(made: Export) -> dict[str, Any]:

    permutation, _ = file_order(made.form.layout, made.form.order)
    return {
        "name": made.form.layout.name,
        "channel_order": made.form.order,
        "channels": [asdict(made.form.layout.loudspeakers[index]) for index in permutation],
    }


def _session(made: Export, done: dict[str, Any]) -> dict[str, Any]:
    """What a program that runs the test needs to know; nothing in it tells a condition."""
    stimuli = {item: list(names) for item, names in made.names.items()}
    return {
        "title": f"MUSHRA, {made.form.layout.name}",
        "instruction": INSTRUCTION,
        "training": {"instruction": TRAINING, "items": list(made.items)},
        "scale": SCALE,
        "layout": _layout(made),
        "audio": {
            "sample_rate_hz": RATE_HZ,
            "format": "24-bit WAV",
            "lfe": "silent",
            "digest": "SHA-256 of <item>/<file name>, a zero byte and the file's content",
        },
        "signals": [f"signals/{name}" for name in NAMES],
        "target_lufs": made.plan.target_lufs,
        "items": [
            {
                "id": item,
                "material": entry["material"],
                "frames": done[item]["frames"],
                "loudness_gated": done[item]["levels"].gated,
                "reference": f"audio/{item}/reference.wav",
                "stimuli": {name: f"audio/{item}/{name}.wav" for name in made.names[item]},
                "digests": done[item]["digests"],
            }
            for item, entry in made.items.items()
        ],
        "orders": orders(made.listeners, stimuli, made.secret, made.seed),
    }


def _write_webmushra(made: Export) -> None:

    title = f"MUSHRA, {layout_label(made.layout_name).replace('+', '-')}"  # it sends its texts unencoded
    write_configurations(made.package, made.test, title, INSTRUCTION, TRAINING, made.names, made.force)


def _write_document(made: Export, done: dict[str, Any], key_file: Path) -> None:

    levels = {item: done[item]["levels"] for item in made.items}
    text = document(made.plan, made.items, levels, _layout(made), made.listeners, made.seed)
    path = key_file.with_name(key_file.stem.replace("key-", "test-plan-", 1) + ".md")
    with whole_file(path, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _make_times_equal(package: Path) -> None:

    for name in ("audio", "configs", "signals", "session.json", "ratings_template.csv"):
        for path in (package / name, *(package / name).rglob("*")):
            if path.exists():
                os.utime(path, (EPOCH_S, EPOCH_S))


def _write_bundle(made: Export) -> None:
    """Pack the package into one zip file, uncompressed: how well a file compresses would tell its condition."""
    target = made.package.with_name(made.package.name + ".zip")
    with (
        whole_file(target, made.force) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for path in sorted(path for path in made.package.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{made.package.name}/{path.relative_to(made.package)}", (2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            with open(path, "rb") as file, archive.open(entry, "w", force_zip64=True) as packed:
                while block := file.read(1 << 20):
                    packed.write(block)
    print(f"{target}: the package as one file")


def _print_levels(done: dict[str, Any]) -> None:
    print(f"{'item':>16}  loudness     gain   true peak after gain")
    for item, result in done.items():
        levels = result["levels"]
        ungated = "" if levels.gated else "  (ungated: shorter than 0.4 s)"
        after = levels.true_peak_dbtp + levels.gain_db
        print(
            f"{item:>16}  {levels.loudness_lufs:6.1f} LUFS {levels.gain_db:+6.1f} dB  {after:6.1f} dBTP{ungated}"
        )


def write_ratings_template(path: Path, names: dict[str, dict[str, str]], force: bool) -> None:
    """Write a CSV with one row per stimulus; session, listener and score are left to be filled in."""
    rows = [f",,{item},{name}," for item, stimuli in names.items() for name in stimuli]
    with whole_file(path, force) as temporary:
        temporary.write_text("\n".join(["session,listener,item,stimulus,score", *rows]) + "\n")


def prepared(given: Any) -> Export:
    """Read the build and name its stimuli blindly."""
    test = read_built_test(given.build)
    plan, items = plan_of(test), test.items
    folder = {"webmushra": "webmushra"}.get(given.format, "package")
    package = given.output or given.build / f"{folder}-{layout_label(given.layout)}"
    subtype = SUBTYPE if given.format == "webmushra" else "PCM_24"
    if not 1 <= given.listeners <= 1000:
        raise InputError(f"--listeners {given.listeners}: possible are 1 to 1000")
    secret = bytes.fromhex(sha256(given.build / MANIFEST))
    return Export(
        build=given.build,
        package=package,
        layout_name=given.layout,
        kind=given.format,
        form=Form(layout(given.layout), given.decoder, given.order, subtype),
        plan=plan,
        items=items,
        names={item: blind_names(secret, item, list(entry["conditions"])) for item, entry in items.items()},
        secret=secret,
        listeners=given.listeners,
        seed=given.seed,
        force=given.force,
    )
