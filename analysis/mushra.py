"""Analyse the ratings of a MUSHRA test: a table here, and tables and figures as files.

    python -m analysis.simulate --key out/demo/key-7.1.4.json -o out/ratings.csv
    python -m analysis.mushra out/ratings.csv --key out/demo/key-7.1.4.json -o out/analysis

RESULTS are the rating files of one test in any known format: our CSV (session,listener,item,condition,score,
or stimulus in place of condition, joined with the package's key), webMUSHRA, pymushra, GoListen, XML of
Netflix's listening-test-app (and ODAQ), BeaqleJS, long and wide tables.

Written are summary.csv, summary.json, pairs.csv, items.csv, contrasts.csv (mixed models), outliers.csv,
listeners.csv, laboratories.csv (of several), item_pairs.csv (where conditions and items interact), planned.csv
(with --plan), ordinal.csv (with --ordinal), tables.tex and sentences.txt for a paper, and the figure mushra
(mean and 95 % CI of each condition), each figure with its caption as text. The same ratings give the same bytes.
docs/analysis.md says how everything is computed, docs/figures.md shows the figures.

    python -m analysis.mushra results.csv --figures mushra differences --width 89mm --no-caption -o figures
"""

from __future__ import annotations

from pathlib import Path

from analysis.reporting.figure_options import add_figure_options, chosen
from analysis.study.options import add_options
from render.common.cli import one_thread_for_linear_algebra, parser, run

FORMATS = ("pdf", "png", "svg")


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.mushra")
    add_options(command)
    command.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    command.add_argument("--force", action="store_true", help="replace results that differ")
    add_figure_options(command)
    arguments = command.parse_args()
    one_thread_for_linear_algebra()

    from analysis.reporting import mushra_figures as figures
    from analysis.reporting import terminal
    from analysis.reporting.drawing import drawing
    from analysis.reporting.result_files import write_paper_texts, write_tables
    from analysis.study.analysis import analyse_files

    test = analyse_files(arguments)
    shown = drawing(test.results, chosen(arguments))
    drawn = figures.chosen_figures(shown, arguments.figures)
    written = write_tables(test, arguments.output, arguments.force)
    for name in drawn:
        figures.save(shown, name, arguments.output, FORMATS, force=arguments.force)
    written += write_paper_texts(shown, arguments.output, arguments.force)
    print("\n".join(terminal.lines(test)))
    print(f"\nwrote in {arguments.output}: {', '.join(written)}")
    print(f"figures, each as .pdf, .png, .svg, with its caption as .txt: {', '.join(drawn)}")
    if left := [name for name in figures.FIGURES if name not in drawn]:
        why = "too many panels, left out" if "all" in arguments.figures else "further figures with --figures"
        print(f"{why}: {', '.join(left)}")


if __name__ == "__main__":
    run(main)
