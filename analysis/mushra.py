"""Analyse the ratings of a MUSHRA test: a table here, and tables and figures as files.

RESULTS are the rating files of one test in any known format: our CSV (session,listener,item,condition,score,
or stimulus in place of condition, joined with the package's key), webMUSHRA, pymushra, GoListen, XML of
Netflix's listening-test-app (and ODAQ), BeaqleJS, long and wide tables.

Written are summary.csv, summary.json, pairs.csv, items.csv, outliers.csv (planned.csv with --plan) and the figure
mushra (mean and 95 % CI of each condition); with --figures all also the figures items, boxes, listeners,
differences and ranks. The same ratings give the same bytes. docs/analysis.md says how everything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.common.cli import one_thread_for_linear_algebra, parser, run

if TYPE_CHECKING:
    import pandas as pd

    from analysis.study.analysis import Results
    from analysis.study.session import Analysed


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.mushra")
    from analysis.study.options import add_options

    add_options(command)
    command.add_argument("--figures", choices=("main", "all"), default="main")
    command.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR")
    command.add_argument("--force", action="store_true", help="replace results that differ")
    arguments = command.parse_args()
    one_thread_for_linear_algebra()
    from analysis.study.session import analysed

    test = analysed(arguments)

    from analysis.ratings.csv_text import write_rows
    from analysis.reporting import mushra_figures as figures
    from analysis.study.analysis import as_json
    from render.common.files import write_json

    results, output, force = test.results, arguments.output, arguments.force
    tables = {"summary": results.summary, "pairs": results.pairs, "items": results.per_item,
              "outliers": results.outliers}  # fmt: skip
    if results.planned is not None:
        tables["planned"] = results.planned
    for name, table in tables.items():
        marked = table.assign(simulated="SIMULATED") if results.simulated else table
        body = marked.itertuples(index=False, name=None)
        write_rows(output / f"{name}.csv", [str(c) for c in marked.columns], body, force)
    source: dict[str, Any] = {"sources": [{"file": name, "sha256": digest} for name, digest in test.sources],
                              "formats": test.formats}  # fmt: skip
    if test.plan:
        source["plan"] = {"title": test.plan.title, "frozen": test.plan.frozen, "deviations": test.deviations}
    write_json(output / "summary.json", as_json(results) | source, force=force)
    chosen = figures.drawable(results) if arguments.figures == "all" else ["mushra"]
    for name in chosen:
        figures.save(results, name, output, ("pdf", "png", "svg"), force=force)
    _print(test)
    left = sorted(set(figures.FIGURES) - set(chosen))
    if left and arguments.figures == "all":
        print(f"too many panels, left out: {', '.join(left)}")
    written = ", ".join([f"{name}.csv" for name in tables] + ["summary.json"])
    print(f"\nwrote in {output}: {written}, {', '.join(chosen)} (each .pdf, .png, .svg)")
    if arguments.figures == "main":
        print(f"further figures with --figures all: {', '.join(left)}")


def _print(test: Analysed) -> None:
    """Print what a reader needs before looking at any file."""
    from analysis.ratings.table import labels
    from analysis.statistics.intervals import CONVENTIONS

    results = test.results
    if results.simulated:
        print("SIMULATED RATINGS: no listener heard anything\n")
    print(f"{results.design}, {len(results.ratings)} ratings. {results.screened}. {CONVENTIONS[results.ci]}.\n")
    named = {c: _cut(name, 40) for c, name in labels(results.cube.conditions).items()}
    _print_summary(results.summary, named)
    print("\nListeners: " + ", ".join(f"{count} after '{step}'" if step != "all" else f"{count} rated"
                                       for step, count in results.screening.flow))  # fmt: skip
    if results.screening.excluded:
        print("Left out by post-screening:")
        for listener, evidence in results.screening.excluded.items():
            for e in evidence:
                print(
                    f"  {listener}: {e.rule}: {len(e.items)} of {e.of} items, "
                    f"scores {min(e.scores):g} to {max(e.scores):g}"
                )
        print("\nWith all listeners:")
        _print_summary(results.summary_unscreened, named)
    if results.effects:
        _print_tests(results)
    if test.plan:
        _print_plan(test, named)
    _print_pairs(results, named)
    if results.bootstraps:
        width = max(map(len, named.values()))
        print(f"\n{'bootstrap of':<{width}}" + "".join(f"{scheme:>20}" for scheme in results.bootstraps))
        for c, name in named.items():
            limits = [f"[{of[c].low:7.2f}, {of[c].high:7.2f}]" for of in results.bootstraps.values()]
            print(f"{name:<{width}}" + "".join(f"{limit:>20}" for limit in limits))
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


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _print_tests(results: Results) -> None:
    print(f"\n{'repeated measures':<18}{'F':>10}{'df':>12}{'p':>11}{'p (GG)':>11}{'p (HF)':>11}{'part. eta2':>12}"
          "  to be quoted")  # fmt: skip
    for e in results.effects:
        df, quoted = f"{e.df}, {e.df_error}", results.chosen[e.name]
        print(f"{e.name:<18}{e.f:>10.3f}{df:>12}{e.p:>11.3g}{e.p_gg:>11.3g}{e.p_hf:>11.3g}{e.partial_eta2:>12.3f}"
              f"  {quoted}")  # fmt: skip
        if m := e.multivariate:
            df = f"{m.df}, {m.df_error}"
            print(f"{'  multivariate':<18}{m.f:>10.3f}{df:>12}{m.p:>11.3g}   Wilks {m.wilks:.4g}")
    if f := results.friedman:
        print(f"{'Friedman chi2':<18}{f.chi2:>10.3f}{f.df:>12}{f.p:>11.3g}   Kendall's W {f.kendall_w:.3f}")


def _print_plan(test: Analysed, named: Mapping[str, str]) -> None:
    plan, planned = test.plan, test.results.planned
    if plan is None or planned is None:
        return
    print(f"\nPlan frozen on {plan.frozen}: {plan.test}, {plan.correction}, alpha {plan.alpha:g}")
    for row in planned.itertuples():
        pair = f"{named[str(row.a)]} - {named[str(row.b)]}"
        verdict = "different" if row.different else "not shown to be different"
        print(f"{pair:<34}{row.difference:>11.2f}{_interval(row):>20}   p {row.p_adjusted:.2g}  {verdict}")
    print(f"{len(test.deviations) or 'no'} deviation{'s' * (len(test.deviations) != 1)} from the plan"
          + "".join(f"\n  {deviation}" for deviation in test.deviations))  # fmt: skip


def _print_pairs(results: Results, named: Mapping[str, str]) -> None:
    systems = results.pairs[~results.pairs[["a", "b"]].isin(["la", "ma"]).any(axis=1)]
    if not len(systems):
        return
    shown = {(a, b): f"{_cut(named[a], 24)} - {_cut(named[b], 24)}"
             for a, b in zip(systems["a"].head(30), systems["b"].head(30), strict=True)}  # fmt: skip
    width = max(map(len, shown.values()))
    head = f"{'difference':>12}{'95 % CI':>20}{'dz':>7}{'delta':>7}{'t, Holm':>10}{'Wilcoxon':>10}"
    print(f"\n{'pair':<{width}}{head}")
    for row in systems.head(30).itertuples():
        further = "" if row.agree else "  the tests disagree"
        if "p_equivalent" in systems:
            further += f"  equivalent p {row.p_equivalent:.2g}, not inferior p {row.p_non_inferior:.2g}"
        print(f"{shown[row.a, row.b]:<{width}}{row.difference:>12.2f}{_interval(row):>20}{row.dz:>7.2f}"
              f"{row.cliffs_delta:>7.2f}{row.p_t_holm:>10.2g}{row.p_w_exact_holm:>10.2g}{further}")  # fmt: skip
    if len(systems) > 30:
        print(f"... and {len(systems) - 30} more in pairs.csv")
    clash = int((~results.pairs["agree"]).sum())
    print(f"t and Wilcoxon tests (Holm, 5 %) agree on {len(results.pairs) - clash} of {len(results.pairs)} pairs")


def _interval(row: Any) -> str:
    return f"[{row.ci_low:7.2f}, {row.ci_high:7.2f}]"


def _print_summary(summary: pd.DataFrame, named: Mapping[str, str]) -> None:
    width = max(9, *map(len, named.values())) + 1
    print(f"{'condition':<{width}}{'n':>8}{'mean':>9}{'95 % CI':>20}{'median':>9}")
    for row in summary.itertuples():
        name = named[str(row.condition)]
        print(f"{name:<{width}}{row.n:>8}{row.mean:>9.2f}{_interval(row):>20}{row.median:>9.1f}")


if __name__ == "__main__":
    run(main)
