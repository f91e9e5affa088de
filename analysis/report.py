"""Write the report of a MUSHRA test as one self-contained HTML file, by the checklist of BS.1534-3, section 10.

    python -m analysis.simulate --key out/demo/key-7.1.4.json -o out/ratings.csv
    python -m analysis.report --build out/demo --template > facts.toml
    python -m analysis.report out/ratings.csv --build out/demo --facts facts.toml -o out/report.html

What the ratings tell (design, listeners, post-screening, results, statistical methods, versions, hashes) is filled
in. --build takes what the folder of the built test tells: key, ratings of listening.serve, material, systems,
anchors, levels; --plan tells title and comparisons. The rest is taken from a TOML file (--facts), one line for
each point of the checklist, which takes precedence; a point that is missing is flagged as missing. --template
prints such a file to fill in. Where Chromium is installed the report is printed as PDF too.
"""

from __future__ import annotations

from pathlib import Path

from analysis.reporting.checklist import read_facts, template
from analysis.reporting.known_facts import known_facts
from analysis.study.options import add_options
from render.common.cli import one_thread_for_linear_algebra, parser, run
from render.common.errors import InputError


def main() -> None:
    """Run the command line."""
    command = parser(__doc__, "analysis.report")
    add_options(command, files="*")
    command.add_argument("--facts", type=Path, metavar="FACTS.toml", help="what the ratings cannot tell")
    command.add_argument("--build", type=Path, metavar="DIR", help="folder of the built test, as out/demo")
    command.add_argument("--template", action="store_true", help="print a file of facts to fill in, and stop")
    command.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="REPORT.html")
    command.add_argument("--force", action="store_true", help="replace a report that differs")
    arguments = command.parse_args()
    facts = known_facts(arguments)
    if arguments.template:
        print(template(facts))
        return
    if not arguments.results:
        raise InputError("name the rating files of the test")
    if arguments.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{arguments.output}: the report is HTML; name it .html (a PDF is written beside it)")
    one_thread_for_linear_algebra()

    from analysis.reporting.html import report
    from analysis.reporting.pdf import browser, print_pdf
    from analysis.reporting.report_figures import report_figures
    from analysis.study.analysis import analyse_files
    from render.common.files import whole_file

    own = read_facts(arguments.facts) if arguments.facts else {}
    facts |= {point: text for point, text in own.items() if text}
    test = analyse_files(arguments)
    text, pdf = report(test, facts, report_figures(test.results)).encode(), arguments.output.with_suffix(".pdf")
    unchanged = pdf.is_file() and arguments.output.is_file() and arguments.output.read_bytes() == text
    with whole_file(arguments.output, force=arguments.force) as temporary:
        temporary.write_bytes(text)
    print(f"wrote {arguments.output}")
    if unchanged:
        print(f"kept {pdf}, which was printed from the same report")
    elif program := browser():
        with whole_file(pdf, force=arguments.force) as temporary:
            print_pdf(arguments.output, temporary, program)
        print(f"wrote {pdf}")
    else:
        print("no PDF: Chromium is not installed")


if __name__ == "__main__":
    run(main)
