"""The report of a MUSHRA test as one self-contained HTML page, by the checklist of BS.1534-3, section 10.

What the ratings tell (design, listeners, post-screening, results, statistical methods, versions, digests) is
filled in. Everything else is taken from a file of facts (`analysis.reporting.checklist`); a point that it lacks is
marked as missing.
"""

from __future__ import annotations

import base64
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from analysis.ratings.conditions import REFERENCE_AND_ANCHORS, labels
from analysis.reporting import presentation
from analysis.reporting.checklist import FACTS, MISSING, SECTIONS, is_given
from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.mixed_inference import METHODS
from analysis.statistics.paired_tests import PERMUTATION_REMARK
from analysis.study.analysis import AnalysedTest
from analysis.study.claims import sentence
from analysis.study.results import Results

MAX_UNBROKEN_ROWS = 30
"""Largest number of rows of a table that is kept on one page."""

CAPTIONS = {
    "mushra": "Mean scores of all conditions",
    "items": "Mean scores of each item",
    "boxes": "Distribution of the ratings",
    "violins": "Distribution of the ratings, beside the mean scores",
    "listeners": "Ratings of each listener",
    "differences": "Differences between conditions",
    "ranks": "Ranks of the conditions",
}
"""Name of a figure -> its text for readers who cannot see it."""

_STYLE = """
@page{size:A4;margin:18mm 16mm}
body{font:15px/1.5 Georgia,"DejaVu Serif",serif;max-width:54em;margin:2em auto;padding:0 1em;color:#111}
h1,h2,th,b,.flag,.missing{font-family:Helvetica,"DejaVu Sans",Arial,sans-serif}
h2{border-bottom:1px solid #999;margin-top:2em}b{font-size:.93em}
table{border-collapse:collapse;margin:1em 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:.2em .6em;text-align:right;vertical-align:top}td:not(.text){white-space:nowrap}
th{border-bottom:1px solid #111}th:first-child,td:first-child,td.text,th.text{text-align:left}
td{border-bottom:1px solid #ddd}.wide{font-size:11px}.wide td,.wide th{padding:.15em .35em}
.words td:not(.text),.words th{text-align:left;white-space:normal;overflow-wrap:anywhere}
img{max-width:100%}figure{margin:1.5em 0;text-align:center}
.flag{border:2px solid #111;padding:.5em 1em;font-weight:bold}.note{border-left:4px solid #111;padding-left:.8em}
.missing{font-weight:bold;background:#e4e4e4;padding:0 .3em}code{font-size:11px;word-break:break-all}
@media print{body{font-size:11pt;margin:0;max-width:none;padding:0}h2{break-after:avoid}
figure,tr,table.short{break-inside:avoid}p:has(+table){break-after:avoid}thead{display:table-header-group}}
"""


def report(test: AnalysedTest, facts: Mapping[str, str], figures: Mapping[str, bytes]) -> str:
    """Compose the page.

    Parameters
    ----------
    test
        The analysed test.
    facts
        Key of `analysis.reporting.checklist.FACTS` -> text.
    figures
        Name of each figure -> its SVG.
    """
    results = test.results
    title = escape(facts.get("title") or "Report of a MUSHRA listening test")
    parts = [f"<h1>{title}</h1>"]
    if results.simulated:
        parts.append("<p class=flag>SIMULATED RATINGS: no listener heard anything. Nothing here is evidence.</p>")
    missing = [what for key, what in FACTS.items() if not is_given(facts, key)]
    if missing:
        parts.append(f"<p class=note>{len(missing)} of {len(FACTS)} points that BS.1534-3 asks for and that the "
                     "ratings cannot tell are missing, or a part of them is. They are marked where they belong, "
                     "and in the checklist.</p>")  # fmt: skip
    parts += ["<h2>Summary</h2>", *_summary(test)]
    for section, points in SECTIONS.items():
        if section == "Conclusions":
            parts += [
                *_screening(results),
                *_means(results, figures),
                *_comparisons(test),
                *_deviations(test),
            ]
        parts.append(f"<h2>{section}</h2>")
        if section == "Assessors":
            parts += _listeners(results)
        if section == "Material and systems":
            parts += _design(results)
        if section == "Procedure":
            parts += _presentation(results)
        parts += [f"<p><b>{escape(what)}.</b> {_fact(facts, key)}</p>" for key, what in points.items()]
    parts += [*_statistical_tests(results), *_sources(test), *_checklist(test, facts)]
    head = f"<meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{chr(10).join(parts)}</body></html>\n"


def _fact(facts: Mapping[str, str], key: str) -> str:
    return escape(facts.get(key) or MISSING).replace(MISSING, f"<span class=missing>{MISSING}</span>")


def _interval(low: Any, high: Any) -> str:
    return "(no interval)" if np.isnan(low) else f"[{low:.1f}, {high:.1f}]"


