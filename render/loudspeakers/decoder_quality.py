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

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.common.files import whole_file
from render.hoa.layout import Layout
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, unit_vectors
from render.loudspeakers.optimised import served_deg

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
        For ACN/SN3D scenes, see `render.loudspeakers.design.decoding_matrix`.
    layout : Layout
    azimuth_rad, elevation_rad : (direction,)
    """
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

    length = np.linalg.norm(vectors, axis=1)
    cosine = np.einsum("dx,dx->d", vectors, waves) / np.maximum(length, 1e-12)
    return length, np.degrees(np.arccos(np.clip(cosine, -1, 1)))


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
    """Figures of a decoder over the region that the layout serves (`render.loudspeakers.optimised.served_deg`)."""
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


def _draw(matrices: dict[str, ndarray], layout: Layout, path: Path, force: bool) -> None:

    matplotlib.use("agg")

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
