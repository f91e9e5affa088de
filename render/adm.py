"""Export a scene or a loudspeaker feed as ADM BW64 (ITU-R BS.2076, BS.2088), which the EBU's tools read.

    python -m render.adm data/prepared/seed-1/Beach.8.wav -o out/beach-adm.wav

A scene of order 1 to 6 refers to the SN3D packs of the common definitions (BS.2094). With --layout the input is
a feed; it becomes DirectSpeakers with the labels and positions of the layout, measured ones included, in the
order of BS.2051. The order of the feed's channels is that of its channel mask or layout tag or of the record that
render.decode wrote beside it, and BS.2051's if there is none.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.adm")
    arguments.add_argument("input", type=Path, help="scene, or with --layout a feed")
    arguments.add_argument("--layout", metavar="L", help="layout of the feed: 7.1.4, 5.1, ... or a .toml file")
    arguments.add_argument(
        "--order", help="of the feed's channels, against the file: bs2051, wav or a list of labels"
    )
    arguments.add_argument("--subtype", choices=("PCM_16", "PCM_24", "PCM_32"), default="PCM_24")
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.wav")
    given = arguments.parse_args()

    from render.fileio.adm_bw64 import export_adm
    from render.hoa.layout import layout

    of = layout(given.layout) if given.layout else None
    if given.order and of is None:
        raise InputError(f"--order {given.order}: needs --layout, whose loudspeakers it orders")
    clipped = export_adm(given.input, given.output, of, given.subtype, given.force, given.order)
    print(f"{given.output}: ADM BW64, {'DirectSpeakers of ' + given.layout if given.layout else 'HOA'}")
    if clipped:
        print(f"warning: {clipped} values beyond full scale were clipped; lower the level of {given.input}")


if __name__ == "__main__":
    run(main)
