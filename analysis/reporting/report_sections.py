"""Sections of the report that are computed: post-screening, results, comparisons, plan, tests."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd

from analysis.ratings.table import labels
from analysis.statistics.intervals import CONVENTIONS
from analysis.study.analysis import Results
from analysis.study.session import Analysed

SHORT = 30
"""Rows up to which a table is kept on one page."""


CAPTIONS = {
    "mushra": "Mean scores of all conditions",
    "items": "Mean scores of each item",
    "boxes": "Distribution of the ratings",
    "listeners": "Ratings of each listener",
    "differences": "Differences between conditions",
    "ranks": "Ranks of the conditions",
}


def screening_section(results: Results) -> list[str]:
    """What post-screening did, rule by rule and listener by listener."""
    parts = ["<h2>Post-screening</h2>", f"<p>{escape(results.screened)}.</p>"]
    parts.append("<table><tr><th>after</th><th>listeners</th></tr>")
    parts += [f"<tr><td>{escape(step)}</td><td>{count}</td></tr>" for step, count in results.screening.flow]
    parts.append("</table>")
    if results.screening.excluded:
        parts.append("<table><tr><th>left out</th><th class=text>rule</th><th class=text>on</th></tr>")
        for listener, evidence in results.screening.excluded.items():
            for e in evidence:
                items = ", ".join(f"{i} ({s:g})" for i, s in zip(e.items, e.scores, strict=True))
                parts.append(f"<tr><td>{escape(listener)}</td><td class=text>{escape(e.rule)}</td>"
                             f"<td class=text>{escape(items)}, of {e.of}</td></tr>")  # fmt: skip
        parts.append("</table>")
    parts.append(f"<p>{len(results.outliers)} ratings lie more than 1.5 interquartile ranges beyond the hinges "
                 "of their item and condition. None was removed.</p>")  # fmt: skip
    return parts


def results_section(results: Results, figures: Mapping[str, bytes]) -> list[str]:
    """Means, medians and figures."""
    named = labels(results.cube.conditions)
    spread = results.spread
    summary = results.summary.assign(condition=results.summary["condition"].map(named))
    summary = summary.assign(iqr=spread["q3"] - spread["q1"], q1=spread["q1"], q3=spread["q3"],
                             bimodality=spread["bimodality"])  # fmt: skip
    parts = ["<h2>Results</h2>",
             f"<p>Mean with {escape(CONVENTIONS[results.ci])}; median, interquartile range and coefficient of "
             "bimodality (above 5/9 several modes are suspected) of all ratings.</p>", table(summary)]  # fmt: skip
    if results.screening.excluded:
        everybody = results.summary_unscreened
        parts.append("<p>Without post-screening:</p>")
        parts.append(table(everybody.assign(condition=everybody["condition"].map(named))))
    for name, svg in figures.items():
        data = base64.b64encode(svg).decode()
        alt = escape(CAPTIONS.get(name, name))
        parts.append(f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}"></figure>')
    return parts


def comparisons_section(test: Analysed) -> list[str]:
    """Planned comparisons and all pairs."""
    results = test.results
    named = labels(results.cube.conditions)

    def of(pairs: pd.DataFrame, *columns: str) -> pd.DataFrame:
        names = [f"{named[a]} − {named[b]}" for a, b in zip(pairs["a"], pairs["b"], strict=True)]
        return pairs.assign(pair=names)[
            ["pair", "n", "difference", "ci_low", "ci_high", "dz", "cliffs_delta", *columns]
        ]

    claims = [c for c in ("p_equivalent", "p_non_inferior") if c in results.pairs]
    parts = ["<h2>Comparisons</h2>"]
    if test.plan and results.planned is not None:
        plan = test.plan
        parts.append(f"<p>Planned: {escape(plan.test)} test, {escape(plan.correction)} over these "
                     f"{len(results.planned)} pairs, alpha = {plan.alpha:g}.</p>")  # fmt: skip
        parts.append(table(of(results.planned, "p", "p_adjusted", "different", *claims)))
        parts.append("<p>All pairs, exploratory:</p>")
    columns = ["p_t_holm", "p_t_hochberg", "p_w_exact_holm"]
    columns += [c for c in ("p_permutation_holm", *claims) if c in results.pairs]
    parts.append(table(of(results.pairs, *columns, "agree"), "wide"))
    parts.append("<p>Differences of the listeners' means over items with their 95 % t interval, each pair by "
                 "itself; dz is their mean over their standard deviation. p of the t test (t) and of Wilcoxon's "
                 "test (w), adjusted over all pairs; agree: both decide alike at 5 % after Holm.</p>")  # fmt: skip
    return parts


def plan_section(test: Analysed) -> list[str]:
    """Deviations from the plan; nothing without one."""
    if not test.plan:
        return []
    head = [
        "<h2>Deviations from the plan</h2>",
        f"<p>Plan {escape(test.plan.title)} frozen on {escape(test.plan.frozen)}.</p>",
    ]
    listed = "".join(f"<li>{escape(deviation)}</li>" for deviation in test.deviations)
    return [*head, f"<ul>{listed}</ul>" if listed else "<p>None.</p>"]


def methods_section(results: Results) -> list[str]:
    """Omnibus tests, variance components and bootstraps."""
    parts = ["<h2>Statistical tests</h2>"]
    if results.effects:
        rows = [(e.name, e.f, f"{e.df}, {e.df_error}", e.p, e.gg, e.p_gg, e.hf, e.p_hf, e.partial_eta2,
                 results.chosen[e.name]) for e in results.effects]  # fmt: skip
        columns = ["effect", "F", "df", "p", "GG eps", "p GG", "HF eps", "p HF", "partial eta²", "to be quoted"]
        parts.append("<p>Repeated-measures analysis of variance; the last column is the choice of BS.1534-3, "
                     "attachment 4.</p>")  # fmt: skip
        parts.append(table(pd.DataFrame(rows, columns=columns), "wide"))
        rows = [(e.name, e.multivariate.wilks, e.multivariate.f, f"{e.multivariate.df}, {e.multivariate.df_error}",
                 e.multivariate.p) for e in results.effects if e.multivariate]  # fmt: skip
        if rows:
            parts.append(table(pd.DataFrame(rows, columns=["multivariate", "Wilks", "F", "df", "p"])))
        parts.append(f"<p>Residuals: skewness {results.residuals[0]:.2f}, excess kurtosis "
                     f"{results.residuals[1]:.2f} (BS.1534-3 flags 0.5, and 1.0 as severe).</p>")  # fmt: skip
    if f := results.friedman:
        parts.append(f"<p>Friedman's test: chi² = {f.chi2:.3f}, {f.df} degrees of freedom, p = {f.p:.3g}; "
                     f"Kendall's W = {f.kendall_w:.3f}.</p>")  # fmt: skip
    if results.mixed:
        values = results.mixed.variances | {"residual": results.mixed.residual}
        listed = escape(", ".join(f"{k} {v:.1f}" for k, v in values.items()))
        parts.append(f"<p>Variance components (mixed model with crossed listeners and items): {listed}.</p>")
    if results.bootstraps:
        named = labels(results.cube.conditions)
        bounds = {scheme: [f"[{i.low:.1f}, {i.high:.1f}]" for i in found.values()]
                  for scheme, found in results.bootstraps.items()}  # fmt: skip
        parts.append("<p>Bootstrap 95 % intervals of the means, by what is drawn:</p>")
        parts.append(table(pd.DataFrame({"condition": list(named.values()), **bounds})))
    return parts


def table(content: pd.DataFrame, kind: str = "") -> str:
    """HTML of a table; underscores of its headings become spaces."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return "–" if value != value else f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return escape(str(value))

    def row(cells: Iterable[str]) -> str:
        return f"<tr>{''.join(cells)}</tr>"

    head = row(f"<th>{escape(str(c).replace('_', ' '))}</th>" for c in content.columns)
    body = "".join(row(f"<td>{cell(v)}</td>" for v in line) for line in content.itertuples(index=False, name=None))
    kind += " short" if len(content) <= SHORT else ""
    return f"<table class='{kind.strip()}'><thead>{head}</thead><tbody>{body}</tbody></table>"
