"""Analyse the results of a BS.1116, AB or ABX test: a table here, and tables and a figure as files.

    python -m analysis.comparison results-7.1.4.sqlite --key key-7.1.4.json -o results

RESULTS is a database of listening.serve, or the CSV that listening.results makes of it. BS.1116: difference grades
with 95 % intervals over listeners, t and sign tests against 0, and whether each listener identified the hidden
reference. AB: shares with Clopper-Pearson intervals and exact binomial tests, ties counted apart. ABX: shares
correct, exact one-sided tests and d' by two models. All
overall, by item and by listener; attributes and transducers are never pooled. Systems of which three or more
were compared in pairs are placed on one scale of preference. Written are summary.csv, summary.json, scale.csv
(if there is one) and the figure comparison; --force replaces results that differ, and removes the scale of an
earlier analysis.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from analysis.reporting.figure_options import add_labels
from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.figure_style import add_look_options, chosen_look


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.comparison")
    command.add_argument("results", type=Path, metavar="RESULTS", help="database (.sqlite) or table (.csv)")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside the package")
    command.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    command.add_argument(
        "--force",
        action="store_true",
        help="replace results that differ, and remove the scale of an earlier analysis",
    )
    add_labels(command.add_argument_group("figure"))
    add_look_options(command)
    arguments = command.parse_args()
    one_thread_for_linear_algebra()

    from analysis.ratings.comparisons import read_comparisons
    from analysis.ratings.table import read_key
    from analysis.reporting.comparison_figure import write_comparison_figure
    from analysis.reporting.comparison_tables import lines, write_tables
    from analysis.study.comparison import expertise, preference_scale, summary

    test = read_comparisons(arguments.results, read_key(arguments.key) if arguments.key else None)
    rows, output, force = summary(test), arguments.output, arguments.force
    experts = expertise(test) if test.method == "bs1116" else []
    scale, impossible = preference_scale(test) if test.method == "ab" else ([], [])
    test = replace(test, notes=(*test.notes, *impossible))
    write_tables(output, test, rows, experts, scale, force)
    names, look = dict(arguments.labels), chosen_look(arguments)
    left = write_comparison_figure(test.method, rows, test.simulated, output, look, names, force)
    print("\n".join(lines(test, rows, experts, scale)))
    tables = "summary.csv, scale.csv" if scale else "summary.csv"
    print(f"\nwrote in {output}: {tables}, summary.json, comparison (.pdf, .png, .svg; its caption as .txt)")
    if left:
        print(f"the figure has no place for {left} of {len(rows)} rows; summary.csv has them all")


if __name__ == "__main__":
    run(main)
