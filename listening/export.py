"""Render a built test for loudspeakers and write the blinded package.

    python -m listening.export --build out/demo --layout 7.1.4

Every condition of an item goes through one decoding matrix and one gain, which brings the loudness of the
rendered reference to the plan's target and keeps the true peak of every condition below its headroom. The
package holds 48 kHz, 24-bit WAV files (channels in BS.2051 order), session.json and a template for the
ratings; the key that tells which file is which condition is written beside the package, never into it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray

    from listening.plan import Plan
    from render.layout import Layout

RATE_HZ = 48_000
_BLIND = re.compile(r"reference|[0-9a-f]{8}")
_EPOCH_S = 946_684_800  # 2000-01-01: the same time stamp on every file, or the order of making would tell

INSTRUCTION = (
    "You hear a reference and several versions of it; one of them is the reference itself. Rate the overall "
    "quality of each version against the reference: the sound quality, and how correct the spatial impression "
    "is (directions, distances, envelopment). Use the scale from 0 to 100: 100 means no audible difference "
    "from the reference. At least one version must be rated 100; the worst need not be rated 'bad'."
)
SCALE = {"Bad": [0, 20], "Poor": [20, 40], "Fair": [40, 60], "Good": [60, 80], "Excellent": [80, 100]}


@dataclass(frozen=True)
class Levels:
    """Level of an item: what was measured before the gain, and the gain."""

    loudness_lufs: float
    gated: bool
    true_peak_dbtp: float
    gain_db: float


def feed_blocks(path: Path, layout: Layout, method: str, frames: int) -> Iterator[ndarray]:
    """Render a scene file to `frames` samples at 48 kHz, block by block, in memory independent of its length."""
    import numpy as np

    from listening.blocks import resampled
    from render.audio_file import blocks, info
    from render.decoder import decoding_matrix

    about = info(path)
    matrix = decoding_matrix(layout, about.ambisonic_order, method).astype(np.float32)
    feeds = (matrix @ block for block in blocks(path))
    yield from resampled(feeds, len(matrix), about.sample_rate_hz, RATE_HZ, frames)


def measure(paths: dict[str, Path], layout: Layout, method: str, frames: int, plan: Plan) -> Levels:
    """Measure the rendered reference's loudness and the true peak of all conditions; choose the item's gain."""
    import numpy as np

    from render.loudness import Meter, PeakMeter
    from stimuli.excerpt import item_gain_db

    meter = Meter(layout, RATE_HZ)
    peak_dbtp = -np.inf
    for name, path in paths.items():
        peak = PeakMeter(len(layout.loudspeakers))
        for block in feed_blocks(path, layout, method, frames):
            if name == "href":
                meter.add(block)
            peak.add(block)
        peak_dbtp = max(peak_dbtp, peak.true_peak_dbtp())
    loudness_lufs = meter.integrated_lufs() if meter.gated else meter.ungated_lufs()
    if not np.isfinite(loudness_lufs):
        raise InputError(f"{paths['href']}: the rendered reference is silent (below -70 LUFS); choose another")
    gain_db = item_gain_db(loudness_lufs, peak_dbtp, plan.target_lufs, plan.headroom_dbtp)
    return Levels(loudness_lufs, meter.gated, peak_dbtp, gain_db)


def blind_names(secret: bytes, item: str, conditions: list[str]) -> dict[str, str]:
    """8 hexadecimal digits for each condition, that nobody can tell without the manifest."""
    names = {
        hmac.new(secret, f"{item}/{name}".encode(), hashlib.sha256).hexdigest()[:8]: name for name in conditions
    }
    if len(names) != len(conditions):
        raise RuntimeError(f"two blind names of item {item} are equal")
    return dict(sorted(names.items()))


def export_item(
    item: str, names: dict[str, str], entries: dict[str, Any], build: Path, package: Path, layout: Layout,
    method: str, plan: Plan, order: str, force: bool,
) -> dict[str, Any]:  # fmt: skip
    """Write the audio files of one item; return its levels and the files' hashes."""
    import os

    import numpy as np

    from listening.blocks import resampled_length
    from render.artefact import sha256
    from render.audio_file import info, writer
    from render.layout import file_order

    paths = {}
    for name, entry in entries.items():
        path = paths[name] = build / entry["file"]
        if not path.is_file() or sha256(path) != entry["sha256"]:
            raise InputError(f"{path}: is missing or not what the manifest says; run listening.build again")
    about = info(paths["href"])
    for path in paths.values():
        if replace(info(path), path=about.path) != about:
            raise InputError(f"{path}: has not the channels, rate and length of {about.path.name}; build it again")
    frames = resampled_length(about.frames, about.sample_rate_hz, RATE_HZ)
    levels = measure(paths, layout, method, frames, plan)
    gain = 10 ** (levels.gain_db / 20)
    permutation, mask = file_order(layout, order)
    hashes = {}
    for file_name, condition in [("reference", "href"), *names.items()]:
        target = package / "audio" / item / f"{file_name}.wav"
        with writer(target, len(layout.loudspeakers), RATE_HZ, "PCM_24", force, mask) as file:
            for block in feed_blocks(paths[condition], layout, method, frames):
                file.write(np.float32(gain) * block[list(permutation)])
        os.utime(target, (_EPOCH_S, _EPOCH_S))
        hashes[f"{file_name}.wav"] = sha256(target)
    return {"levels": levels, "frames": frames, "sha256": hashes}


