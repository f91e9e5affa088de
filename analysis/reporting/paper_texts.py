"""What a paper takes from a listening test besides its figures: tables for LaTeX, and sentences to quote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.reporting.drawing import Drawing
from analysis.reporting.significance import p_text
from analysis.statistics.intervals import CONVENTIONS

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
}
_SPECIAL |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def latex_tables(test: Drawing) -> str:
    """Write the means and the differences as two tables of the package booktabs, in the order of the figures."""
    results = test.results
    caption = f"Mean score, {CONVENTIONS[results.ci]}, and median of all ratings."
    rows = [
        (_escaped(test.names[str(row["condition"])]), str(row["n"]), f"{row['mean']:.1f}",
         _interval(row["ci_low"], row["ci_high"]), f"{row['median']:.1f}")
        for row in test.rows(results.summary).to_dict("records")
    ]  # fmt: skip
    head = ("Condition", "Ratings", "Mean", r"95\,\% CI", "Median")
    tables = [_table(head, rows, _escaped(test.caption(caption)), "tab:mushra-means")]
    differences = [
        (_escaped(f"{test.names[row['a']]} − {test.names[row['b']]}"), _signed(row["difference"]),
         _interval(row["ci_low"], row["ci_high"], signed=True), _p(row["p_adjusted"]))
        for row in test.differences().to_dict("records")
    ]  # fmt: skip
    if differences:
        caption = ("Differences of scores within listener and item, 95 % intervals each by itself, and p by the "
                   f"{test.test_name}.")  # fmt: skip
        head = ("Pair", "Difference", r"95\,\% CI", "$p$")
        tables.append(_table(head, differences, _escaped(test.caption(caption)), "tab:mushra-differences"))
    simulated = "% SIMULATED RATINGS: no listener heard anything\n" if results.simulated else ""
    return f"{simulated}% needs \\usepackage{{booktabs}}\n" + "\n".join(tables)


def sentences(test: Drawing) -> str:
    """Say what was found in sentences that can be quoted, one a line: the design, the means, each difference."""
    results = test.results
    lines = ["SIMULATED RATINGS: no listener heard anything; quote nothing of this."] if results.simulated else []
    screened = results.screened[0].lower() + results.screened[1:]
    lines.append(f"The ratings of {results.design} were analysed ({screened}).")
    means = [
        f"{test.names[str(row['condition'])]} {row['mean']:.1f} {_interval(row['ci_low'], row['ci_high'])}"
        for row in test.rows(results.summary).to_dict("records")
    ]
    convention = CONVENTIONS[results.ci].removeprefix("95 % CI: ")
    lines.append(f"The mean scores and 95 % confidence intervals ({convention}) are {', '.join(means)}.")
    lines += [_sentence(test, row) for row in test.differences().to_dict("records")]
    return "\n".join(lines) + "\n"


def _sentence(test: Drawing, row: Mapping[Any, Any]) -> str:
    results, difference = test.results, row["difference"]
    names = test.names[row["a"]], test.names[row["b"]]
    if row["p_adjusted"] != row["p_adjusted"]:
        return f"{names[0]} and {names[1]}: too few listeners rated both for a test."
    low, high = (row["ci_low"], row["ci_high"]) if difference >= 0 else (-row["ci_high"], -row["ci_low"])
    return (
        f"{names[0]} was rated {abs(difference):.1f} points {'above' if difference >= 0 else 'below'} {names[1]} "
        f"(95 % CI {low:.1f} to {high:.1f}; {p_text(row['p_adjusted'])}, {test.test_name}); this {results.holds}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str) -> str:
    body = "\n".join(f"  {' & '.join(row)} \\\\" for row in rows)
    columns = "l" + "r" * (len(head) - 1)
    return (
        f"\\begin{{table}}\n  \\centering\n  \\caption{{{caption}}}\n  \\label{{{label}}}\n"
        f"  \\begin{{tabular}}{{{columns}}}\n  \\toprule\n  {' & '.join(head)} \\\\\n  \\midrule\n{body}\n"
        "  \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    )


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _signed(value: float) -> str:
    return f"${value:+.1f}$"


def _interval(low: float, high: float, signed: bool = False) -> str:
    if low != low:
        return "--" if signed else "(no interval)"
    return f"$[{low:+.1f}, {high:+.1f}]$" if signed else f"[{low:.1f}, {high:.1f}]"


def _p(p: float) -> str:
    return "--" if p != p else f"${p_text(p).removeprefix('p ').removeprefix('= ')}$"
