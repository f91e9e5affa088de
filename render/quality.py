"""How well a decoder keeps energy and direction.

For plane waves from everywhere: energy relative to its mean over the sphere, length of the energy vector rE
(1 is one loudspeaker, smaller is wider) and the angle between rE, or the velocity vector rV, and the wave
(Gerzon 1992; ITU-R BS.2127 prescribes none of them). Prints a table by region, and for pareto what it gains and
loses against adm over the region that the layout serves; -o also draws maps of the sphere, one row per decoder,
loudspeakers as dots. --front prints the trade-off between focus and direction: decoders of even energy between
adm and maxre.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.command import parser, run

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

    from render.layout import Layout

# Name -> lowest and highest elevation in degrees
REGIONS = {"sphere": (-90.0, 90.0), "above -10": (-10.0, 90.0), "horizon": (-10.0, 10.0)}
_DIRECTIONS = 20_000


@dataclass(frozen=True, eq=False)
class Quality:
    """Figures of a decoder for each direction of a plane wave.

    Attributes
    ----------
    energy_db : (direction,)
        Energy of all loudspeakers relative to its mean over the sphere.
    re_length, rv_length : (direction,)
        Length of energy and velocity vector.
    re_error_deg, rv_error_deg : (direction,)
        Angle between the vector and the direction of the wave.
    """

    energy_db: Float[ndarray, " direction"]
    re_length: Float[ndarray, " direction"]
    re_error_deg: Float[ndarray, " direction"]
    rv_length: Float[ndarray, " direction"]
    rv_error_deg: Float[ndarray, " direction"]


def quality(
    matrix: Float[ndarray, "loudspeaker acn"],
    layout: Layout,
    azimuth_rad: Float[ndarray, " direction"],
    elevation_rad: Float[ndarray, " direction"],
) -> Quality:
    """Energy and direction of plane waves decoded by a matrix (LFE rows do not count).

    Parameters
    ----------
    matrix : (loudspeaker, acn)
        For ACN/SN3D scenes, see `render.decoder.decoding_matrix`.
    layout : Layout
    azimuth_rad, elevation_rad : (direction,)
    """
    import numpy as np

    from render.sphere import sn3d_to_n3d, spherical_harmonics, unit_vectors

    order = int(np.sqrt(matrix.shape[1])) - 1
    heard = [not speaker.is_lfe for speaker in layout.loudspeakers]
    speaker_azimuth = np.radians([speaker.azimuth_deg for speaker in layout.loudspeakers])[heard]
    speaker_elevation = np.radians([speaker.elevation_deg for speaker in layout.loudspeakers])[heard]
    positions = unit_vectors(speaker_azimuth, speaker_elevation)
    waves = unit_vectors(azimuth_rad, elevation_rad)
    gains = spherical_harmonics(order, azimuth_rad, elevation_rad) @ matrix[heard].T
    power = gains**2
    energy = power.sum(axis=1)
    # The mean over the sphere of |D y|² is the squared norm of D for orthonormal harmonics
    mean = np.square(matrix / sn3d_to_n3d(order)).sum()
    re_length, re_error_deg = _length_and_error(power @ positions / energy[:, None], waves)
    rv_length, rv_error_deg = _length_and_error(gains @ positions / gains.sum(axis=1, keepdims=True), waves)
    return Quality(10 * np.log10(energy / mean), re_length, re_error_deg, rv_length, rv_error_deg)


def _length_and_error(vectors: ndarray, waves: ndarray) -> tuple[ndarray, ndarray]:
    import numpy as np

    length = np.linalg.norm(vectors, axis=1)
    cosine = np.einsum("dx,dx->d", vectors, waves) / np.maximum(length, 1e-12)
    return length, np.degrees(np.arccos(np.clip(cosine, -1, 1)))


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

    from render.layout import layout

    to = layout(given.layout)
    matrices = _matrices(to, given.ambisonic_order, given.decoder)
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
    from render.decoder import decoding_matrix
    from render.dual import low_band

    matrices = {}
    for method in methods:
        if method == "dual":
            matrices["dual, low"] = low_band(to, decoding_matrix(to, order, "pareto"))
            matrices["dual, high"] = decoding_matrix(to, order, "pareto")
        else:
            matrices[method] = decoding_matrix(to, order, method)
    return matrices


@dataclass(frozen=True)
class Figures:
    """What a decoder is judged by over the region that a layout serves; larger is worse but for `focus`.

    Attributes
    ----------
    energy_range_db, energy_deviation_db : float
        Largest minus smallest, and standard deviation.
    focus : float
        Mean |rE|.
    error_deg, error_95_deg : float
        Mean and 95th percentile of the direction error of rE.
    """

    energy_range_db: float
    energy_deviation_db: float
    focus: float
    error_deg: float
    error_95_deg: float

    def losses(self, other: Figures) -> list[str]:
        """Figures that are worse than those of another decoder; it is dominated if there are none."""
        worse = {
            "energy range": self.energy_range_db > other.energy_range_db,
            "energy deviation": self.energy_deviation_db > other.energy_deviation_db,
            "|rE|": self.focus < other.focus,
            "mean error": self.error_deg > other.error_deg,
            "95th percentile of the error": self.error_95_deg > other.error_95_deg,
        }
        return [name for name, is_worse in worse.items() if is_worse]


def figures(matrix: Float[ndarray, "loudspeaker acn"], layout: Layout) -> Figures:
    """Figures of a decoder over the region that the layout serves (`render.pareto.served_deg`)."""
    import numpy as np

    from render.pareto import served_deg
    from render.sphere import fibonacci_sphere

    azimuth, elevation = fibonacci_sphere(_DIRECTIONS)
    low, high = np.radians(served_deg(layout))
    part = (elevation >= low) & (elevation <= high)
    found = quality(matrix, layout, azimuth[part], elevation[part])
    return Figures(
        float(np.ptp(found.energy_db)),
        float(found.energy_db.std()),
        float(found.re_length.mean()),
        float(found.re_error_deg.mean()),
        float(np.percentile(found.re_error_deg, 95)),
    )


def _print_comparison(to: Layout, order: int) -> None:
    from render.decoder import decoding_matrix
    from render.pareto import served_deg

    theirs, ours = (figures(decoding_matrix(to, order, method), to) for method in ("adm", "pareto"))
    low, high = served_deg(to)
    lost = ours.losses(theirs)
    print(f"pareto against adm, elevation {low:g} to {high:g}: ", end="")
    print(f"worse in {', '.join(lost)}; --front shows why" if lost else "better or equal in every figure")


def _print_front(to: Layout, order: int) -> None:
    import numpy as np

    from render.decoder import front

    print("front: even energy, from the focus of adm (0) to that of maxre (1)")
    print("  towards maxre  energy range  sigma   |rE|  error mean   p95")
    for share, matrix in front(to, order, np.linspace(0, 1, 5)):
        found = figures(matrix, to)
        print(
            f"  {share:13.2f} {found.energy_range_db:13.2f} {found.energy_deviation_db:6.2f} {found.focus:6.3f} "
            f"{found.error_deg:11.2f} {found.error_95_deg:5.1f}"
        )


def _print_table(matrices: dict[str, ndarray], layout: Layout) -> None:
    import numpy as np

    from render.sphere import fibonacci_sphere

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


def _draw(matrices: dict[str, ndarray], layout: Layout, path: Path, force: bool) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    from render.artefact import whole_file

    azimuth_deg, elevation_deg = np.arange(180, -181, -2.0), np.arange(-90, 91, 2.0)
    grid = np.meshgrid(np.radians(azimuth_deg), np.radians(elevation_deg))
    maps = [
        ("energy, dB re mean", "energy_db", -6.0, 3.0, "both"),
        ("length of rE", "re_length", 0.4, 1.0, "min"),
        ("direction error of rE, degrees", "re_error_deg", 0.0, 45.0, "max"),
    ]
    figure, axes = plt.subplots(
        len(matrices),
        3,
        figsize=(13, 2.9 * len(matrices)),
        squeeze=False,
        layout="constrained",
        sharex=True,
        sharey=True,
    )
    for row, (method, matrix) in zip(axes, matrices.items(), strict=True):
        found = quality(matrix, layout, grid[0].ravel(), grid[1].ravel())
        for axis, (title, name, low, high, beyond) in zip(row, maps, strict=True):
            values = getattr(found, name).reshape(grid[0].shape)
            image = axis.pcolormesh(azimuth_deg, elevation_deg, values, vmin=low, vmax=high, cmap="cividis")
            _draw_loudspeakers(axis, layout)
            axis.set(
                title=f"{method}: {title}",
                xlim=(180, -180),
                xticks=range(-180, 181, 60),
                yticks=range(-90, 91, 30),
            )
            figure.colorbar(image, ax=axis, extend=beyond)
    for axis in axes[-1]:
        axis.set_xlabel("azimuth, degrees (left is positive)")
    for axis in axes[:, 0]:
        axis.set_ylabel("elevation, degrees")
    with whole_file(path, force=force) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None} if path.suffix == ".png" else None)
    plt.close(figure)


def _draw_loudspeakers(axis, layout: Layout) -> None:
    heard = [speaker for speaker in layout.loudspeakers if not speaker.is_lfe]
    axis.plot(
        [speaker.azimuth_deg for speaker in heard],
        [speaker.elevation_deg for speaker in heard],
        "o",
        markersize=5,
        markerfacecolor="white",
        markeredgecolor="black",
    )


if __name__ == "__main__":
    run(main)
