"""Write the results of a listening test as tables: ratings, grades or choices, and on request every event.

    python -m listening.results out/demo/results-7.1.4.sqlite -o results.csv --key out/demo/key-7.1.4.json

The server may run meanwhile: everything that it has acknowledged is there. Without the key the stimuli keep their
blind names. analysis.mushra also reads the database itself. docs/listening-results.md describes every column.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run

FORMATS = ("csv", "webmushra")


def main() -> None:
    """Command line."""
    command = parser(__doc__, "listening.results")
    command.add_argument("database", type=Path, metavar="FILE.sqlite", help="what listening.serve writes")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.csv")
    command.add_argument("--key", type=Path, metavar="KEY.json", help="key that stands beside the package")
    command.add_argument("--events", type=Path, metavar="FILE.csv", help="write every event, too")
    command.add_argument("--format", choices=FORMATS, default="csv", help="our CSV (default), or webMUSHRA's")
    command.add_argument("--with-withdrawn", action="store_true", help="keep the listeners that were withdrawn")
    command.add_argument("--force", action="store_true", help="replace files that differ")
    given = command.parse_args()

    from analysis.ratings.table import read_key
    from listening.sessions.result_files import read_results, write_csv, write_events, write_webmushra
    from render.common.errors import InputError

    if given.events and given.events.absolute() == given.output.absolute():
        raise InputError(f"{given.events}: is the output, too; give the events another name")
    results = read_results(given.database, given.with_withdrawn)
    key = read_key(given.key) if given.key else None
    write = write_webmushra if given.format == "webmushra" else write_csv
    count = write(given.output, results, key, given.force)
    what = {"mushra": "ratings", "bs1116": "grades"}.get(results.method, "choices")
    print(f"{given.output}: {count} {what} of {len({row['listener'] for row in results.rows})} listeners")
    if given.events:
        print(f"{given.events}: {write_events(given.events, results, given.force)} events")
    if results.withdrawn:
        how = "kept, as asked for" if given.with_withdrawn else "left out (--with-withdrawn keeps them)"
        print(f"withdrawn listeners {how}: {len(results.withdrawn)} ({', '.join(results.withdrawn)})")


if __name__ == "__main__":
    run(main)
