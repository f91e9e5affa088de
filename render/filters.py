"""Write filters from Ambisonic channels to the ears, for other renderers.

    python -m render.filters -o out/filters.wav

They are those of render.binaural: of a rigid sphere or of a SOFA file, by magnitude least squares, or of virtual
loudspeakers (--via). The file has two channels, left and right ear, in which the filters of all ACN/SN3D inputs
follow each other: SPARTA's MatrixConv plays it with 16 inputs set for third order, and render.binaural --filters
F.wav.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.filters")
    arguments.add_argument("--sofa", type=Path, metavar="FILE", help="head-related responses (default: sphere)")
    arguments.add_argument("--ambisonic-order", type=int, default=3, metavar="N", help="0 to 7, default 3")
    arguments.add_argument("--rate", type=int, default=48_000, metavar="HZ", help="default 48000")
    arguments.add_argument("--via", metavar="LAYOUT", help="decode to virtual loudspeakers, e.g. 7.1.4")
    arguments.add_argument("--decoder", default="adm", help="decoder of --via (default adm)")
    arguments.add_argument("--force", action="store_true", help="replace an existing file that differs")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="FILTERS", help=".wav")
    given = arguments.parse_args()

    from dataclasses import asdict

    from render.headphones.filter_set import write_filter_set
    from render.headphones.renderer import HeadphoneRendering, binaural_filters, check_order
    from render.hoa.layout import layout
    from render.hoa.scene import check_rate

    check_rate(given.rate)
    check_order(given.ambisonic_order)
    via = layout(given.via) if given.via else None
    rendering = HeadphoneRendering(given.sofa, via=via, decoder=given.decoder)
    filters, errors = binaural_filters(given.ambisonic_order, given.rate, rendering)
    about = {
        "head": rendering.head_record,
        "method": rendering.method,
        "errors": asdict(errors) if errors else None,
    }
    write_filter_set(given.output, filters, given.rate, about, given.force)
    ears, inputs, taps = filters.taps.shape
    print(f"{given.output}: {ears} ears, {inputs} inputs, {taps} taps, time 0 at tap {filters.origin}")


if __name__ == "__main__":
    run(main)
