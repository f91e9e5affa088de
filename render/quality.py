"""How well a decoder keeps energy and direction.

For plane waves from everywhere: energy relative to its mean over the sphere, length of the energy vector rE
(1 is one loudspeaker, smaller is wider) and the angle between rE, or the velocity vector rV, and the wave
(Gerzon 1992; ITU-R BS.2127 prescribes none of them). Prints a table by region, and for pareto what it gains and
loses against adm over the region that the layout serves; -o also draws maps of the sphere, one row per decoder,
loudspeakers as dots. --front prints the trade-off between focus and direction: decoders of even energy between
adm and maxre.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from render.common.cli import parser, run

if TYPE_CHECKING:
    from numpy import ndarray

    from render.hoa.layout import Layout


# Name -> lowest and highest elevation in degrees
REGIONS = {"sphere": (-90.0, 90.0), "above -10": (-10.0, 90.0), "horizon": (-10.0, 10.0)}


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "render.quality")
    arguments.add_argument("--layout", required=True, help="7.1.4, 5.1, ... or a .toml file of measured positions")
    arguments.add_argument("--decoder", nargs="+", default=["adm"], help="one or more, see render.decode")
    arguments.add_argument("--ambisonic-order", type=int, default=3, metavar="N", help="default 3")
    arguments.add_argument("-o", "--output", type=Path, metavar="PICTURE", help="maps to draw: .png or .pdf")
    arguments.add_argument("--force", action="store_true", help="replace an existing picture that differs")
    arguments.add_argument("--front", action="store_true", help="print the trade-off that pareto chooses from")
    given = arguments.parse_args()

    from render.hoa.layout import layout

    to = layout(given.layout)
    matrices = _matrices(to, given.ambisonic_order, given.decoder)
    from render.loudspeakers.decoder_quality import _DIRECTIONS, _draw

    print(f"layout {to.name}, order {given.ambisonic_order}, {_DIRECTIONS} directions; dB and degrees")
    _print_table(matrices, to)
    if "pareto" in matrices:
        _print_comparison(to, given.ambisonic_order)
    if given.front:
        _print_front(to, given.ambisonic_order)
    if given.output:
        _draw(matrices, to, given.output, given.force)


def _matrices(to: Layout, order: int, methods: list[str]) -> dict[str, ndarray]:
    """Decoding matrices by name; that of each band for dual."""
    from render.loudspeakers.design import decoding_matrix
    from render.loudspeakers.dual_band import low_band

    matrices = {}
    for method in methods:
        if method == "dual":
            matrices["dual, low"] = low_band(to, decoding_matrix(to, order, "pareto"))
            matrices["dual, high"] = decoding_matrix(to, order, "pareto")
        else:
            matrices[method] = decoding_matrix(to, order, method)
    return matrices


def _print_comparison(to: Layout, order: int) -> None:
    from render.loudspeakers.decoder_quality import figures
    from render.loudspeakers.design import decoding_matrix
    from render.loudspeakers.optimised import served_deg

    theirs, ours = (figures(decoding_matrix(to, order, method), to) for method in ("adm", "pareto"))
    low, high = served_deg(to)
    lost = ours.losses(theirs)
    print(f"pareto against adm, elevation {low:g} to {high:g}: ", end="")
    print(f"worse in {', '.join(lost)}; --front shows why" if lost else "better or equal in every figure")


def _print_front(to: Layout, order: int) -> None:
    import numpy as np

    from render.loudspeakers.design import front

    print("front: even energy, from the focus of adm (0) to that of maxre (1)")
    print("  towards maxre  energy range  sigma   |rE|  error mean   p95")
    from render.loudspeakers.decoder_quality import figures

    for share, matrix in front(to, order, np.linspace(0, 1, 5)):
        found = figures(matrix, to)
        print(
            f"  {share:13.2f} {found.energy_range_db:13.2f} {found.energy_deviation_db:6.2f} {found.focus:6.3f} "
            f"{found.error_deg:11.2f} {found.error_95_deg:5.1f}"
        )


def _print_table(matrices: dict[str, ndarray], layout: Layout) -> None:
    import numpy as np

    from render.hoa.spherical_harmonics import fibonacci_sphere
    from render.loudspeakers.decoder_quality import _DIRECTIONS, quality

    azimuth, elevation = fibonacci_sphere(_DIRECTIONS)
    print("decoder        region     energy min    max  sigma   |rE|  error mean   p95   |rV|  error mean")
    for method, matrix in matrices.items():
        found = quality(matrix, layout, azimuth, elevation)
        for region, (low_deg, high_deg) in REGIONS.items():
            part = (elevation >= np.radians(low_deg)) & (elevation <= np.radians(high_deg))
            energy_db, error_deg = found.energy_db[part], found.re_error_deg[part]
            print(
                f"{method:14s} {region:10s} {energy_db.min():10.2f} {energy_db.max():6.2f} {energy_db.std():6.2f} "
                f"{found.re_length[part].mean():6.3f} {error_deg.mean():11.2f} "
                f"{np.percentile(error_deg, 95):5.1f} "
                f"{found.rv_length[part].mean():6.3f} {found.rv_error_deg[part].mean():11.2f}"
            )


if __name__ == "__main__":
    run(main)