def _summary(test: AnalysedTest) -> list[str]:
    """Say in words what was done and found; the tables below hold the same."""
    results = test.results
    named = {c: escape(name) for c, name in labels(results.cube.conditions).items()}
    means = ", ".join(f"{named[str(row.condition)]} {row.mean:.1f} {_interval(row.ci_low, row.ci_high)}"
                      for row in results.summary.itertuples())  # fmt: skip
    parts = [f"<p>{escape(results.design)} x {len(results.cube.conditions)} conditions were rated on the scale 0 "
             f"to 100 of Recommendation ITU-R BS.1534. {escape(results.screened)}. Mean scores with "
             f"{escape(CONVENTIONS[results.ci])}: {means}.</p>"]  # fmt: skip
    if q := results.quoted:
        agreeing = (
            f"{int(results.pairs['agree'].sum())} of {len(results.pairs)} pairs" if len(results.pairs) else ""
        )
        parts.append(
            f"<p>The conditions {'differ' if q.p < 0.05 else 'are not shown to differ'} (F({q.df:.3g}, "
            f"{q.df_error:.3g}) = {q.f:.3f}, p = {q.p:.2g}, {escape(q.name)}); this {escape(results.holds)}. "
            + (f"Parametric and rank tests agree on {agreeing}." if agreeing else "No pairs were compared.")
            + "</p>"
        )
    if test.plan:
        count = len(test.deviations)
        parts.append(f"<p>The analysis follows a plan frozen on {escape(test.plan.frozen)}, with "
                     f"{count or 'no'} deviation{'s' * (count != 1)}.</p>")  # fmt: skip
    return parts + [f"<p class=note>{escape(warning)}</p>" for warning in results.warnings]


def _listeners(results: Results) -> list[str]:
    screening = results.screening
    sessions = results.table["session"].nunique()
    repeated = len(results.table) - int((~np.isnan(results.cube.scores)).sum())
    return [f"<p>{screening.flow[0][1]} listeners rated, {len(results.cube.listeners)} remained after "
            f"post-screening. Their ratings come from {sessions} session{'s' * (sessions != 1)}; {repeated} of "
            "them repeat a rating of the same cell of the design (they are averaged).</p>"]  # fmt: skip


def _design(results: Results) -> list[str]:
    cube = results.cube
    conditions = ", ".join(escape(f"{name} ({c})") for c, name in labels(cube.conditions).items())
    present = [what for c, what in REFERENCE_AND_ANCHORS.items() if c in cube.conditions]
    absent = [what for c, what in REFERENCE_AND_ANCHORS.items() if c not in cube.conditions]
    anchors = f"Among them: {', '.join(present)}. " if present else ""
    if absent:
        anchors += f"<b>Not among them, though the standard asks for it: {', '.join(absent)}.</b>"
    gaps = f"{len(results.not_rated)} cells were not rated." if results.not_rated else "Every cell was rated."
    return [
        f"<p>{len(cube.conditions)} conditions: {conditions}. {anchors}</p>",
        f"<p>{len(cube.items)} items: {escape(', '.join(cube.items))}.</p>",
        f"<p>{len(results.table)} ratings were analysed. {gaps}</p>",
    ]


def _presentation(results: Results) -> list[str]:
    """Report how the test ran, where the ratings tell it."""
    table = results.table
    parts = [f"<p>{escape(remark)}</p>" for remark in presentation.remarks(table)]
    if len(times := presentation.times(table)):
        parts += ["<p>Times, plays and underruns of each listener.</p>", _table(times, "wide")]
    if len(devices := presentation.devices(table)):
        parts.append(
            "<p>Devices: their channels, which channel of the files each plays, the listener's level.</p>"
        )
        parts.append(_table(devices, "wide words"))
    if len(orders := presentation.orders(table)):
        parts += ["<p>Order of the trials of each listener.</p>", _table(orders, "wide words")]
    return parts


def _screening(results: Results) -> list[str]:
    """Report the post-screening, rule by rule and listener by listener."""
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


def _means(results: Results, figures: Mapping[str, bytes]) -> list[str]:
    """Report means, medians and spread, and show the figures."""
    named = labels(results.cube.conditions)
    spread = results.spread
    summary = results.summary.assign(condition=results.summary["condition"].map(named))
    summary = summary.assign(iqr=spread["q3"] - spread["q1"], q1=spread["q1"], q3=spread["q3"],
                             bimodal_items=spread["bimodal_items"])  # fmt: skip
    parts = [
        "<h2>Results</h2>",
        f"<p>Mean with {escape(CONVENTIONS[results.ci])}; limits on the logistic scale that cannot leave "
        "0..100 (bounded); marginal mean by the claim's mixed model; median, hinges (q1, q3) and their distance "
        "of all ratings; on how many items several modes are suspected (coefficient of bimodality above 5/9 "
        "with light tails).</p>",
        _table(summary, "wide"),
    ]
    if results.screening.excluded:
        everybody = results.summary_unscreened
        parts.append("<p>Without post-screening:</p>")
        parts.append(_table(everybody.assign(condition=everybody["condition"].map(named))))
    for name, svg in figures.items():
        data = base64.b64encode(svg).decode()
        alt = escape(CAPTIONS.get(name, name))
        parts.append(f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}"></figure>')
    return parts


