"""Measure decoded scenes against their reference: every figure that a reviewer of a spatial codec asks for.

REF and TEST are ambiX files (ACN/SN3D) of one rate; tests of a lower order are taken as if their missing channels
were silent. Each test is aligned first; one that has not the reference's waveform is refused unless --aligned says
that it is parametric. --build measures every item and condition of a folder that listening.build made. Writes
objective.csv (one row per item and condition) and objective.json (definitions, versions, notes, means with 95 %
confidence intervals over the items). docs/measures.md defines every measure and says what it cannot see.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from render.common.cli import parser, run
from render.common.errors import InputError


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print measures by conditions: mean over items ± half of the 95 % confidence interval."""
    from analysis.metrics.measure_table import summarise
    from analysis.metrics.registry import by_name

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
        from analysis.metrics.selftest import print_selftest

        raise SystemExit(0 if print_selftest() else 1)
    if (given.build is None) == (given.reference is None) or (given.reference and not given.tests):
        command.error("give REF and at least one TEST, or --build DIR, or --selftest")
    from analysis.metrics.built_test import read_built_test
    from analysis.metrics.evaluation import items_of_build, items_of_files

    items = (
        items_of_build(read_built_test(given.build))
        if given.build
        else items_of_files(given.reference, given.tests)
    )
    if given.doctor:
        from analysis.format_check.diagnose import examine
        from render.common.files import write_json

        found = examine(items)
        if given.output:
            write_json(given.output / "doctor.json", found, force=given.force)
        return
    if given.pictures and not given.output:
        raise InputError("--pictures needs -o, the folder to write to")
    if given.visqol:
        from analysis.metrics.visqol import require

        require()
    workers = max(1, given.workers or 1)
    from analysis.metrics.measure_table import measure_items, write

    rows = list(measure_items(items, workers, given.aligned or given.build is not None, given.visqol))
    print_table(rows)
    if given.output:
        write(rows, given.output, given.force)
        print(f"wrote {given.output / 'objective.csv'} and objective.json: {len(rows)} rows")
    if given.pictures:
        from analysis.reporting.scene_pages import draw_items

        draw_items(items, given.output, workers, given.aligned or given.build is not None, given.force)


if __name__ == "__main__":
    run(main)
