"""Check whether scenes have the statistics of recordings by a real em32 microphone.

    python -m stimuli.acceptance data/synthetic/seed-1

The ranges are what recordings by real em32 microphones measure (`stimuli.hoastats`): an excerpt of EigenScape's
Beach.1 and four recordings of another em32 (JSAmbisonics). In every band of frequencies they cover the energy of
each order relative to W, the effective rank and the diffuseness, with tolerances; and the slope of W's spectrum.
The exit status is 1 if a scene is not accepted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "stimuli.acceptance")
    arguments.add_argument("root", type=Path, nargs="+", metavar="FILE|DIR", help="scenes, or folders of them")
    options = arguments.parse_args()
    from stimuli.eigenscape.sources import find_sources
    from stimuli.field_statistics.acceptance_ranges import file_deviations

    sources = [source for root in options.root for source in find_sources(root)]
    refused = 0
    for source in sources:
        deviations = file_deviations(source.path)
        refused += bool(deviations)
        print(f"{source.path}: {'not accepted' if deviations else 'accepted'}")
        for sentence in deviations:
            print(f"  {sentence}")
    print(f"{len(sources) - refused} of {len(sources)} accepted")
    sys.exit(bool(refused))


if __name__ == "__main__":
    run(main)
