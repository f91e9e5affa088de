"""Write the report of a MUSHRA test as one self-contained HTML file, by the checklist of BS.1534-3, section 10.

What the ratings tell (design, listeners, post-screening, results, statistical methods, versions, hashes) is filled
in. What they cannot tell is taken from a TOML file (--facts), one line for each point of the checklist; a point
that is missing is flagged as missing. --template prints such a file to fill in.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from render.command import parser, run
from render.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.results import Results

CHECKLIST = {
    "title": "Title of the test",
    "purpose": "Purpose and hypotheses of the test",
    "assessors": "How assessors were selected, their experience and hearing",
    "material": "How test material was chosen, by whom, and its level alignment",
    "systems": "Systems under test: versions, bit rates, settings",
    "anchors": "How the anchors were made",
    "room": "Listening room: dimensions, reverberation time, background noise",
    "loudspeakers": "Loudspeakers or headphones: type, placement, equalisation, level match",
    "level": "Listening level and what listeners could adjust",
    "equipment": "Signal chain: player, converters, sample rate",
    "attribute": "Attribute that was rated, and the instructions given",
    "training": "Training: stimuli, duration, instructions",
    "procedure": "Sessions: number, length, breaks, order of items and conditions",
    "date": "Dates and place of the test",
    "conclusions": "Conclusions and on what they rest",
}
"""Points that ratings cannot tell: key in the file of facts -> what the report must say."""

_STYLE = """
body{font:15px/1.5 Georgia,serif;max-width:54em;margin:2em auto;padding:0 1em;color:#111}
h1,h2,th,.flag{font-family:Helvetica,Arial,sans-serif}h2{border-bottom:1px solid #999;margin-top:2em}
table{border-collapse:collapse;margin:1em 0;font-size:13px}th,td{padding:.2em .7em;text-align:right}
th{border-bottom:1px solid #111}th:first-child,td:first-child{text-align:left}td{border-bottom:1px solid #ddd}
td.text{text-align:left}img{max-width:100%}.flag{border:2px solid #111;padding:.5em 1em;font-weight:bold}
.missing{font-weight:bold;background:#eee}code{font-size:12px;word-break:break-all}
@media print{h2{break-after:avoid}img,table{break-inside:avoid}}
"""


def report(
    results: Results, facts: dict[str, str], sources: list[tuple[str, str]], figures: dict[str, bytes]
) -> str:
    """Compose the HTML text.

    Parameters
    ----------
    results
        What `analysis.results.analyse` found.
    facts
        Text for keys of `CHECKLIST`.
    sources
        Name and SHA-256 of each rating file.
    figures
        Name of each figure and its SVG.
    """
    title = escape(facts.get("title") or "Report of a MUSHRA listening test")
    parts = [f"<h1>{title}</h1>"]
    if results.simulated:
        parts.append("<p class=flag>SIMULATED RATINGS: no listener heard anything. Nothing here is evidence.</p>")
    missing = [what for key, what in CHECKLIST.items() if not facts.get(key)]
    if missing:
        parts.append(
            f"<p>{len(missing)} of {len(CHECKLIST)} points of the checklist are missing; they are marked.</p>"
        )
    parts.append("<h2>The test</h2><table>")
    for key, what in CHECKLIST.items():
        text = escape(facts[key]) if facts.get(key) else "<span class=missing>MISSING</span>"
        parts.append(f"<tr><td>{escape(what)}</td><td class=text>{text}</td></tr>")
    parts.append("</table>")
    parts += [*_design(results), *_screening(results), *_results(results, figures), *_methods(results)]
    parts.append("<h2>Data</h2><table><tr><th>file</th><th>SHA-256</th></tr>")
    for name, digest in sources + _stimuli(results):
        parts.append(f"<tr><td>{escape(name)}</td><td><code>{escape(digest)}</code></td></tr>")
    parts.append("</table>")
    head = f"<meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<body>{chr(10).join(parts)}</body></html>\n"


def _design(results: Results) -> list[str]:
    from analysis.ratings import labels

    cube = results.cube
    conditions = ", ".join(escape(f"{name} ({c})") for c, name in labels(cube.conditions).items())
    absent = f"{len(results.not_rated)} cells were not rated." if results.not_rated else "Every cell was rated."
    anchors = [c for c in ("la", "ma") if c not in cube.conditions]
    lacking = (
        f" Of the standard's anchors, {' and '.join(a.upper() for a in anchors)} is missing." if anchors else ""
    )
    return [
        "<h2>Design and listeners</h2>",
        f"<p>{escape(results.design)} after post-screening, {len(results.ratings)} ratings. {absent}</p>",
        f"<p>Conditions: {conditions}.{lacking}</p>",
        f"<p>Items: {escape(', '.join(cube.items))}.</p>",
    ]


def _screening(results: Results) -> list[str]:
    parts = ["<h2>Post-screening</h2>", f"<p>{escape(results.screened)}.</p>"]
    parts.append("<table><tr><th>after</th><th>listeners</th></tr>")
    parts += [f"<tr><td>{escape(step)}</td><td>{count}</td></tr>" for step, count in results.screening.flow]
    parts.append("</table>")
    if results.screening.excluded:
        parts.append("<table><tr><th>left out</th><th>rule</th><th>items</th></tr>")
        for listener, evidence in results.screening.excluded.items():
            for e in evidence:
                items = ", ".join(f"{i} ({s:g})" for i, s in zip(e.items, e.scores, strict=True))
                parts.append(f"<tr><td>{escape(listener)}</td><td class=text>{escape(e.rule)}</td>"
                             f"<td class=text>{escape(items)}, of {e.of}</td></tr>")  # fmt: skip
        parts.append("</table>")
    parts.append(f"<p>{len(results.outliers)} ratings lie more than 1.5 interquartile ranges beyond the hinges "
                 "of their item and condition. None was removed.</p>")  # fmt: skip
    return parts


def _results(results: Results, figures: dict[str, bytes]) -> list[str]:
    import base64

    from analysis.ratings import labels
    from analysis.statistics import CONVENTIONS

    named = labels(results.cube.conditions)
    spread = results.spread.drop(columns=["condition"])
    summary = results.summary.assign(condition=results.summary["condition"].map(named))
    parts = ["<h2>Results</h2>", f"<p>Mean with {escape(CONVENTIONS[results.ci])}; quartiles of all ratings.</p>"]
    parts.append(_table(summary.assign(q1=spread["q1"], q3=spread["q3"], bimodality=spread["bimodality"])))
    if results.screening.excluded:
        everybody = results.summary_unscreened
        parts.append("<p>Without post-screening:</p>")
        parts.append(_table(everybody.assign(condition=everybody["condition"].map(named))))
    parts += [f"<p class=flag>{escape(warning)}</p>" for warning in results.warnings]
    for name, svg in figures.items():
        data = base64.b64encode(svg).decode()
        parts.append(f'<p><img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}"></p>')
    pairs = results.pairs.assign(a=results.pairs["a"].map(named), b=results.pairs["b"].map(named))
    parts += ["<h2>Comparisons</h2>", _table(pairs)]
    return parts


def _methods(results: Results) -> list[str]:
    import importlib.metadata
    import platform

    import numpy as np
    import pandas as pd

    parts = ["<h2>Statistical tests and methods</h2>"]
    if results.effects:
        rows = [(e.name, e.f, f"{e.df}, {e.df_error}", e.p, e.gg, e.p_gg, e.hf, e.p_hf, e.partial_eta2,
                 results.chosen[e.name]) for e in results.effects]  # fmt: skip
        columns = ["effect", "F", "df", "p", "GG eps", "p GG", "HF eps", "p HF", "partial eta²", "to be quoted"]
        parts.append("<p>Repeated-measures analysis of variance; BS.1534-3 says which p is to be quoted.</p>")
        parts.append(_table(pd.DataFrame(rows, columns=columns)))
        rows = [(e.name, e.multivariate.wilks, e.multivariate.f, f"{e.multivariate.df}, {e.multivariate.df_error}",
                 e.multivariate.p) for e in results.effects if e.multivariate]  # fmt: skip
        if rows:
            parts.append(_table(pd.DataFrame(rows, columns=["multivariate", "Wilks", "F", "df", "p"])))
    if f := results.friedman:
        parts.append(f"<p>Friedman's test: chi² = {f.chi2:.3f}, {f.df} degrees of freedom, p = {f.p:.3g}; "
                     f"Kendall's W = {f.kendall_w:.3f}.</p>")  # fmt: skip
    if results.mixed:
        values = results.mixed.variances | {"residual": results.mixed.residual}
        listed = escape(", ".join(f"{k} {v:.1f}" for k, v in values.items()))
        parts.append(f"<p>Variance components (mixed model with crossed listeners and items): {listed}.</p>")
    clashes = int((~results.pairs["agree"]).sum()) if len(results.pairs) else 0
    parts.append("<p>Pairs are compared on listener means by t and Wilcoxon tests, adjusted by Holm and "
                 f"Hochberg; they disagree at 5 % (Holm) on {clashes} of {len(results.pairs)}.</p>")  # fmt: skip
    versions = {"Python": platform.python_version(), "numpy": np.__version__, "pandas": pd.__version__}
    for package in ("hoa-rvqgan", "scipy", "matplotlib"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return [*parts, "<p>Software: " + escape(", ".join(f"{k} {v}" for k, v in versions.items())) + ".</p>"]


def _stimuli(results: Results) -> list[tuple[str, str]]:
    """Item and condition with the hash of what was played, where the ratings carry one."""
    if "stimulus_sha256" not in results.ratings:
        return [("stimuli", "the ratings carry no column stimulus_sha256")]
    rows = results.ratings[["item", "condition", "stimulus_sha256"]].drop_duplicates()
    rows = rows.sort_values(["item", "condition"])
    return [(f"{item} / {condition}", digest) for item, condition, digest in rows.itertuples(index=False)]


def _table(table: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return "–" if value != value else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}"
        return escape(str(value))

    head = "".join(f"<th>{escape(str(c).replace('_', ' '))}</th>" for c in table.columns)
    rows = ("".join(f"<td>{cell(v)}</td>" for v in row) for row in table.itertuples(index=False))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def read_facts(path: Path) -> dict[str, str]:
    """Read the file of facts; keys must be those of `CHECKLIST`."""
    import tomllib

    from analysis.sheet import read_text

    try:
        facts = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML ({error})") from error
    for key, value in facts.items():
        if key not in CHECKLIST:
            raise InputError(f"{path}: '{key[:40]}' is no point of the checklist: {', '.join(CHECKLIST)}")
        if not isinstance(value, str):
            raise InputError(f"{path}: '{key}' is not a text")
    return facts


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.report")
    command.add_argument("results", nargs="*", type=Path, metavar="RESULTS", help="rating file(s) of one test")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside a blinded package")
    command.add_argument("--facts", type=Path, metavar="FACTS.toml", help="what the ratings cannot tell")
    command.add_argument("--template", action="store_true", help="print an empty file of facts and stop")
    command.add_argument("--ci", choices=("paper", "listener", "crossed"), default="listener")
    command.add_argument("--screening", choices=("bs1534-3", "mpeg-strict", "none"), default="bs1534-3")
    command.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="REPORT.html")
    command.add_argument("--force", action="store_true", help="replace a report that differs")
    arguments = command.parse_args()
    if arguments.template:
        print("\n".join(f'# {what}\n{key} = ""' for key, what in CHECKLIST.items()))
        return
    if not arguments.results:
        raise InputError("name the rating files of the test, or give --template")

    import tempfile

    from analysis import figures
    from analysis.ratings import read, read_key
    from analysis.results import analyse
    from render.artefact import sha256, whole_file

    facts = read_facts(arguments.facts) if arguments.facts else {}
    ratings = read(arguments.results, read_key(arguments.key) if arguments.key else None)
    results = analyse(ratings, arguments.ci, arguments.screening)
    with tempfile.TemporaryDirectory() as folder:
        drawn = {}
        for name in figures.drawable(results):
            figures.save(results, name, Path(folder), ("svg",))
            drawn[name] = (Path(folder) / f"{name}.svg").read_bytes()
    sources = [(path.name, sha256(path)) for path in arguments.results]
    with whole_file(arguments.output, force=arguments.force) as temporary:
        temporary.write_text(report(results, facts, sources, drawn), encoding="utf-8")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    run(main)
