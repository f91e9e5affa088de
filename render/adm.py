"""Export a scene or a loudspeaker feed as ADM BW64 (ITU-R BS.2076, BS.2088), which the EBU's tools read.

A scene (ACN/SN3D, order 1 to 6) refers to the HOA packs of the common definitions (BS.2094). With --layout the
input is a feed in the layout's BS.2051 order, which render.decode writes by default; it becomes DirectSpeakers
with the labels and positions of the layout, measured ones included.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.adm")
    arguments.add_argument("input", type=Path, help="scene, ACN/SN3D, or with --layout a feed in BS.2051 order")
    arguments.add_argument("--layout", metavar="L", help="layout of the feed: 7.1.4, 5.1, ... or a .toml file")
    arguments.add_argument("--subtype", choices=("PCM_16", "PCM_24", "PCM_32"), default="PCM_24")
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.wav")
    given = arguments.parse_args()

    from render.fileio.adm_bw64 import export_adm
    from render.hoa.layout import layout

    clipped = export_adm(
        given.input, given.output, layout(given.layout) if given.layout else None, given.subtype, given.force
    )
    print(f"{given.output}: ADM BW64, {'DirectSpeakers of ' + given.layout if given.layout else 'HOA'}")
    if clipped:
        print(f"warning: {clipped} values beyond full scale were clipped; lower the level of {given.input}")


if __name__ == "__main__":
    run(main)