def _comparisons(test: AnalysedTest) -> list[str]:
    """Report the planned comparisons and all pairs."""
    results = test.results
    named = labels(results.cube.conditions)

    def pair_table(pairs: pd.DataFrame, columns: list[str], kind: str = "") -> str:
        names = [f"{named[a]} − {named[b]}" for a, b in zip(pairs["a"], pairs["b"], strict=True)]
        shared = ["pair", "n", "difference", "ci_low", "ci_high", "dz", "cliffs_delta"]
        return _table(pairs.assign(pair=names)[[*shared, *columns]], kind)

    margin_tests = [c for c in ("p_equivalent", "p_non_inferior") if c in results.pairs]
    parts = ["<h2>Comparisons</h2>"]
    if test.plan and results.planned is not None:
        plan = test.plan
        holds = sentence(plan.claim, len(results.cube.items)) if plan.claim else PERMUTATION_REMARK
        parts.append(f"<p>Planned: {escape(plan.test)} test, {escape(plan.correction)} over these "
                     f"{len(results.planned)} pairs, alpha = {plan.alpha:g}; {escape(holds)}.</p>")  # fmt: skip
        parts.append(pair_table(results.planned, ["p", "p_adjusted", "different", *margin_tests]))
        parts.append("<p>All pairs, exploratory:</p>")
    quoted = {"items": "paired t", "material": "crossed"}[results.claim]
    parts.append(f"<p>Claim {escape(results.claim)}: differences, their intervals and p ({quoted}, adjusted by "
                 f"Holm's method) {escape(results.holds)}.</p>")  # fmt: skip
    columns = ["ci_low_adjusted", "ci_high_adjusted", "p_adjusted", "p_t_hochberg", "p_w_exact_holm",
               "p_sign_flip_holm", "p_crossed_holm"]  # fmt: skip
    columns += [c for c in ("p_permutation_holm", *margin_tests) if c in results.pairs]
    parts.append(pair_table(results.pairs, [*columns, "agree"], "wide"))
    parts.append("<p>Differences within listener and item with their 95 % interval, each pair by itself, and "
                 "with intervals that hold at 95 % all together (adjusted, Bonferroni); dz is the mean of the "
                 "listeners' mean differences over their standard deviation. p of the t test (t), of Wilcoxon's "
                 "test (w) and of sign flips hold for these items, p of the crossed test for such material; all "
                 "are adjusted over all pairs. agree: t and Wilcoxon decide alike at 5 % after "
                 "Holm.</p>")  # fmt: skip
    return parts


def _deviations(test: AnalysedTest) -> list[str]:
    """Report the deviations from the plan; nothing without one."""
    if not test.plan:
        return []
    head = [
        "<h2>Deviations from the plan</h2>",
        f"<p>Plan {escape(test.plan.title)} frozen on {escape(test.plan.frozen)}.</p>",
    ]
    listed = "".join(f"<li>{escape(deviation)}</li>" for deviation in test.deviations)
    return [*head, f"<ul>{listed}</ul>" if listed else "<p>None.</p>"]


