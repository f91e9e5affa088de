"""Measure how well a decoder preserves energy and direction.

    python -m render.quality --layout 7.1.4 --decoder adm pareto dual -o out/maps.png

For plane waves from all directions: energy relative to its mean over the sphere, length of the energy vector rE (1
for a single loudspeaker, smaller for a wider source), the width of the source that it stands for (2 arccos |rE|)
and the angle between rE, or the velocity vector rV, and the wave (Gerzon 1992; ITU-R BS.2127 prescribes none of
them). Prints a table by region, why a decoder cannot be had, and, for pareto, how it compares with adm over the
region that the layout covers. -o also draws maps of the sphere, one row per decoder. --front prints the trade-off
between the length of rE and its direction: decoders pareto:0 to pareto:1.
"""

from __future__ import annotations

from pathlib import Path

from render.common.cli import parser, run
from render.common.errors import InputError
from render.common.figure_style import add_look_options, chosen_look

REGIONS_DEG = {"sphere": (-90.0, 90.0), "above -10": (-10.0, 90.0), "horizon": (-10.0, 10.0)}  # elevation


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.quality")
    arguments.add_argument("--layout", required=True, help="7.1.4, 5.1, ... or a .toml or .json file")
    arguments.add_argument("--decoder", nargs="+", help="one or more, see render.decode (default: all but allrad)")
    arguments.add_argument("--ambisonic-order", type=int, default=3, metavar="N", help="default 3")
    arguments.add_argument("-o", "--output", type=Path, metavar="PICTURE", help="maps to draw: .png, .pdf or .svg")
    arguments.add_argument("--force", action="store_true", help="replace an existing picture that differs")
    arguments.add_argument("--front", action="store_true", help="print the trade-off that pareto chooses from")
    add_look_options(arguments, caption=False)
    given = arguments.parse_args()

    from render.hoa.layout import layout
    from render.loudspeakers.decoder_quality import DIRECTIONS
    from render.loudspeakers.design import DECODERS, band_matrices

    to, order = layout(given.layout), given.ambisonic_order
    matrices, refused = {}, {}
    for method in given.decoder or [name for name in DECODERS if name != "allrad"]:
        try:
            matrices |= band_matrices(to, order, method)
        except InputError as error:
            refused[method] = error
    if not matrices:
        raise next(iter(refused.values()))
    print(f"layout {to.name}, order {order}, {DIRECTIONS} directions; dB and degrees")
    _print_table(matrices, to)
    for method, reason in refused.items():
        print(f"{method}: {reason}")
    if "pareto" in matrices:
        _print_comparison(to, order)
    if given.front:
        _print_front(to, order)
    if given.output:
        from render.loudspeakers.decoder_maps import write_decoder_maps

        write_decoder_maps(matrices, to, given.output, given.force, chosen_look(given))


def _print_table(matrices, to) -> None:
    import numpy as np

    from render.hoa.spherical_harmonics import fibonacci_sphere
    from render.loudspeakers.decoder_quality import DIRECTIONS, quality

    azimuth, elevation = fibonacci_sphere(DIRECTIONS)
    print("decoder        region     energy min    max  sigma   |rE|  width  error mean   p95   |rV|  error mean")
    for method, matrix in matrices.items():
        found = quality(matrix, to, azimuth, elevation)
        for region, (low_deg, high_deg) in REGIONS_DEG.items():
            part = (elevation >= np.radians(low_deg)) & (elevation <= np.radians(high_deg))
            energy_db, error_deg = found.energy_db[part], found.re_error_deg[part]
            print(
                f"{method:14s} {region:10s} {energy_db.min():10.2f} {energy_db.max():6.2f} {energy_db.std():6.2f} "
                f"{found.re_length[part].mean():6.3f} {found.width_deg[part].mean():6.1f} "
                f"{error_deg.mean():11.2f} {np.percentile(error_deg, 95):5.1f} "
                f"{found.rv_length[part].mean():6.3f} {found.rv_error_deg[part].mean():11.2f}"
            )


def _print_comparison(to, order: int) -> None:
    from render.loudspeakers.decoder_quality import quality_summary
    from render.loudspeakers.design import decoding_matrix
    from render.loudspeakers.optimised import covered_elevation_deg

    adm, pareto = (quality_summary(decoding_matrix(to, order, method), to) for method in ("adm", "pareto"))
    low, high = covered_elevation_deg(to)
    worse = pareto.worse_than(adm)
    print(f"pareto against adm, elevation {low:g} to {high:g}: ", end="")
    print(f"worse in {', '.join(worse)}; --front shows why" if worse else "better or equal in every measure")


def _print_front(to, order: int) -> None:
    import numpy as np

    from render.loudspeakers.decoder_quality import quality_summary
    from render.loudspeakers.design import decoding_matrix

    print("front: even energy, from the |rE| of adm to that of maxre")
    print("  decoder        energy range  sigma   |rE|  error mean   p95")
    for share in np.linspace(0, 1, 5):
        found = quality_summary(decoding_matrix(to, order, f"pareto:{share:g}"), to)
        print(
            f"  pareto:{share:<6g} {found.energy_range_db:13.2f} {found.energy_deviation_db:6.2f} "
            f"{found.re_length:6.3f} {found.error_deg:11.2f} {found.error_95_deg:5.1f}"
        )


if __name__ == "__main__":
    run(main)
