"""The card of a model: conditions built from named sets of recordings, measured, and written as tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.built_test import REFERENCE, read_built_test
from analysis.metrics.evaluation import FIRST_MEASUREMENT, items_of_build, measure_items
from analysis.metrics.registry import MEASURES, columns
from analysis.ratings.csv_text import write_rows
from codec.checkpoints.model_file import load
from codec.coding.front_end import usual_front_end
from codec.coding.pipeline import LEVEL_DBFS
from listening.conditions.rvqgan import model_card, shipped_model
from listening.model_card.codebook_usage import code_counts, perplexity, uniform_perplexity
from listening.model_card.report import OTHERS, ladder_of, markdown, report_of
from listening.stimulus_build.cache_key import LIBRARIES
from listening.stimulus_build.executors import Engine, parse_engine
from listening.stimulus_build.plan_builder import build_plan, rate_lines
from listening.test_design.items import Item
from listening.test_design.test_plan import Plan, item_id
from render.common.code_digest import code_digest
from render.common.errors import InputError
from render.common.files import (
    read_record,
    record_path,
    sha256,
    sha256_of,
    versions,
    whole_file,
    write_json,
)
from render.common.parallel import workers_need
from render.common.progress import progress
from render.dsp.block_processing import resampled, resampled_length
from render.fileio.audio_file import write_scene
from render.fileio.scene_file import read_scene, scene_name, scene_samples, scene_sha256
from render.hoa.scene import Scene
from stimuli.eigenscape.sources import find_sources
from stimuli.preparation.convention_check import check_convention
from stimuli.preparation.conversion import CHANNELS, RATE_HZ, recording_info

MEASUREMENT = "analysis.metrics.evaluation"
EXCERPTS, SCENES, MEASURED = "excerpts", "scenes", "measured"  # folders in that of a set
MEASURED_AT_A_TIME = 4
"""Items between two records of measurements: every start of the worker processes costs as much as half an item."""


@dataclass(frozen=True)
class RecordingSet:
    """A named set of recordings: files by the ids of their items, and what the user notes about the set."""

    files: dict[str, Path]
    note: str


def recording_sets(sets: Sequence[Sequence[str]], notes: Sequence[str]) -> dict[str, RecordingSet]:
    """Sets of recordings by name, from the values of ``--set`` and ``--note``.

    Raises
    ------
    InputError
        If a value is not NAME=VALUE, a name occurs twice, a note has no set, or there are no such files.
    """
    files = {name: recordings(paths) for name, paths in named(sets).items()}
    texts = {name: text for name, (text,) in named([[note] for note in notes]).items()}
    if unknown := set(texts) - set(files):
        raise InputError(f"--note {sorted(unknown)[0]}: there is no such --set")
    return {name: RecordingSet(found, texts.get(name, "")) for name, found in files.items()}


def make_card(
    sets: dict[str, RecordingSet],
    model: Path | None,
    seconds: float,
    out: Path,
    engine: tuple[str | None, int],
    force: bool,
) -> int:
    """Build, measure and write the card of a model; return the number of rows in card.csv.

    Parameters
    ----------
    sets : dict
        Set's name -> its recordings.
    model : Path or None
        Model file; None: the shipped model.
    seconds : float
        Length of the excerpts.
    out : Path
        Folder of the card; what is built and measured is kept in ``work`` in it.
    engine : tuple
        Name of an engine as in `parse_engine` or None, and the number of processes.
    force : bool
        Whether a card that differs is replaced.

    Raises
    ------
    InputError
        If the model does not code 16 channels at 44.1 kHz, or a recording can't be used.
    """
    path = model or shipped_model()
    config = load(path)[0].config
    if (config.channels, config.sample_rate_hz) != (CHANNELS, RATE_HZ):
        raise InputError(
            f"{path}: codes {config.channels} channels at {config.sample_rate_hz} Hz; cards are for 16 at 44100"
        )
    codebooks = usual_front_end(config).codebooks_available
    plan = Plan((REFERENCE, *ladder_of(codebooks), *OTHERS), seconds=seconds)
    rows: dict[str, list[dict[str, Any]]] = {}
    reports = {}
    workers_need(FIRST_MEASUREMENT)
    for name, recording_set in sets.items():
        folder = out / "work" / name
        where = parse_engine(*engine, folder)
        items = items_of(recording_set.files, folder / EXCERPTS, seconds, where)
        print(
            *rate_lines(build_plan(items, plan, folder, path, where, strict=False, contact_sheets=False)), sep="\n"
        )
        rows[name] = [row for row in measured(folder, engine[1]) if row["condition"] != REFERENCE]
        usage = usage_of(folder, path)
        reports[name] = report_of(rows[name], codebooks, recording_set.note, usage, refused(folder))
    about = {
        "model": {
            "file": path.name,
            "sha256": sha256(path),
            "codebooks": config.codebooks,
            "codebooks_of_a_file": codebooks,
            "card": model_card(path),
        },
        "seconds": seconds,
        "level_dbfs": LEVEL_DBFS,
        "versions": versions(*LIBRARIES),
    }
    write(reports, rows, about, out, force)
    return sum(map(len, rows.values()))


def named(texts: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Values by names, of options like ``--set NAME=VALUE VALUE``."""
    found: dict[str, list[str]] = {}
    for first, *more in texts:
        name, equals, value = first.partition("=")
        if not equals or not value or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise InputError(f"{first}: need NAME=VALUE, the name of letters A-Z, digits, _ and -")
        if name in found:
            raise InputError(f"{first}: a second {name}")
        found[name] = [value, *more]
    return found