def _statistical_tests(results: Results) -> list[str]:
    """Report the omnibus tests, variance components and bootstraps."""
    parts = ["<h2>Statistical tests</h2>"]
    omnibus = results.omnibus
    if omnibus.effects:
        rows = [(e.name, e.f, f"{e.df}, {e.df_error}", e.p, e.gg, e.p_gg, e.hf, e.p_hf, e.partial_eta2,
                 omnibus.chosen[e.name]) for e in omnibus.effects]  # fmt: skip
        columns = ["effect", "F", "df", "p", "GG eps", "p GG", "HF eps", "p HF", "partial eta²", "to be quoted"]
        parts.append("<p>Repeated-measures analysis of variance; the last column is the choice of BS.1534-3, "
                     "attachment 4.</p>")  # fmt: skip
        parts.append(_table(pd.DataFrame(rows, columns=columns), "wide"))
        rows = [(e.name, e.multivariate.wilks, e.multivariate.f, f"{e.multivariate.df}, {e.multivariate.df_error}",
                 e.multivariate.p) for e in omnibus.effects if e.multivariate]  # fmt: skip
        if rows:
            parts.append(_table(pd.DataFrame(rows, columns=["multivariate", "Wilks", "F", "df", "p"])))
        parts.append(f"<p>Residuals: skewness {omnibus.residuals[0]:.2f}, excess kurtosis "
                     f"{omnibus.residuals[1]:.2f} (BS.1534-3 flags 0.5, and 1.0 as severe).</p>")  # fmt: skip
    if f := omnibus.friedman:
        parts.append(f"<p>Friedman's test: chi² = {f.chi2:.3f}, {f.df} degrees of freedom, p = {f.p:.3g}; "
                     f"Kendall's W = {f.kendall_w:.3f}.</p>")  # fmt: skip
    parts += _mixed_models(results)
    if results.bootstraps:
        named = labels(results.cube.conditions)
        bounds = {scheme: [f"[{i.low:.1f}, {i.high:.1f}]" for i in found.values()]
                  for scheme, found in results.bootstraps.items()}  # fmt: skip
        parts.append("<p>Bootstrap 95 % intervals of the means, by what is drawn:</p>")
        parts.append(_table(pd.DataFrame({"condition": list(named.values()), **bounds})))
    if len(parts) == 1:
        parts.append("<p>None could be computed; the notes of the summary say why.</p>")
    return parts


def _mixed_models(results: Results) -> list[str]:
    """Report the mixed models of both claims: F by both kinds of degrees of freedom, and components."""
    rows = []
    for claim, model in results.models.items():
        for method in METHODS:
            test = model.omnibus(method)
            rows.append((f"{claim}, {method}", test.f, f"{test.df}, {test.df_error:.1f}", test.p))
    if not rows:
        return []
    parts = ["<p>Mixed models of the conditions, by claim and kind of degrees of freedom:</p>",
             _table(pd.DataFrame(rows, columns=["claim", "F", "df", "p"]))]  # fmt: skip
    if model := results.models.get("material"):
        values = model.model.variances | {"residual": model.model.residual}
        listed = escape(", ".join(f"{k} {v:.1f}" for k, v in values.items()))
        parts.append(f"<p>Variance components (listeners and items both random): {listed}.</p>")
    return parts


def _sources(test: AnalysedTest) -> list[str]:
    versions = {"Python": platform.python_version()}
    for package in ("hoa-rvqgan", "numpy", "pandas", "scipy", "matplotlib"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    listed = escape(", ".join(f"{k} {v}" for k, v in versions.items()))
    parts = ["<h2>Data and software</h2>", f"<p>Software: {listed}.</p>"]
    rows = [*test.sources, *_stimuli(test)]
    parts.append("<table><tr><th>file or stimulus</th><th class=text>SHA-256</th></tr>")
    parts += [f"<tr><td>{escape(n)}</td><td class=text><code>{escape(d)}</code></td></tr>" for n, d in rows]
    return [*parts, "</table>"]


def _stimuli(test: AnalysedTest) -> list[tuple[str, str]]:
    """Return the digests of what was played, as the ratings carry them, else as the plan recorded them."""
    table = test.results.table
    if "stimulus_sha256" in table:
        rows = table[["item", "condition", "stimulus_sha256"]].drop_duplicates()
        rows = rows.sort_values(["item", "condition"])
        return [(f"{item} / {condition}", digest) for item, condition, digest in rows.itertuples(index=False)]
    return list(test.plan.stimuli.items()) if test.plan else []


def _checklist(test: AnalysedTest, facts: Mapping[str, str]) -> list[str]:
    results = test.results
    given = {
        "Test materials, number of assessors, conditions": True,
        "Hidden reference, low and mid anchor used": {"href", "la", "ma"} <= set(results.cube.conditions),
        "Post-screening named, every exclusion with its evidence": results.screening.preset != "none",
        "Means with 95 % confidence intervals, medians, interquartile ranges": True,
        "Significance of differences, and the method": bool(results.omnibus.effects),
        "Plan of the analysis frozen before the test": test.plan is not None,
        "Digests of the stimuli": bool(_stimuli(test)),
        "Ratings of listeners, not simulated": not results.simulated,
    } | {what: is_given(facts, key) for key, what in FACTS.items()}
    rows = "".join(
        f"<tr><td>{escape(what)}</td><td>{'given' if there else '<span class=missing>MISSING</span>'}</td></tr>"
        for what, there in given.items()
    )
    return ["<h2>Checklist of BS.1534-3, section 10</h2>",
            f"<table><tr><th>point</th><th></th></tr>{rows}</table>"]  # fmt: skip


def _table(content: pd.DataFrame, kind: str = "") -> str:
    """Write a table as HTML; underscores in its headings become spaces."""

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
    kind += " short" if len(content) <= MAX_UNBROKEN_ROWS else ""
    return f"<table class='{kind.strip()}'><thead>{head}</thead><tbody>{body}</tbody></table>"
