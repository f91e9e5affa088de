"""How well do objective measures follow the listeners? Compare a table of measures with the mean scores.

RATINGS are the files of one listening test, OBJECTIVE.csv is the table of analysis.objective (columns item,
condition and one for each measure). Each measure is compared with the mean score of every item and condition,
the hidden reference left out (any measure finds it equal to itself): pooled over all conditions; over the
systems, which leaves out the anchors too, as any measure tells them from the rest; and over the items of each
condition. Pearson's,
Spearman's and Kendall's coefficients come with 95 % bootstrap intervals over the items. The logarithm of the bit
rate is the baseline to beat: where the table has rates, the last columns say by how much |Spearman| is larger.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.common.cli import parser, run
from render.common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def print_table(table: pd.DataFrame) -> None:
    """Print the pooled comparisons, the best first."""
    pooled = table[table["conditions"].isin(("all", "systems"))]
    order = pooled.assign(size=pooled["spearman"].abs()).sort_values(
        ["conditions", "size"], ascending=[True, False]
    )
    from analysis.study.correlation import COEFFICIENTS

    print(f"{'measure':<17}{'conditions':<11}{'n':>4}" + "".join(f"{name:>22}" for name in COEFFICIENTS)
          + f"{'within':>8}{'rmse':>7}{'over bit rate':>21}")  # fmt: skip
    for row in order.itertuples():
        cells = [_with_interval(row, name) for name in (*COEFFICIENTS, "over_rate")]
        print(f"{row.measure:<17}{row.conditions:<11}{row.n:>4}" + "".join(f"{cell:>22}" for cell in cells[:3])
              + f"{_plain(row.within_items):>8}{_plain(row.rmse, 1):>7}{cells[3]:>21}")  # fmt: skip


def _plain(value: Any, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"


def _with_interval(row, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return _plain(value) + (f" [{low:.2f}, {high:.2f}]" if low == low else "")


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.correlate")
    command.add_argument("results", nargs="+", type=Path, metavar="RATINGS", help="rating file(s) of one test")
    command.add_argument("measures", type=Path, metavar="OBJECTIVE.csv")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--screening", choices=("bs1534-3", "mpeg-strict", "none"), default="bs1534-3")
    command.add_argument("--draws", type=int, default=2000, metavar="N", help="bootstrap draws (default: 2000)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write correlations.csv and scatter.png, .pdf"
    )
    command.add_argument("--force", action="store_true", help="replace files that differ")
    arguments = command.parse_args()
    if not 1 <= arguments.draws <= 100_000 or arguments.seed < 0:
        raise InputError("--draws must be from 1 to 100000 and --seed not negative")

    from analysis.ratings.table import is_simulated, read, read_key
    from analysis.study.analysis import analyse
    from analysis.study.correlation import correlate, read_measures
    from render.common.files import whole_file

    measures = read_measures(arguments.measures)
    ratings = read(arguments.results, read_key(arguments.key) if arguments.key else None)
    results = analyse(ratings, screening=arguments.screening)
    table = correlate(results.per_item, measures, arguments.draws, arguments.seed)
    if is_simulated(ratings):
        print("SIMULATED RATINGS: no listener heard anything; these coefficients are evidence of nothing\n")
    print(f"{results.design}. {results.screened}.\n")
    print_table(table)
    if arguments.output:
        from analysis.reporting.correlation import draw

        with whole_file(arguments.output / "correlations.csv", force=arguments.force) as temporary:
            table.assign(simulated=is_simulated(ratings)).to_csv(temporary, index=False, lineterminator="\n")
        draw(results.per_item, measures, table, is_simulated(ratings), arguments.output, arguments.force)
        print(f"\nwrote {arguments.output / 'correlations.csv'}, scatter.png and scatter.pdf")


if __name__ == "__main__":
    run(main)