def layout_label(name: str) -> str:
    """Name of a layout in file names; a layout may be given as a file of measured positions."""
    return Path(name).stem if name.endswith(".toml") else name


def key_path(build: Path, package: Path) -> Path:
    """Where the key lies: beside the package, never inside it."""
    package, build = package.resolve(), build.resolve()
    if package == build or package in build.parents:
        raise InputError(f"{package}: would hold the build, which tells the conditions; choose another folder")
    return package.parent / f"key-{package.name.removeprefix('package-')}.json"


def clear_other_export(package: Path, names: dict[str, dict[str, str]], force: bool) -> None:
    """Refuse a package with audio of another build, which would be mixed with this one's; `force` removes it."""
    expected = {(item, name) for item, stimuli in names.items() for name in ("reference", *stimuli)}
    for path in sorted((package / "audio").glob("*/*.wav")):
        if not _BLIND.fullmatch(path.stem) or (path.parent.name, path.stem) in expected:
            continue
        if not force:
            raise InputError(f"{path}: belongs to the export of another build; remove {package} or use --force")
        path.unlink()


def export(
    build: Path, layout_name: str, method: str, order: str, package: Path, workers: int, force: bool
) -> Path:
    """Write the package and, beside it, its key; return where the key lies."""
    from dataclasses import asdict

    from listening.manifest import NAME, read_manifest
    from render.artefact import sha256, write_json
    from render.engine import in_parallel
    from render.layout import file_order, layout

    plan, items = read_manifest(build)
    speakers = layout(layout_name)
    key_file = key_path(build, package)
    secret = bytes.fromhex(sha256(build / NAME))
    names = {item: blind_names(secret, item, list(entry["conditions"])) for item, entry in items.items()}
    clear_other_export(package, names, force)
    jobs = {
        item: (item, names[item], entry["conditions"], build, package, speakers, method, plan, order, force)
        for item, entry in items.items()
    }
    made = in_parallel(export_item, jobs, workers, preload=("render.loudness", "listening.blocks"))
    done = dict(progress(made, f"render to {speakers.name}, item", len(items)))

    permutation, _ = file_order(speakers, order)
    session = {
        "title": f"MUSHRA, {speakers.name}",
        "instruction": INSTRUCTION,
        "scale": SCALE,
        "layout": {
            "name": speakers.name,
            "channel_order": order,
            "channels": [asdict(speakers.loudspeakers[index]) for index in permutation],
        },
        "audio": {"sample_rate_hz": RATE_HZ, "format": "24-bit WAV", "lfe": "silent"},
        "target_lufs": plan.target_lufs,
        "items": [
            {
                "id": item,
                "material": items[item]["material"],
                "frames": done[item]["frames"],
                "loudness_gated": done[item]["levels"].gated,
                "reference": f"audio/{item}/reference.wav",
                "stimuli": {name: f"audio/{item}/{name}.wav" for name in names[item]},
                "sha256": done[item]["sha256"],
            }
            for item in items
        ],
    }
    write_json(package / "session.json", session, force)
    write_ratings_template(package / "ratings_template.csv", names, force)
    key = {
        "layout": layout_label(layout_name),
        "decoder": method,
        "manifest_sha256": secret.hex(),
        "items": names,
        "levels": {item: asdict(done[item]["levels"]) for item in items},
    }
    write_json(key_file, key, force)
    _print_levels({item: done[item] for item in items})
    return key_file


def write_ratings_template(path: Path, names: dict[str, dict[str, str]], force: bool) -> None:
    """Write a CSV with one row per stimulus; session, listener and score are left to be filled in."""
    from render.artefact import whole_file

    rows = [f",,{item},{name}," for item, stimuli in names.items() for name in stimuli]
    with whole_file(path, force) as temporary:
        temporary.write_text("\n".join(["session,listener,item,stimulus,score", *rows]) + "\n")


def _print_levels(done: dict[str, Any]) -> None:
    print(f"{'item':>16}  loudness     gain   true peak after gain")
    for item, result in done.items():
        levels = result["levels"]
        ungated = "" if levels.gated else "  (ungated: shorter than 0.4 s)"
        after = levels.true_peak_dbtp + levels.gain_db
        print(
            f"{item:>16}  {levels.loudness_lufs:6.1f} LUFS {levels.gain_db:+6.1f} dB  {after:6.1f} dBTP{ungated}"
        )


def main() -> None:
    """Command line."""
    import os

    arguments = parser(__doc__, "listening.export")
    arguments.add_argument("--build", type=Path, default=Path("out/demo"), metavar="DIR", help="out/<plan>")
    arguments.add_argument("--layout", default="7.1.4", metavar="L", help="default: 7.1.4")
    arguments.add_argument("--decoder", default="adm", metavar="D", help="adm (default) or allrad")
    arguments.add_argument(
        "--order", default="bs2051", choices=["bs2051", "wav"], help="channel order of the files"
    )
    arguments.add_argument("-o", "--output", type=Path, metavar="DIR", help="package (default: BUILD/package-L)")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    arguments.add_argument("--force", action="store_true", help="replace a package that differs, ratings too")
    given = arguments.parse_args()
    package, workers = given.output or given.build / f"package-{layout_label(given.layout)}", given.workers
    key = export(given.build, given.layout, given.decoder, given.order, package, max(1, workers or 1), given.force)
    print(f"{package}: package for {given.layout}; its key is {key}")


if __name__ == "__main__":
    run(main)
