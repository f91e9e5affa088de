"""Measure decoded scenes against their reference: every figure that a reviewer of a spatial codec asks for.

REF and TEST are ambiX files (ACN/SN3D) of one rate; tests of a lower order are taken as if their missing channels
were silent. Each test is aligned first; one that has not the reference's waveform is refused unless --aligned says
that it is parametric. --build measures every item and condition of a folder that listening.build made. Writes
objective.csv (one row per item and condition) and objective.json (definitions, versions, notes, means with 95 %
confidence intervals over the items). docs/measures.md defines every measure and says what it cannot see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.metrics.covariance import lost_channels
from analysis.metrics.evaluation import Item, Prepared, measure_segment, prepare, segment_numbers
from analysis.metrics.registry import MEASURES, Sums, columns, conclude
from analysis.metrics.spatial import band_distances
from analysis.metrics.visqol import visqol_w
from analysis.ratings.csv_text import neutralise
from analysis.statistics.interval import t_interval
from render.common.files import versions, whole_file, write_json
from render.common.parallel import in_parallel
from render.common.progress import progress

BATCH_ITEMS = 16
"""Items that are worked on at a time: memory does not depend on how many there are."""


def measure_items(
    items: Sequence[Item], workers: int, take_as_aligned: bool, with_visqol: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows of the table, in the order of the items and their conditions; `workers` segments at a time."""

    def batch(first: int) -> Iterator[dict[str, Any]]:
        part = items[first : first + BATCH_ITEMS]
        jobs = {number: (item, take_as_aligned) for number, item in enumerate(part)}
        prepared = dict(progress(in_parallel(prepare, jobs, workers), "align item", len(jobs)))
        work = {(i, k): (prepared[i], k) for i in jobs for k in segment_numbers(prepared[i])}
        sums: dict[tuple[int, str], Sums] = {}
        measured = in_parallel(measure_segment, work, workers)
        pieces: dict[tuple[int, int], dict[str, Sums]] = dict(progress(measured, "measure segment", len(work)))
        for i, k in work:  # in order: the sums do not depend on which worker was faster
            for condition, here in pieces.pop((i, k)).items():
                sums[i, condition] = sums[i, condition] + here if k else here
        scores = _visqol(prepared, workers) if with_visqol else {}
        for i in jobs:
            yield from _rows(prepared[i], {c: sums[i, c] for c in prepared[i].item.tests}, scores.get(i, {}))

    for first in range(0, len(items), BATCH_ITEMS):
        yield from batch(first)


def _visqol(prepared: dict[int, Prepared], workers: int) -> dict[int, dict[str, float | None]]:
    """ViSQOL of every test, by the item's number and the condition."""
    jobs = {(i, condition): (of, condition) for i, of in prepared.items() for condition in of.item.tests}
    found: dict[int, dict[str, float | None]] = {i: {} for i in prepared}
    scores = in_parallel(visqol_w, jobs, workers)
    for (i, condition), score in progress(scores, "ViSQOL of test", len(jobs)):
        found[i][condition] = score
    return found


def _rows(prepared: Prepared, sums: dict[str, Sums], visqol: dict[str, float | None]) -> Iterator[dict[str, Any]]:

    for condition, found in sums.items():
        alignment = prepared.alignments[condition]
        values = conclude(found) | prepared.item.facts.get(condition, {})
        values |= {"visqol_W": visqol.get(condition)}
        values |= {"lag_samples": float(alignment.lag), "align_corr": alignment.correlation}
        yield {
            "item": prepared.item.id,
            "condition": condition,
            "material": prepared.item.material,
            "values": values,
            "silent_channels": lost_channels(found.moments),
            "cov_bands": band_distances(*found.spatial.mean_covariances()),
            "notes": prepared.notes[condition],
        }


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and 95 % confidence interval (Student's t over the items) of every measure, condition by condition."""
    summary = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = [row["values"] for row in rows if row["condition"] == condition]
        for name in columns(own):
            values = np.array([of[name] for of in own if of.get(name) is not None])
            interval = t_interval(values) if len(values) > 1 else None
            summary.append({
                "condition": condition,
                "measure": name,
                "n": len(values),
                "mean": float(values.mean()),
                "ci_low": interval.low if interval else None,
                "ci_high": interval.high if interval else None,
            })  # fmt: skip
    return summary


def write(rows: Sequence[dict[str, Any]], folder: Path, force: bool) -> None:
    """Write objective.csv and objective.json; what is not applicable is an empty field and a null."""
    names = columns([row["values"] for row in rows])
    lines = [",".join(["item", "condition", "material", *names])]
    for row in rows:
        text = [neutralise(row[name]) for name in ("item", "condition", "material")]
        lines.append(",".join([*map(_quoted, text), *(_number(row["values"].get(name)) for name in names)]))
    with whole_file(folder / "objective.csv", force=force) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    definitions = [vars(measure) for measure in MEASURES if measure.name in names]
    content = {
        "definitions": "docs/measures.md",
        "versions": versions("hoa-rvqgan", "numpy", "scipy"),
        "measures": definitions,
        "conditions": summarise(rows),
        "rows": [{**row, "values": {name: row["values"].get(name) for name in names}} for row in rows],
    }
    write_json(folder / "objective.json", content, force=force)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n\r') else text


def _number(value: float | None) -> str:
    """Seven digits, more than a measurement of sound is worth."""
    return "" if value is None else f"{value:.7g}"
