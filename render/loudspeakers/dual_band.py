"""Two-band decoding: the velocity vector below a crossover, the energy vector above (Gerzon 1992).

Up to a few hundred hertz the head is small against the wavelength, and localisation follows the sums of the
loudspeakers' pressures and velocities; at higher frequencies it follows their energies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.dsp.convolution import Filters
from render.hoa.layout import Layout
from render.hoa.scene import order_of
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics, unit_vectors
from render.loudspeakers.optimised import covered_elevation_deg

if TYPE_CHECKING:
    from jaxtyping import Float

CROSSOVER_HZ = 500.0
_HALF_LENGTH_S = 8e-3  # of the crossover's low-pass, which falls from -1 to -40 dB within about 300 Hz


def low_band(layout: Layout, high: Float[ndarray, "loudspeaker acn"]) -> Float[ndarray, "loudspeaker acn"]:
    """Decoder nearest to `high` whose velocity vector is exactly that of a plane wave, for ACN/SN3D scenes.

    With A = [1; U], a row of ones above the loudspeakers' unit vectors, the pressure and velocity of a decoded
    scene are A D y. They are to be s (W, X, Y, Z) = s T y for some gain s, which are four linear equations;
    D = high + A⁺ (s T - A high) is the solution nearest to `high`. The gain s gives D the energy of `high` over
    the covered region, so that the two bands are equally loud. Layouts without height have no vertical velocity.
    """
    order = order_of(high.shape[1])
    full_range = layout.full_range
    positions = unit_vectors(*layout.directions_rad())[full_range]
    to_pressure_and_velocity = np.vstack([np.ones(len(full_range)), positions.T])
    wanted = np.zeros((4, high.shape[1]))
    wanted[range(min(4, high.shape[1])), [0, 3, 1, 2][: high.shape[1]]] = 1.0
    back = np.linalg.pinv(to_pressure_and_velocity, rcond=1e-6)
    free, bound = high[full_range] - back @ to_pressure_and_velocity @ high[full_range], back @ wanted
    azimuth, elevation = fibonacci_sphere(5000)
    low, top = np.radians(covered_elevation_deg(layout))
    covered = (elevation >= low) & (elevation <= top)
    waves = spherical_harmonics(order, azimuth[covered], elevation[covered])
    energy, of_free, of_bound = (np.square(waves @ part.T).sum() for part in (high[full_range], free, bound))
    result = np.zeros_like(high)
    # `free` and `bound` are orthogonal: their energies add
    result[full_range] = free + np.sqrt(max(energy - of_free, 0.0) / of_bound) * bound
    return result


def crossed_over(
    low: Float[ndarray, "loudspeaker acn"], high: Float[ndarray, "loudspeaker acn"], sample_rate_hz: int
) -> Filters:
    """Filters that decode with `low` below 500 Hz and `high` above; its linear-phase crossover sums to 1."""
    from scipy.signal import firwin  # takes 0.4 s to import, which the other decoders save

    half = round(_HALF_LENGTH_S * sample_rate_hz)
    low_pass = firwin(2 * half + 1, CROSSOVER_HZ, window=("kaiser", 4.0), fs=sample_rate_hz)
    taps = (low - high)[:, :, None] * low_pass
    taps[:, :, half] += high
    return Filters(taps, half)
