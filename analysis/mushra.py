"""Analyse the ratings of a MUSHRA test: a table here, and tables and figures as files.

RESULTS are the rating files of one test in any known format: our CSV (session,listener,item,condition,score,
or stimulus in place of condition, joined with the package's key), webMUSHRA, pymushra, GoListen, XML of
Netflix's listening-test-app (and ODAQ), BeaqleJS, long and wide tables.

Written are summary.csv, summary.json, pairs.csv, items.csv, outliers.csv and the figure mushra (mean and 95 %
CI of each condition); with --figures all also the figures items, boxes, listeners, differences and ranks. The
same ratings give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, run

if TYPE_CHECKING:
    from analysis.results import Results


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.mushra")
    command.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="rating file(s) of one test")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--reference", metavar="NAME", help="the hidden reference's name in RESULTS, if not href")
    command.add_argument("--low-anchor", metavar="NAME", help="the 3.5 kHz anchor's name, if not la")
    command.add_argument("--mid-anchor", metavar="NAME", help="the 7 kHz anchor's name, if not ma")
    command.add_argument("--ci", choices=("paper", "listener", "crossed"), default="listener",
                         help="95 %% intervals of the means: all ratings taken as independent (as often "
                         "published), listener means (default), listeners and items both random")  # fmt: skip
    command.add_argument("--screening", choices=("bs1534-3", "mpeg-strict", "none"), default="bs1534-3",
                         help="post-screening of listeners (default: %(default)s)")  # fmt: skip
    command.add_argument(
        "--draws",
        type=int,
        default=0,
        metavar="N",
        help="draws of bootstraps and permutation tests (10000 is usual; default none)",
    )
    command.add_argument("--seed", type=int, default=1, help="seed of the draws")
    command.add_argument("--margin", type=float, metavar="POINTS",
                         help="test whether pairs are equivalent, and a no worse than b, by POINTS")  # fmt: skip
    command.add_argument("--figures", choices=("main", "all"), default="main")
    command.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    command.add_argument("--force", action="store_true", help="replace results that differ")
    arguments = command.parse_args()

    from analysis import figures
    from analysis.ratings import read, read_key
    from analysis.results import analyse, as_json
    from render.artefact import sha256, whole_file, write_json
    from render.errors import InputError

    if not 0 <= arguments.draws <= 1_000_000 or arguments.seed < 0:
        raise InputError("--draws must be from 0 to 1000000 and --seed not negative")
    if arguments.margin is not None and not 0 < arguments.margin <= 100:
        raise InputError("--margin must be above 0 and at most 100 points")
    names = {arguments.reference: "href", arguments.low_anchor: "la", arguments.mid_anchor: "ma"}
    names.pop(None, None)
    key = read_key(arguments.key) if arguments.key else None
    ratings = read(arguments.results, key, names)
    results = analyse(
        ratings, arguments.ci, arguments.screening, arguments.draws, arguments.seed, arguments.margin
    )
    _print(results)

    output, force = arguments.output, arguments.force
    tables = {"summary": results.summary, "pairs": results.pairs, "items": results.per_item,
              "outliers": results.outliers}  # fmt: skip
    for name, table in tables.items():
        with whole_file(output / f"{name}.csv", force=force) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    source = {"sources": [{"file": p.name, "sha256": sha256(p)} for p in arguments.results],
              "formats": ratings.attrs["formats"]}  # fmt: skip
    write_json(output / "summary.json", as_json(results) | source, force=force)
    chosen = figures.drawable(results) if arguments.figures == "all" else ["mushra"]
    for name in chosen:
        figures.save(results, name, output, ("pdf", "png", "svg"), force=force)
    if arguments.figures == "all" and (left := set(figures.FIGURES) - set(chosen)):
        print(f"too many panels, left out: {', '.join(sorted(left))}")
    print(f"\nwrote {output}/summary.csv, .json, pairs.csv, items.csv, outliers.csv, mushra.pdf, .png, .svg")


def _print(results: Results) -> None:
    """Print what a reader needs before looking at any file."""
    from analysis.ratings import labels
    from analysis.statistics import CONVENTIONS

    if results.simulated:
        print("SIMULATED RATINGS: no listener heard anything\n")
    print(f"{results.design}, {len(results.ratings)} ratings. {results.screened}. {CONVENTIONS[results.ci]}.\n")
    named = labels(results.cube.conditions)
    _print_summary(results.summary, named)
    if results.screening.excluded:
        print("\nLeft out by post-screening:")
        for listener, evidence in results.screening.excluded.items():
            for e in evidence:
                print(
                    f"  {listener}: {e.rule}: {len(e.items)} of {e.of} items, "
                    f"scores {min(e.scores):g} to {max(e.scores):g}"
                )
        print("\nWith all listeners:")
        _print_summary(results.summary_unscreened, named)
    if results.effects:
        print(f"\n{'repeated measures':<18}{'F':>10}{'df':>12}{'p':>11}{'p (GG)':>11}{'p (HF)':>11}  to be quoted")
        for e in results.effects:
            df, quoted = f"{e.df}, {e.df_error}", results.chosen[e.name]
            print(f"{e.name:<18}{e.f:>10.3f}{df:>12}{e.p:>11.3g}{e.p_gg:>11.3g}{e.p_hf:>11.3g}  {quoted}")
            if m := e.multivariate:
                df = f"{m.df}, {m.df_error}"
                print(f"{'  multivariate':<18}{m.f:>10.3f}{df:>12}{m.p:>11.3g}   Wilks {m.wilks:.4g}")
        if f := results.friedman:
            print(f"{'Friedman':<18}{f.chi2:>10.3f}{f.df:>12}{f.p:>11.3g}   Kendall's W {f.kendall_w:.3f}")
    systems = results.pairs[~results.pairs[["a", "b"]].isin(["la", "ma"]).any(axis=1)]
    if len(systems):
        print(f"\n{'pair':<34}{'difference':>11}{'95 % CI':>20}{'dz':>7}{'t, Holm':>10}{'Wilcoxon':>10}")
        for row in systems.head(30).itertuples():
            pair = f"{named[str(row.a)]} - {named[str(row.b)]}"
            interval = f"[{row.ci_low:7.2f}, {row.ci_high:7.2f}]"
            clash = "" if row.agree else "  the tests disagree"
            if "p_equivalent" in systems:
                clash += f"  equivalent p {row.p_equivalent:.2g}, not inferior p {row.p_non_inferior:.2g}"
            print(f"{pair:<34}{row.difference:>11.2f}{interval:>20}{row.dz:>7.2f}{row.p_t_holm:>10.2g}"
                  f"{row.p_w_holm:>10.2g}{clash}")  # fmt: skip
        if len(systems) > 30:
            print(f"... and {len(systems) - 30} more in pairs.csv")
    for scheme, found in results.bootstraps.items():
        limits = "  ".join(f"{named[c]} [{i.low:.2f}, {i.high:.2f}]" for c, i in found.items())
        print(f"bootstrap ({scheme}): {limits}")
    if len(results.outliers):
        print(
            f"\n{len(results.outliers)} ratings lie 1.5 IQR beyond the hinges of their item and condition:"
            " outliers.csv"
        )
    for warning in results.warnings:
        print(f"note: {warning}")
    for listener, item, condition in results.not_rated[:10]:
        print(f"not rated: listener {listener}, item {item}, condition {condition}")
    if len(results.not_rated) > 10:
        print(f"not rated: {len(results.not_rated) - 10} more, in summary.json")


def _print_summary(summary, named) -> None:
    print(f"{'condition':<18}{'n':>8}{'mean':>9}{'95 % CI':>20}{'median':>9}")
    for row in summary.itertuples():
        interval = f"[{row.ci_low:7.2f}, {row.ci_high:7.2f}]"
        print(f"{named[row.condition]:<18}{row.n:>8}{row.mean:>9.2f}{interval:>20}{row.median:>9.1f}")


if __name__ == "__main__":
    run(main)
