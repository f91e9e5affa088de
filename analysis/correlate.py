"""Compare objective measures with the mean scores of a listening test.

    python -m analysis.simulate --key out/demo/key-7.1.4.json -o out/ratings.csv
    python -m analysis.objective --build out/demo -o out/demo/measures
    python -m analysis.correlate out/ratings.csv out/demo/measures/objective.csv --key out/demo/key-7.1.4.json

RATINGS are the files of one listening test, OBJECTIVE.csv is the table of analysis.objective (columns item,
condition and one for each measure), or one of another program. Each measure is compared with the mean score of
every item and condition, the hidden reference left out (any measure finds it equal to itself): pooled over all
conditions; over the systems, which leaves out the anchors too, as any measure tells them from the rest; and over
the items of each condition. Pearson's, Spearman's and Kendall's coefficients come with 95 % bootstrap intervals
over the items. The logarithm of the bit rate is the baseline to beat: where the table has rates, the last
columns say by how much |Spearman| is larger. Then every measure is mapped to scores by a monotone polynomial,
and its errors, outliers and the limit that the ratings' own error sets are those of Recommendation ITU-T P.1401.
"""

from __future__ import annotations

from pathlib import Path

from analysis.reporting.figure_options import add_labels
from analysis.study.options import SCREENINGS, Settings, add_names, renamed_conditions
from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.figure_style import add_look_options, chosen_look


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.correlate")
    command.add_argument("results", nargs="+", type=Path, metavar="RATINGS", help="rating file(s) of one test")
    command.add_argument("measures", type=Path, metavar="OBJECTIVE.csv")
    command.add_argument("--also", nargs="+", type=Path, default=[], metavar="TABLE.csv",
                         help="values of other programs: columns item and condition, or file, and one for each "
                         "measure")  # fmt: skip
    add_names(command)
    command.add_argument("--screening", choices=SCREENINGS, default="bs1534-3")
    command.add_argument("--draws", type=int, default=2000, metavar="N", help="bootstrap draws (default: 2000)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write correlations.csv and the figure scatter"
    )
    command.add_argument("--force", action="store_true", help="replace files that differ")
    add_labels(command.add_argument_group("figure"))
    add_look_options(command)
    arguments = command.parse_args()
    if not 1 <= arguments.draws <= 100_000 or arguments.seed < 0:
        raise InputError("--draws must be from 1 to 100000 and --seed not negative")

    from analysis.ratings.conditions import looking_like_reference_or_anchor
    from analysis.ratings.table import read, read_key
    from analysis.reporting.correlation import prediction_lines, table_lines
    from analysis.reporting.scatter_figure import write_scatter
    from analysis.study.analysis import analyse
    from analysis.study.correlation import correlate
    from analysis.study.other_measures import read_tables
    from analysis.study.prediction import predictions
    from render.common.files import whole_file

    key = read_key(arguments.key) if arguments.key else None
    ratings = read(arguments.results, key, renamed_conditions(arguments), arguments.conditions)
    results = analyse(ratings, Settings(screening=arguments.screening))
    notes = (*ratings.notes, *looking_like_reference_or_anchor(ratings.table["condition"].unique()))
    scores, simulated = results.per_item, results.simulated
    rated = set(zip(scores["item"], scores["condition"], strict=True))
    measures = read_tables([arguments.measures, *arguments.also], rated, key)
    table = correlate(scores, measures, arguments.draws, arguments.seed)
    if simulated:
        print("SIMULATED RATINGS: no listener heard anything; these coefficients are evidence of nothing\n")
    print(f"{results.design}. {results.screened}.\n")
    predicted = predictions(scores, measures)
    print("\n".join([*table_lines(table), "", *prediction_lines(predicted), *(f"note: {note}" for note in notes)]))
    if arguments.output:
        for name, rows in (("correlations", table), ("predictions", predicted)):
            with whole_file(arguments.output / f"{name}.csv", force=arguments.force) as temporary:
                rows.assign(simulated=simulated).to_csv(temporary, index=False, lineterminator="\n")
        names, look = dict(arguments.labels), chosen_look(arguments)
        write_scatter(scores, measures, table, simulated, arguments.output, look, names, arguments.force)
        print(
            f"\nwrote in {arguments.output}: correlations.csv, predictions.csv, scatter (.pdf, .png, .svg, .txt)"
        )


if __name__ == "__main__":
    run(main)
