"""Render a built test for loudspeakers or headphones and write the blinded package.

    python -m listening.export --build out/demo --layout 7.1.4
    python -m listening.export --build out/demo --format webmushra
    python -m listening.export --build out/demo --layout binaural --sofa head.sofa
    python -m listening.export --build out/demo --layout 7.1.4 --binaural

Every condition of an item goes through one decoding matrix and one gain, which brings the loudness of the
rendered reference to the plan's target and keeps the true peak of every condition below its headroom. The
package holds 48 kHz WAV files (channels in BS.2051 order), signals to set up the room, session.json with the
orders of presentation and a template for the ratings. The key, which says which file is which condition, and the
test plan, which names the conditions, are written beside the package and never into it.

--layout binaural filters the scene's channels to the ears (magnitude least squares). --binaural adds a folder
for headphones beside the loudspeakers: what a head hears of these loudspeakers, under the same blind names. The
head is a rigid sphere, or the set of head-related responses in a SOFA file. Loudness by BS.1770 is defined for
loudspeakers: it aligns the items for headphones with each other, not with those for loudspeakers.
"""

from __future__ import annotations

import os
from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError

FORMATS = ("wav", "bundle", "webmushra")


def main() -> None:
    """Run ``python -m listening.export``."""
    command = parser(__doc__, "listening.export")
    command.add_argument("--build", type=Path, default=Path("out/demo"), metavar="DIR", help="out/<plan>")
    heard = command.add_argument_group("what is heard")
    heard.add_argument("--layout", default="7.1.4", metavar="L", help="default: 7.1.4; binaural for headphones")
    heard.add_argument(
        "--binaural", action="store_true", help="add the items for headphones to a loudspeaker layout"
    )
    heard.add_argument("--sofa", type=Path, metavar="FILE", help="head-related responses (default: rigid sphere)")
    command.add_argument(
        "--format", choices=FORMATS, default="wav", help="folder, the same also as one zip file, or webMUSHRA's"
    )
    heard.add_argument("--decoder", metavar="D", help="adm (default), allrad, pareto, dual, ...")
    heard.add_argument("--order", default="bs2051", choices=["bs2051", "wav"], help="channel order of the files")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="package (default: BUILD/package-L)")
    orders = command.add_argument_group("orders of presentation")
    orders.add_argument(
        "--listeners",
        type=int,
        default=8,
        help="for how many orders are made (default 8; webMUSHRA draws its own)",
    )
    orders.add_argument("--items-per-listener", type=int, metavar="K",
                         help="how many items each listener rates, balanced (default: all)")  # fmt: skip
    orders.add_argument("--seed", type=int, default=1, help="of the orders (default 1)")
    command.add_argument("--workers", type=int, default=os.cpu_count(), help="items at the same time")
    command.add_argument("--force", action="store_true", help="replace a package that differs, ratings too")
    arguments = command.parse_args()

    from listening.packaging import package
    from listening.packaging.blinding import read_blind_test
    from listening.packaging.session import Presentation

    test = read_blind_test(arguments.build)
    form, headphones = package.both_formats(
        arguments.layout, arguments.decoder, arguments.order, arguments.format, arguments.sofa, arguments.binaural
    )
    target = package.package_of(
        arguments.build, arguments.layout, arguments.format, arguments.output, arguments.force
    )
    each = arguments.items_per_listener
    if each is not None and arguments.format == "webmushra":
        raise InputError("--items-per-listener: webMUSHRA draws its own orders, of all items; use another format")
    if each is not None and not 1 <= each <= len(test.items):
        raise InputError(f"--items-per-listener {each}: the build has {len(test.items)} items")
    presentation = Presentation(arguments.listeners, arguments.seed, each)
    written = package.export(test, target, form, presentation, max(1, arguments.workers or 1), headphones)
    if arguments.format == "bundle":
        print(f"{target.bundle}: the package as one file")
    for line in package.level_lines(written.feeds):
        print(line)
    if headphones:
        print("for headphones, beside the loudspeakers")
        for line in package.level_lines(written.headphones):
            print(line)
    print(f"{target.folder}: {arguments.format} package for {arguments.layout}; its key is {written.key}")


if __name__ == "__main__":
    run(main)
