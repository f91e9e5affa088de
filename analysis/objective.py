"""Measure decoded scenes against their reference: every figure that a reviewer of a spatial codec asks for.

REF and TEST are ambiX files (ACN/SN3D) of one rate; tests of a lower order are taken as if their missing channels
were silent. Each test is aligned first; one that has not the reference's waveform is refused unless --aligned says
that it is parametric. --build measures every item and condition of a folder that listening.build made. Writes
objective.csv (one row per item and condition) and objective.json (definitions, versions, notes, means with 95 %
confidence intervals over the items). docs/measures.md defines every measure and says what it cannot see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, progress, run
from render.errors import InputError

if TYPE_CHECKING:
    from analysis.measures import Sums
    from analysis.pairs import Item, Prepared

BATCH_ITEMS = 16
"""Items that are worked on at a time: memory does not depend on how many there are."""
PRELOAD = ("analysis.pairs",)


def measure_items(
    items: Sequence[Item], workers: int, take_as_aligned: bool, with_visqol: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows of the table, in the order of the items and their conditions; `workers` segments at a time."""
    from analysis.pairs import measure_segment, prepare, segment_numbers
    from render.engine import in_parallel

    def batch(first: int) -> Iterator[dict[str, Any]]:
        part = items[first : first + BATCH_ITEMS]
        jobs = {number: (item, take_as_aligned) for number, item in enumerate(part)}
        prepared = dict(progress(in_parallel(prepare, jobs, workers, PRELOAD), "align item", len(jobs)))
        work = {(i, k): (prepared[i], k) for i in jobs for k in segment_numbers(prepared[i])}
        sums: dict[tuple[int, str], Sums] = {}
        measured = in_parallel(measure_segment, work, workers, PRELOAD)
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
    from analysis.visqol_extra import visqol_w
    from render.engine import in_parallel

    jobs = {(i, condition): (of, condition) for i, of in prepared.items() for condition in of.item.tests}
    found: dict[int, dict[str, float | None]] = {i: {} for i in prepared}
    scores = in_parallel(visqol_w, jobs, workers, ("analysis.visqol_extra",))
    for (i, condition), score in progress(scores, "ViSQOL of test", len(jobs)):
        found[i][condition] = score
    return found


def _rows(prepared: Prepared, sums: dict[str, Sums], visqol: dict[str, float | None]) -> Iterator[dict[str, Any]]:
    from analysis.covariance import lost_channels
    from analysis.measures import conclude
    from analysis.spatial import band_distances

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
            "cov_bands": band_distances(found.spatial),
            "notes": prepared.notes[condition],
        }


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and 95 % confidence interval (Student's t over the items) of every measure, condition by condition."""
    import numpy as np

    from analysis.measures import columns
    from analysis.statistics import t_interval

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
    from analysis.measures import MEASURES, columns
    from analysis.sheet import neutralise
    from render.artefact import versions, whole_file, write_json

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


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print measures by conditions: mean over items ± half of the 95 % confidence interval."""
    from analysis.measures import by_name

    summary = {(entry["measure"], entry["condition"]): entry for entry in summarise(rows)}
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    several = any(entry["n"] > 1 for entry in summary.values())
    width = max(21 if several else 11, *(len(condition) + 2 for condition in conditions))
    per_line = max((os.get_terminal_size().columns - 34 if os.isatty(1) else 140) // width, 1)
    for first in range(0, len(conditions), per_line):
        shown = conditions[first : first + per_line]
        print(f"{'measure':<17}{'unit':<8}{'ideal':>7}  " + "".join(f"{name:>{width}}" for name in shown))
        for name, measure in by_name().items():
            cells = [summary.get((name, condition)) for condition in shown]
            if any(cells):
                ideal = "" if measure.ideal is None else f"{measure.ideal:g}"
                print(
                    f"{name:<17}{measure.unit:<8}{ideal:>7}  "
                    + "".join(f"{_cell(cell):>{width}}" for cell in cells)
                )
        print()
    for row in rows:
        for note in row["notes"]:
            print(f"note: {row['item']}, {row['condition']}: {note}")
        if row["silent_channels"]:
            print(f"note: {row['item']}, {row['condition']}: lost channels {_ranges(row['silent_channels'])}")
    if any(row["material"].startswith("synth") for row in rows):
        print("note: SYNTHETIC material; these figures are no evidence of a codec's quality on recordings")


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    mean = f"{entry['mean']:.4g}"
    return mean if entry["ci_low"] is None else f"{mean} ±{(entry['ci_high'] - entry['ci_low']) / 2:.2g}"


def _ranges(numbers: Sequence[int]) -> str:
    """``4-15`` instead of twelve numbers."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def main() -> None:
    """Command line."""
    command = parser(__doc__, "analysis.objective")
    command.add_argument("reference", nargs="?", type=Path, metavar="REF")
    command.add_argument("tests", nargs="*", type=Path, metavar="TEST")
    command.add_argument("--build", type=Path, metavar="DIR", help="folder of listening.build, instead of files")
    command.add_argument(
        "--aligned", action="store_true", help="also measure tests without the reference's waveform"
    )
    command.add_argument("--selftest", action="store_true", help="prove the measures: closed forms, invariances")
    command.add_argument("--doctor", action="store_true", help="find what is wrong with the format of each TEST")
    command.add_argument("--visqol", action="store_true", help="also ViSQOL of W (package visqol-python)")
    command.add_argument("--pictures", action="store_true", help="also draw a contact sheet of every item")
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder for objective.csv and objective.json"
    )
    command.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    command.add_argument("--force", action="store_true", help="replace files that differ")
    given = command.parse_args()
    if given.selftest:
        from analysis.selftest import print_selftest

        raise SystemExit(0 if print_selftest() else 1)
    if (given.build is None) == (given.reference is None) or (given.reference and not given.tests):
        command.error("give REF and at least one TEST, or --build DIR, or --selftest")
    from analysis.pairs import items_of_build, items_of_files

    items = items_of_build(given.build) if given.build else items_of_files(given.reference, given.tests)
    if given.doctor:
        from analysis.doctor import examine
        from render.artefact import write_json

        found = examine(items)
        if given.output:
            write_json(given.output / "doctor.json", found, force=given.force)
        return
    if given.pictures and not given.output:
        raise InputError("--pictures needs -o, the folder to write to")
    if given.visqol:
        from analysis.visqol_extra import require

        require()
    workers = max(1, given.workers or 1)
    rows = list(measure_items(items, workers, given.aligned or given.build is not None, given.visqol))
    print_table(rows)
    if given.output:
        write(rows, given.output, given.force)
        print(f"wrote {given.output / 'objective.csv'} and objective.json: {len(rows)} rows")
    if given.pictures:
        from analysis.pictures import draw_items

        draw_items(items, given.output, workers, given.aligned or given.build is not None, given.force)


if __name__ == "__main__":
    run(main)
