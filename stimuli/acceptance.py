"""Hold scenes against the statistics of real recordings: they must be what an em32 would have recorded.

    python -m stimuli.acceptance data/synthetic

The targets are what recordings by real em32 microphones measure (`stimuli.hoastats`): an excerpt of
EigenScape's Beach.1 and four recordings of another em32 (JSAmbisonics). For every band of frequencies: the
energy of each order relative to W, effective rank and diffuseness, with tolerances; and the slope of W's
spectrum. Exit status 1 if a scene does not pass.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    import sys

    arguments = parser(__doc__, "stimuli.acceptance")
    arguments.add_argument("root", type=Path, nargs="+", metavar="FILE|DIR", help="scenes, or folders of them")
    options = arguments.parse_args()
    from stimuli.eigenscape.sources import find

    refused = 0
    sources = [source for root in options.root for source in find(root)]
    from stimuli.field_statistics.acceptance_ranges import examine

    for source in sources:
        told = examine(source.path)
        refused += bool(told)
        print(f"{source.path}: {'accepted' if not told else 'not accepted'}")
        for sentence in told:
            print(f"  {sentence}")
    print(f"{len(sources) - refused} of {len(sources)} accepted")
    sys.exit(bool(refused))


if __name__ == "__main__":
    run(main)