def recordings(paths: Sequence[str]) -> dict[str, Path]:
    """Audio files of a set by the ids of their items, those of folders among them."""
    found: dict[str, Path] = {}
    for source in (source for path in paths for source in find_sources(Path(path))):
        if source.member:
            raise InputError(f"{source}: lies in a zip file; stimuli.prepare unpacks it")
        name = item_id(scene_name(source.path))
        if name.lower() in map(str.lower, found):  # one file on systems that ignore case
            raise InputError(f"{source.path}: a second item {name!r} of this set; rename one of the files")
        found[name] = source.path
    return found


def excerpt(source: Path, target: Path, seconds: float) -> None:
    """Write the beginning of a recording as an item: 16 channels, 44.1 kHz, W at the level of training.

    At one level the clamp of the mel distance at 1e-5 costs every item the same. The level is lower where a
    channel would pass full scale, as the speech modes of Opus clip there. Kept if it is there.

    Raises
    ------
    InputError
        If the recording is no ambiX of third order or higher, or has nothing in W.
    """
    about, before = recording_info(source), read_record(source)
    libraries = versions("hoa-rvqgan", "numpy", "soxr")
    wanted = {"source_sha256": scene_sha256(about.paths), "seconds": seconds, "versions": libraries}
    made = read_record(target)
    if wanted.items() <= made.items() and target.is_file() and sha256(target) == made.get("sha256"):
        return
    if "convention" not in before:
        check_convention(about)
    samples = scene_samples(source, 0, min(about.length, round(seconds * about.sample_rate_hz)))[0][:CHANNELS]
    frames = resampled_length(samples.shape[1], about.sample_rate_hz, RATE_HZ)
    samples = np.concatenate(list(resampled([samples], CHANNELS, about.sample_rate_hz, RATE_HZ, frames)), axis=1)
    power = float(np.square(samples[0], dtype=np.float64).mean())
    if power < 1e-10:
        raise InputError(f"{source}: W is silent in the first {seconds:g} s; cut the recording to where it sounds")
    gain_db = min(LEVEL_DBFS - 10 * np.log10(power), -20 * np.log10(float(np.abs(samples).max())))
    write_scene(target, Scene(samples * np.float32(10 ** (gain_db / 20)), RATE_HZ), force=True)
    material = before.get("what", before.get("material"))
    record = {
        "source": source.name,
        "material": material if isinstance(material, str) else "recording",
        "gain_db": round(gain_db, 2),
        **wanted,
        "sha256": sha256(target),
    }
    write_json(record_path(target), record, force=True)


