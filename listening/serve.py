"""Serve a package as a listening test, to be rated in the browser.

    python -m listening.serve --package out/demo/package-7.1.4
    python -m listening.serve --package DIR --plan my-test.toml --url https://lab.example/listening/

Prints the link of one listener and that of the desk, which has the links of the others, the pause and the results.
Everything that listeners do lies in one SQLite file before it is acknowledged; the same command continues the test
from there. Other machines reach the server by a reverse proxy with TLS (docs/listening-server.md), without which
browsers play nothing from another machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Run ``python -m listening.serve``."""
    command = parser(__doc__, "listening.serve")
    command.add_argument("--package", type=Path, required=True, metavar="DIR", help="as listening.export wrote it")
    command.add_argument("--plan", type=Path, metavar="FILE.toml", help="of the sessions (default: MUSHRA)")
    command.add_argument("--key", type=Path, metavar="FILE.json", help="only for a plan that names conditions")
    command.add_argument(
        "--results", type=Path, metavar="FILE.sqlite", help="default: results-LAYOUT.sqlite, beside the package"
    )
    command.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: this machine only")
    command.add_argument("--port", type=int, default=8714, metavar="N", help="default 8714; 0 takes a free one")
    command.add_argument("--url", metavar="ADDRESS", help="public address, if a reverse proxy stands in front")
    command.add_argument(
        "--browser", action="store_true", help="open the listener's page, where there is a screen"
    )
    given = command.parse_args()

    from listening.server import serving

    results = given.results or _results_of(given.package)
    accepting = serving.listen(given.host, given.port)
    url = serving.public_address(given.url, given.host, accepting.getsockname()[1])
    if not serving.is_loopback(given.host) and not url.startswith("https:"):
        print(
            f"warning: {given.host} is reached without TLS: others on the way can read the links, and browsers "
            "play nothing from such an address; put a reverse proxy in front (docs/listening-server.md)",
            file=sys.stderr,
        )
    test = serving.open_test(given.package, results, given.plan, given.key, url)
    listener, desk = serving.links(test)
    print(f"listener  {listener}\ndesk      {desk}\nresults   {results}\nCtrl-C ends the server", flush=True)
    if given.browser:
        serving.open_browser(listener)
    serving.run(test, accepting, given.host)
    print(f"ended; everything that was acknowledged lies in {results}")


def _results_of(package: Path) -> Path:
    """Database beside the package: out/demo/package-7.1.4 -> out/demo/results-7.1.4.sqlite."""
    folder = package.resolve()
    return folder.with_name(f"results-{folder.name.removeprefix('package-')}.sqlite")


if __name__ == "__main__":
    run(main)
