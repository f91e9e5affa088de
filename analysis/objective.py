"""Measure decoded scenes against their reference: timbre, levels, direction, loudspeaker feeds, ears, waveform.

    python -m analysis.objective out/demo/scenes/Beach/href.w64 out/demo/scenes/Beach/prop.w64
    python -m analysis.objective --build out/demo -o out/demo/measures

REF and TEST are ambiX files (ACN/SN3D). A test of another sample rate is resampled to that of REF, and the
channels that a test of a lower order does not have count as silent; both is noted. Each test is aligned first; one
without the reference's waveform is refused unless --aligned says that it is parametric. --build measures every
item and condition of a folder that listening.build made. Writes objective.csv (one row per item and condition) and
objective.json (definitions, versions, notes, means with 95 % confidence intervals over the items).
docs/measures.md defines every measure and says what it is blind to.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    command = parser(__doc__, "analysis.objective")
    command.add_argument("reference", nargs="?", type=Path, metavar="REF")
    command.add_argument("tests", nargs="*", type=Path, metavar="TEST")
    command.add_argument("--build", type=Path, metavar="DIR", help="folder of listening.build, instead of files")
    command.add_argument(
        "--aligned", action="store_true", help="also measure tests without the reference's waveform"
    )
    command.add_argument(
        "--order",
        type=int,
        metavar="N",
        help="measure orders up to N only, as where REF has order 4 and the codec keeps 3 (default: all of REF)",
    )
    command.add_argument("--selftest", action="store_true", help="prove the measures: closed forms, invariances")
    command.add_argument("--doctor", action="store_true", help="find what is wrong with the format of each TEST")
    command.add_argument("--visqol", action="store_true", help="also ViSQOL of W (package visqol-python)")
    command.add_argument("--speech", action="store_true", help="also ESTOI of W: all scenes are speech")
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
    if given.order is not None and (given.build or given.doctor):
        raise InputError("--order is for REF and TEST, not for --build or --doctor")
    if given.pictures and not given.output and not given.doctor:
        raise InputError("--pictures needs -o, the folder to write to")

    from analysis.format_check.diagnose import diagnose_items
    from analysis.metrics.built_test import read_built_test
    from analysis.metrics.evaluation import items_of_build, items_of_files, measure_items
    from analysis.metrics.results import notes, table_text, write_results
    from analysis.metrics.visqol import require_visqol
    from render.common.files import write_json

    if given.build:
        items = items_of_build(read_built_test(given.build))
    else:
        items = items_of_files(given.reference, given.tests, given.order)
    if given.doctor:
        records = []
        for diagnosis in diagnose_items(items):
            print(diagnosis.text())
            records.append(diagnosis.record())
        if given.output:
            write_json(given.output / "doctor.json", records, force=given.force)
        return
    if given.visqol:
        require_visqol()
    workers = max(1, given.workers or 1)
    take_as_aligned = given.aligned or given.build is not None
    rows = list(measure_items(items, workers, take_as_aligned, given.visqol, given.speech))
    print(table_text(rows, os.get_terminal_size().columns - 34 if os.isatty(1) else 140))
    for note in notes(rows):
        print(f"note: {note}")
    if given.output:
        write_results(rows, given.output, given.force)
        print(f"wrote {given.output / 'objective.csv'} and objective.json: {len(rows)} rows")
    if given.pictures:
        from analysis.reporting.scene_pages import draw_items  # matplotlib takes a second to import

        pages = draw_items(items, given.output, workers, take_as_aligned, given.force)
        print(f"wrote {pages}: contact sheets and pages of {len(items)} items")


if __name__ == "__main__":
    run(main)
