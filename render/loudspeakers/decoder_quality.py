"""How well a decoder preserves the energy and the direction of plane waves.

The measures are the energy relative to its mean over the sphere, the length of the energy vector rE (1 for a
single loudspeaker, smaller for a wider source) and the angles of rE and of the velocity vector rV to the wave
(Gerzon 1992). ITU-R BS.2127 prescribes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.hoa.layout import Layout
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import fibonacci_sphere, sn3d_to_n3d, spherical_harmonics, unit_vectors
from render.loudspeakers.optimised import covered_elevation_deg

if TYPE_CHECKING:
    from jaxtyping import Float

DIRECTIONS = 20_000  # on a Fibonacci sphere, for tables and summaries


@dataclass(frozen=True, eq=False)
class Quality:
    """Measures of a decoder for each direction of a plane wave.

    Attributes
    ----------
    energy_db : (direction,)
        Energy of all loudspeakers together, relative to its mean over the sphere.
    re_length, rv_length : (direction,)
        Length of the energy vector and of the velocity vector.
    re_error_deg, rv_error_deg : (direction,)
        Angle between each vector and the direction of the wave.
    """

    energy_db: Float[ndarray, " direction"]
    re_length: Float[ndarray, " direction"]
    re_error_deg: Float[ndarray, " direction"]
    rv_length: Float[ndarray, " direction"]
    rv_error_deg: Float[ndarray, " direction"]

    @property
    def width_deg(self) -> Float[ndarray, " direction"]:
        """Width of the source that rE stands for: 2 arccos |rE| (Zotter & Frank 2019, section 2.3.2)."""
        return np.degrees(2 * np.arccos(np.clip(self.re_length, 0, 1)))


def quality(
    matrix: Float[ndarray, "loudspeaker acn"],
    layout: Layout,
    azimuth_rad: Float[ndarray, " direction"],
    elevation_rad: Float[ndarray, " direction"],
) -> Quality:
    """Measure a decoding matrix with plane waves from given directions; LFE rows do not count.

    Parameters
    ----------
    matrix : (loudspeaker, acn)
        For ACN/SN3D scenes, see `render.loudspeakers.design.decoding_matrix`.
    layout : Layout
    azimuth_rad, elevation_rad : (direction,)
    """
    order = order_of(matrix.shape[1])
    positions = unit_vectors(*layout.directions_rad())[layout.full_range]
    waves = unit_vectors(azimuth_rad, elevation_rad)
    gains = spherical_harmonics(order, azimuth_rad, elevation_rad) @ matrix[layout.full_range].T
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
class QualitySummary:
    """Measures of a decoder over the region that a layout covers; larger is worse, except for `re_length`.

    Attributes
    ----------
    energy_range_db, energy_deviation_db : float
        Largest minus smallest energy, and its standard deviation.
    re_length : float
        Mean length of rE.
    error_deg, error_95_deg : float
        Mean and 95th percentile of the direction error of rE.
    """

    energy_range_db: float
    energy_deviation_db: float
    re_length: float
    error_deg: float
    error_95_deg: float

    def worse_than(self, other: QualitySummary) -> list[str]:
        """Measures that are worse than those of another decoder; if there are none, this one dominates it."""
        worse = {
            "energy range": self.energy_range_db > other.energy_range_db,
            "energy deviation": self.energy_deviation_db > other.energy_deviation_db,
            "|rE|": self.re_length < other.re_length,
            "mean error": self.error_deg > other.error_deg,
            "95th percentile of the error": self.error_95_deg > other.error_95_deg,
        }
        return [name for name, is_worse in worse.items() if is_worse]


def quality_summary(matrix: Float[ndarray, "loudspeaker acn"], layout: Layout) -> QualitySummary:
    """Measure a decoder over the region that the layout covers (`covered_elevation_deg`)."""
    azimuth, elevation = fibonacci_sphere(DIRECTIONS)
    low, high = np.radians(covered_elevation_deg(layout))
    part = (elevation >= low) & (elevation <= high)
    found = quality(matrix, layout, azimuth[part], elevation[part])
    return QualitySummary(
        float(np.ptp(found.energy_db)),
        float(found.energy_db.std()),
        float(found.re_length.mean()),
        float(found.re_error_deg.mean()),
        float(np.percentile(found.re_error_deg, 95)),
    )
