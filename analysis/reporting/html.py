"""Write the report of a MUSHRA test as one self-contained HTML file, by the checklist of BS.1534-3, section 10.

What the ratings tell (design, listeners, post-screening, results, statistical methods, versions, hashes) is filled
in. What they cannot tell is taken from a TOML file (--facts), one line for each point of the checklist; a point
that is missing is flagged as missing. --template prints such a file to fill in. Where Chromium is installed the
report is printed as PDF too.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from analysis.ratings.table import labels
from analysis.reporting.checklist import FACTS, SECTIONS
from analysis.reporting.report_sections import (
    comparisons_section,
    methods_section,
    plan_section,
    results_section,
    screening_section,
)
from analysis.statistics.intervals import CONVENTIONS
from analysis.study.analysis import Results
from analysis.study.session import Analysed

_STYLE = """
@page{size:A4;margin:18mm 16mm}
body{font:15px/1.5 Georgia,"DejaVu Serif",serif;max-width:54em;margin:2em auto;padding:0 1em;color:#111}
h1,h2,th,b,.flag,.missing{font-family:Helvetica,"DejaVu Sans",Arial,sans-serif}
h2{border-bottom:1px solid #999;margin-top:2em}b{font-size:.93em}
table{border-collapse:collapse;margin:1em 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:.2em .6em;text-align:right;vertical-align:top}td:not(.text){white-space:nowrap}
th{border-bottom:1px solid #111}th:first-child,td:first-child,td.text,th.text{text-align:left}
td{border-bottom:1px solid #ddd}.wide{font-size:11px}.wide td,.wide th{padding:.15em .35em}
img{max-width:100%}figure{margin:1.5em 0;text-align:center}
.flag{border:2px solid #111;padding:.5em 1em;font-weight:bold}.note{border-left:4px solid #111;padding-left:.8em}
.missing{font-weight:bold;background:#e4e4e4;padding:0 .3em}code{font-size:11px;word-break:break-all}
@media print{body{font-size:11pt;margin:0;max-width:none;padding:0}h2{break-after:avoid}
figure,tr,table.short{break-inside:avoid}p:has(+table){break-after:avoid}thead{display:table-header-group}}
"""


def report(test: Analysed, facts: Mapping[str, str], figures: Mapping[str, bytes]) -> str:
    """Compose the HTML text.

    Parameters
    ----------
    test
        The analysed test.
    facts
        Text for keys of `analysis.reporting.checklist.FACTS`.
    figures
        Name of each figure and its SVG.
    """
    results = test.results
    title = escape(facts.get("title") or "Report of a MUSHRA listening test")
    parts = [f"<h1>{title}</h1>"]
    if results.simulated:
        parts.append("<p class=flag>SIMULATED RATINGS: no listener heard anything. Nothing here is evidence.</p>")
    missing = [what for key, what in FACTS.items() if not facts.get(key)]
    if missing:
        parts.append(f"<p class=note>{len(missing)} of {len(FACTS)} points that BS.1534-3 asks for and that the "
                     "ratings cannot tell are missing. They are marked where they belong, and in the "
                     "checklist.</p>")  # fmt: skip
    parts += ["<h2>Summary</h2>", *_summary(test)]
    for section, points in SECTIONS.items():
        if section == "Conclusions":
            parts += [
                *screening_section(results),
                *results_section(results, figures),
                *comparisons_section(test),
                *plan_section(test),
            ]
        parts.append(f"<h2>{section}</h2>")
        if section == "Assessors":
            parts += _listeners(results)
        if section == "Material and systems":
            parts += _design(results)
        parts += [f"<p><b>{escape(what)}.</b> {_fact(facts, key)}</p>" for key, what in points.items()]
    parts += [*methods_section(results), *_sources(test), *_checklist(test, facts)]
    head = f"<meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{chr(10).join(parts)}</body></html>\n"


def _fact(facts: Mapping[str, str], key: str) -> str:
    return escape(facts[key]) if facts.get(key) else "<span class=missing>MISSING</span>"


def _summary(test: Analysed) -> list[str]:
    """Say in words what was done and found; no more than the tables below hold."""
    results = test.results
    named = {c: escape(name) for c, name in labels(results.cube.conditions).items()}
    means = ", ".join(f"{named[str(row.condition)]} {row.mean:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"
                      for row in results.summary.itertuples())  # fmt: skip
    found = [f"<p>{escape(results.design)} x {len(results.cube.conditions)} conditions were rated on the scale 0 "
             f"to 100 of Recommendation ITU-R BS.1534. {escape(results.screened)}. Mean scores with "
             f"{escape(CONVENTIONS[results.ci])}: {means}.</p>"]  # fmt: skip
    if results.effects:
        effect, quoted = results.effects[0], results.chosen[results.effects[0].name]
        agree = int(results.pairs["agree"].sum())
        found.append(
            f"<p>The conditions {'differ' if effect.quoted(quoted) < 0.05 else 'are not shown to differ'} "
            f"(p = {effect.quoted(quoted):.2g}, {quoted}). Parametric and rank tests agree on {agree} of "
            f"{len(results.pairs)} pairs.</p>"
        )
    if test.plan:
        count = len(test.deviations)
        found.append(f"<p>The analysis follows a plan frozen on {escape(test.plan.frozen)}, with "
                     f"{count or 'no'} deviation{'s' * (count != 1)}.</p>")  # fmt: skip
    return found + [f"<p class=note>{escape(warning)}</p>" for warning in results.warnings]


def _listeners(results: Results) -> list[str]:
    screening = results.screening
    sessions = results.ratings["session"].nunique()
    repeated = len(results.ratings) - int((~_isnan(results.cube.scores)).sum())
    return [f"<p>{screening.flow[0][1]} listeners rated, {len(results.cube.listeners)} remained after "
            f"post-screening. Their ratings come from {sessions} session{'s' * (sessions != 1)}; {repeated} of "
            "them repeat a rating of the same cell of the design (they are averaged).</p>"]  # fmt: skip


def _isnan(values: Any) -> Any:

    return np.isnan(values)


def _design(results: Results) -> list[str]:

    cube = results.cube
    conditions = ", ".join(escape(f"{name} ({c})") for c, name in labels(cube.conditions).items())
    absent = f"{len(results.not_rated)} cells were not rated." if results.not_rated else "Every cell was rated."
    names = {"href": "hidden reference", "la": "low anchor (3.5 kHz)", "ma": "mid anchor (7 kHz)"}
    there = [what for c, what in names.items() if c in cube.conditions]
    lacking = [what for c, what in names.items() if c not in cube.conditions]
    used = f"Among them: {', '.join(there)}. " if there else ""
    absent_anchor = f"<b>Not among them, though the standard asks for it: {', '.join(lacking)}.</b>"
    return [
        f"<p>{len(cube.conditions)} conditions: {conditions}. {used}{absent_anchor if lacking else ''}</p>",
        f"<p>{len(cube.items)} items: {escape(', '.join(cube.items))}.</p>",
        f"<p>{len(results.ratings)} ratings were analysed. {absent}</p>",
    ]


def _sources(test: Analysed) -> list[str]:

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


def _stimuli(test: Analysed) -> list[tuple[str, str]]:
    """Digest of what was played: as the ratings carry it, else as the plan recorded it."""
    ratings = test.results.ratings
    if "stimulus_sha256" in ratings:
        rows = ratings[["item", "condition", "stimulus_sha256"]].drop_duplicates()
        rows = rows.sort_values(["item", "condition"])
        return [(f"{item} / {condition}", digest) for item, condition, digest in rows.itertuples(index=False)]
    return list(test.plan.stimuli.items()) if test.plan else []


def _checklist(test: Analysed, facts: Mapping[str, str]) -> list[str]:
    results = test.results
    told = {
        "Test materials, number of assessors, conditions": True,
        "Hidden reference, low and mid anchor used": {"href", "la", "ma"} <= set(results.cube.conditions),
        "Post-screening named, every exclusion with its evidence": results.screening.preset != "none",
        "Means with 95 % confidence intervals, medians, interquartile ranges": True,
        "Significance of differences, and the method": bool(results.effects),
        "Plan of the analysis frozen before the test": test.plan is not None,
        "Digests of the stimuli": bool(_stimuli(test)),
        "Ratings of listeners, not simulated": not results.simulated,
    } | {what: bool(facts.get(key)) for key, what in FACTS.items()}
    rows = "".join(
        f"<tr><td>{escape(what)}</td><td>{'given' if there else '<span class=missing>MISSING</span>'}</td></tr>"
        for what, there in told.items()
    )
    return ["<h2>Checklist of BS.1534-3, section 10</h2>",
            f"<table><tr><th>point</th><th></th></tr>{rows}</table>"]  # fmt: skip
