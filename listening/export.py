"""Render a built test for loudspeakers and write the blinded package.

    python -m listening.export --build out/demo --layout 7.1.4
    python -m listening.export --build out/demo --format webmushra

Every condition of an item goes through one decoding matrix and one gain, which brings the loudness of the
rendered reference to the plan's target and keeps the true peak of every condition below its headroom. The
package holds 48 kHz WAV files (channels in BS.2051 order), signals to set up the room, session.json with the
orders of presentation and a template for the ratings. The key that tells which file is which condition, and
the test plan that names them, are written beside the package, never into it.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.common.cli import parser, run

FORMATS = ("wav", "bundle", "webmushra")


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "listening.export")
    arguments.add_argument("--build", type=Path, default=Path("out/demo"), metavar="DIR", help="out/<plan>")
    arguments.add_argument("--layout", default="7.1.4", metavar="L", help="default: 7.1.4")
    arguments.add_argument(
        "--format", choices=FORMATS, default="wav", help="folder, the same also as one zip file, or webMUSHRA's"
    )
    arguments.add_argument(
        "--decoder", default="adm", metavar="D", help="adm (default), allrad, pareto, dual, ..."
    )
    arguments.add_argument(
        "--order", default="bs2051", choices=["bs2051", "wav"], help="channel order of the files"
    )
    arguments.add_argument("-o", "--output", type=Path, metavar="DIR", help="package (default: BUILD/package-L)")
    arguments.add_argument("--listeners", type=int, default=8, help="for how many orders are made (default 8)")
    arguments.add_argument("--seed", type=int, default=1, help="of the orders (default 1)")
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    arguments.add_argument("--force", action="store_true", help="replace a package that differs, ratings too")
    given = arguments.parse_args()
    from listening.packaging.package import export, prepared

    made = prepared(given)
    key = export(made, max(1, given.workers or 1))
    print(f"{made.package}: {made.kind} package for {given.layout}; its key is {key}")


if __name__ == "__main__":
    run(main)