def items_of(files: dict[str, Path], folder: Path, seconds: float, where: Engine) -> list[Item]:
    """Cut the excerpts of a set, and describe them as items of a build."""
    targets = {name: folder / f"{name}.wav" for name in files}
    jobs = {name: (path, targets[name], seconds) for name, path in files.items()}
    for _ in progress(where.run(excerpt, jobs), "cut excerpt", len(jobs)):
        pass
    return [Item(name, path, read_record(path)["material"]) for name, path in targets.items()]


def measured(build: Path, workers: int) -> Iterator[dict[str, Any]]:
    """Rows of all items of a build; items that were measured before are not measured again."""
    test = read_built_test(build)
    items = items_of_build(test)
    records = {item.id: record_path(build / MEASURED / item.id) for item in items}
    code = [code_digest(MEASUREMENT), versions(*LIBRARIES)]
    keys = {item.id: sha256_of([test.items[item.id], *code]) for item in items}
    missing = [item for item in items if read_record(build / MEASURED / item.id).get("key") != keys[item.id]]
    for first in range(0, len(missing), MEASURED_AT_A_TIME):
        some = missing[first : first + MEASURED_AT_A_TIME]
        print(f"{build.name}: items {first + 1} to {first + len(some)} of {len(missing)}", file=sys.stderr)
        rows = list(measure_items(some, workers, take_as_aligned=True))
        for item in some:
            own = [row for row in rows if row["item"] == item.id]
            write_json(records[item.id], {"key": keys[item.id], "rows": own}, force=True)
    for item in items:
        yield from read_record(build / MEASURED / item.id)["rows"]


def refused(build: Path) -> list[str]:
    """What the quality gate says against the stimuli of a build."""
    return [
        f"{condition} of {item} {'; '.join(made['violations'])}"
        for item, entry in read_built_test(build).items.items()
        for condition, made in entry["conditions"].items()
        if "violations" in made
    ]


def usage_of(build: Path, model: Path) -> dict[str, Any]:
    """Perplexity of every codebook over the references of a build, and what limits it."""
    test = read_built_test(build)
    references = (read_scene(test.scene(item, REFERENCE)) for item in test.items)
    counts = code_counts(load(model)[0], references)
    frames = int(counts[0].sum())
    return {
        "frames": frames,
        "uniform": uniform_perplexity(frames, counts.shape[1]),
        "codebooks": perplexity(counts).tolist(),
        "codes_used": (counts > 0).sum(axis=1).tolist(),
    }


def write(
    reports: dict[str, Any],
    rows: dict[str, list[dict[str, Any]]],
    about: dict[str, Any],
    folder: Path,
    force: bool,
) -> None:
    """Write card.csv, card.json and card.md."""
    names = columns([row["values"] for of_set in rows.values() for row in of_set])
    body = (
        (name, row["item"], row["condition"], row["material"], *(_rounded(row["values"].get(c)) for c in names))
        for name, of_set in rows.items()
        for row in of_set
    )
    write_rows(folder / "card.csv", ["set", "item", "condition", "material", *names], body, force)
    definitions = {measure.name: vars(measure) for measure in MEASURES if measure.name in names}
    write_json(folder / "card.json", {**about, "measures": definitions, "sets": reports}, force)
    model = about["model"]
    head = (
        f"Model `{model['file']}`, SHA-256 {model['sha256']}. Means over items of {about['seconds']:g} s, W at "
        f"{about['level_dbfs']:g} dBFS; real bit streams, measured kbit/s. docs/measures.md defines the columns; "
        "card.json has the confidence intervals, card.csv every item. No listening test.\n"
    )
    tables = [markdown(name, report, model["codebooks_of_a_file"]) for name, report in reports.items()]
    with whole_file(folder / "card.md", force) as temporary:
        temporary.write_text("\n".join([head, *tables]), encoding="utf-8")


def _rounded(value: float | None) -> float | None:
    """Seven digits, more than a measurement of sound is worth."""
    return None if value is None else float(f"{value:.7g}")
