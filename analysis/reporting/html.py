"""The report of a MUSHRA test as one self-contained HTML page, by the checklist of BS.1534-3, section 10.

What the ratings tell (design, listeners, post-screening, results, statistical methods, versions, digests) is
filled in. Everything else is taken from a file of facts (`analysis.reporting.checklist`); a point that it lacks is
marked as missing.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from analysis.ratings.conditions import REFERENCE_AND_ANCHORS, labels
from analysis.reporting import presentation
from analysis.reporting.checklist import FACTS, MISSING, SECTIONS, is_given
from analysis.reporting.html_table import html_table, p_text
from analysis.reporting.report_figures import STYLE, ReportFigure, placed
from analysis.reporting.report_statistics import (
    comparisons_section,
    items_section,
    laboratories_section,
    omnibus_section,
    ordinal_section,
    panel_section,
)
from analysis.statistics.intervals import CONVENTIONS
from analysis.study.analysis import AnalysedTest
from analysis.study.results import Results

MAX_DIFFERENCES = 6
"""Largest number of differences that the summary names."""

_STYLE = """
@page{size:A4;margin:18mm 16mm}
body{font:15px/1.5 Georgia,"DejaVu Serif",serif;max-width:54em;margin:2em auto;padding:0 1em;color:#111}
h1,h2,th,b,.flag,.missing{font-family:Helvetica,"DejaVu Sans",Arial,sans-serif}
h2{border-bottom:1px solid #999;margin-top:2em}b{font-size:.93em}
table{border-collapse:collapse;margin:1em 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:.2em .6em;text-align:right;vertical-align:top}td:not(.text){white-space:nowrap}
th{border-bottom:1px solid #111}th:first-child,td:first-child,td.text,th.text{text-align:left}
td{border-bottom:1px solid #ddd}.wide{font-size:11px}.wide td,.wide th{padding:.15em .35em}
.long td{white-space:normal;overflow-wrap:anywhere}.long td:nth-child(-n+2){min-width:8em}
.words td:not(.text),.words th{text-align:left;white-space:normal;overflow-wrap:anywhere}
.flag{border:2px solid #111;padding:.5em 1em;font-weight:bold}.note{border-left:4px solid #111;padding-left:.8em}
ul.note{padding-left:2em}
.missing{font-weight:bold;background:#e4e4e4;padding:0 .3em}code{font-size:11px;word-break:break-all}
@media print{body{font-size:11pt;margin:0;max-width:none;padding:0}h2{break-after:avoid}
tr,table.short{break-inside:avoid}p:has(+table){break-after:avoid}
thead{display:table-header-group;break-after:avoid}
tbody tr:nth-child(-n+2){break-after:avoid}tbody tr:nth-last-child(-n+2){break-before:avoid}}
"""


def report(test: AnalysedTest, facts: Mapping[str, str], figures: Mapping[str, ReportFigure]) -> str:
    """Compose the page.

    Parameters
    ----------
    test
        The analysed test.
    facts
        Key of `analysis.reporting.checklist.FACTS` -> text.
    figures
        Name of each figure -> the figure.
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
                *panel_section(results),
                *placed(figures, "listeners"),
                *_means(results),
                *placed(figures, "mushra", "boxes", "violins"),
                *omnibus_section(results),
                *laboratories_section(results),
                *comparisons_section(test, placed(figures, "differences")),
                *ordinal_section(results),
                *items_section(results),
                *placed(figures, "items", "ranks"),
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
    parts += [*_sources(test), *_checklist(test, facts)]
    head = f"<meta charset=utf-8><title>{title}</title><style>{_STYLE}{STYLE}</style>"
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
        parts.append(
            f"<p>The conditions {'differ' if q.p < 0.05 else 'are not shown to differ'} (F({q.df:.3g}, "
            f"{q.df_error:.3g}) = {q.f:.2f}, {escape(p_text(q.p))}, {escape(q.name)}); this "
            f"{escape(results.holds)}.</p>"
        )
    parts += _differences(results, named)
    if test.plan:
        count = len(test.deviations)
        parts.append(f"<p>The analysis follows a plan frozen on {escape(test.plan.frozen)}, with "
                     f"{count or 'no'} deviation{'s' * (count != 1)}.</p>")  # fmt: skip
    if results.warnings:
        listed = "".join(f"<li>{escape(warning)}</li>" for warning in results.warnings)
        parts.append(f"<p><b>What limits these results.</b></p><ul class=note>{listed}</ul>")
    return parts


def _differences(results: Results, named: Mapping[str, str]) -> list[str]:
    """Say which systems differ by how much, the largest differences first."""
    pairs = results.pairs
    ours = pairs[~pairs[["a", "b"]].isin(list(REFERENCE_AND_ANCHORS)).any(axis=1)].dropna(subset=["p_adjusted"])
    if not len(ours):
        return []
    found = ours[ours["p_adjusted"] < 0.05]
    found = found.reindex(found["difference"].abs().sort_values(ascending=False, kind="stable").index)
    said = "; ".join(
        f"{named[a]} {'above' if difference > 0 else 'below'} {named[b]} by {abs(difference):.1f} points "
        f"[{low:.1f}, {high:.1f}], {escape(p_text(p))}"
        for a, b, difference, low, high, p in found.head(MAX_DIFFERENCES)[
            ["a", "b", "difference", "ci_low", "ci_high", "p_adjusted"]
        ].itertuples(index=False)
    )
    more = f"; {len(found) - MAX_DIFFERENCES} more below" if len(found) > MAX_DIFFERENCES else ""
    others = len(ours) - len(found)
    rest = f" {others} of {len(ours)} pairs of systems are not shown to differ." if others else ""
    return [f"<p>Of the systems, {said}{more} (differences with 95 % intervals, p after Holm over all "
            f"{len(pairs)} pairs).{rest}</p>"] if said else [f"<p>{rest.strip()}</p>"]  # fmt: skip


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
        parts += ["<p>Times, plays and underruns of each listener.</p>", html_table(times, "wide")]
    if len(devices := presentation.devices(table)):
        parts.append(
            "<p>Devices: their channels, which channel of the files each plays, the listener's level.</p>"
        )
        parts.append(html_table(devices, "wide words"))
    if len(orders := presentation.orders(table)):
        parts += ["<p>Order of the trials of each listener.</p>", html_table(orders, "wide words")]
    return parts


def _screening(results: Results) -> list[str]:
    """Report the post-screening, rule by rule and listener by listener."""
    parts = ["<h2>Post-screening</h2>", f"<p>{escape(results.screened)}.</p>"]
    parts.append("<table><thead><tr><th>after</th><th>listeners</th></tr></thead><tbody>")
    parts += [f"<tr><td>{escape(step)}</td><td>{count}</td></tr>" for step, count in results.screening.flow]
    parts.append("</tbody></table>")
    if results.screening.excluded:
        parts.append("<table class=long><thead><tr><th>left out</th><th class=text>rule</th>"
                     "<th class=text>on</th></tr></thead><tbody>")  # fmt: skip
        for listener, evidence in results.screening.excluded.items():
            for e in evidence:
                items = ", ".join(f"{i} ({s:g})" for i, s in zip(e.items, e.scores, strict=True))
                parts.append(f"<tr><td>{escape(listener)}</td><td class=text>{escape(e.rule)}</td>"
                             f"<td class=text>{escape(items)}, of {e.of}</td></tr>")  # fmt: skip
        parts.append("</tbody></table>")
    parts.append(f"<p>{len(results.outliers)} ratings lie more than 1.5 interquartile ranges beyond the hinges "
                 "of their item and condition. None was removed.</p>")  # fmt: skip
    return parts


def _means(results: Results) -> list[str]:
    """Report means, medians and spread."""
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
        html_table(summary, "wide"),
    ]
    if results.screening.excluded:
        everybody = results.summary_unscreened
        parts.append("<p>Without post-screening:</p>")
        parts.append(html_table(everybody.assign(condition=everybody["condition"].map(named))))
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
    parts.append("<table><thead><tr><th>file or stimulus</th><th class=text>SHA-256</th></tr></thead><tbody>")
    parts += [f"<tr><td>{escape(n)}</td><td class=text><code>{escape(d)}</code></td></tr>" for n, d in rows]
    return [*parts, "</tbody></table>"]


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
        "Significance of differences, and the method": results.quoted is not None,
        "Plan of the analysis frozen before the test": test.plan is not None,
        "Digests of the stimuli": bool(_stimuli(test)),
        "Ratings of listeners, not simulated": not results.simulated,
    } | {what: is_given(facts, key) for key, what in FACTS.items()}
    rows = "".join(
        f"<tr><td>{escape(what)}</td><td>{'given' if there else '<span class=missing>MISSING</span>'}</td></tr>"
        for what, there in given.items()
    )
    head = "<thead><tr><th>point</th><th></th></tr></thead>"
    return ["<h2>Checklist of BS.1534-3, section 10</h2>",
            f"<table class=wide>{head}<tbody>{rows}</tbody></table>"]  # fmt: skip
