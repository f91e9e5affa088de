"""Analyse the ratings of a MUSHRA test: a table here, and tables and figures as files.

RESULTS are the rating files of one test in any known format: our CSV (session,listener,item,condition,score,
or stimulus in place of condition, joined with the package's key), webMUSHRA, pymushra, GoListen, XML of
Netflix's listening-test-app (and ODAQ), BeaqleJS, long and wide tables.

Written are summary.csv, summary.json, pairs.csv, items.csv, contrasts.csv (mixed models), outliers.csv
(planned.csv with --plan) and the figure mushra (mean and 95 % CI of each condition); with --figures all also the
figures items, boxes, listeners, differences and ranks. The same ratings give the same bytes. docs/analysis.md
says how everything is computed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.study.options import add_options
from render.common.cli import one_thread_for_linear_algebra, parser, run

FORMATS = ("pdf", "png", "svg")


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.mushra")
    add_options(command)
    command.add_argument("--figures", choices=("main", "all"), default="main")
    command.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    command.add_argument("--force", action="store_true", help="replace results that differ")
    arguments = command.parse_args()
    one_thread_for_linear_algebra()

    from analysis.ratings.csv_text import write_rows
    from analysis.reporting import mushra_figures as figures
    from analysis.reporting import terminal
    from analysis.study.analysis import analyse_files
    from analysis.study.results import as_json
    from render.common.files import write_json

    test = analyse_files(arguments)
    results, output, force = test.results, arguments.output, arguments.force
    tables = {"summary": results.summary, "pairs": results.pairs, "items": results.per_item,
              "contrasts": results.contrasts, "outliers": results.outliers}  # fmt: skip
    if results.planned is not None:
        tables["planned"] = results.planned
    for name, table in tables.items():
        marked = table.assign(simulated="SIMULATED") if results.simulated else table
        rows = marked.itertuples(index=False, name=None)
        write_rows(output / f"{name}.csv", [str(c) for c in marked.columns], rows, force)
    provenance: dict[str, Any] = {
        "sources": [{"file": name, "sha256": digest} for name, digest in test.sources],
        "formats": test.formats,
    }
    if test.plan:
        provenance["plan"] = {
            "title": test.plan.title,
            "frozen": test.plan.frozen,
            "deviations": test.deviations,
        }
    write_json(output / "summary.json", as_json(results) | provenance, force=force)
    drawn = figures.drawable(results) if arguments.figures == "all" else ["mushra"]
    for name in drawn:
        figures.save(results, name, output, FORMATS, force=force)
    print("\n".join(terminal.lines(test)))
    left = sorted(set(figures.FIGURES) - set(drawn))
    if left and arguments.figures == "all":
        print(f"too many panels, left out: {', '.join(left)}")
    written = ", ".join([f"{name}.csv" for name in tables] + ["summary.json"])
    print(f"\nwrote in {output}: {written}, {', '.join(drawn)} (each .pdf, .png, .svg)")
    if arguments.figures == "main":
        print(f"further figures with --figures all: {', '.join(left)}")


if __name__ == "__main__":
    run(main)
