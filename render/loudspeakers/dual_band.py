"""Two-band decoding: the velocity at the listener's head below a crossover, the energy above (Gerzon 1992).

Up to some hundred hertz the head is small against the wavelength and hears the sum of the loudspeakers'
pressures and velocities; above, their energies.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.signal import firwin

from render.dsp.convolution import Filters
from render.hoa.layout import Layout
from render.hoa.spherical_harmonics import fibonacci_sphere, spherical_harmonics, unit_vectors
from render.loudspeakers.optimised import served_deg

CROSSOVER_HZ = 500.0
_HALF_LENGTH_S = 8e-3  # of the crossover's filter: from -1 to -40 dB within about 300 Hz


def low_band(layout: Layout, high: Float[ndarray, "loudspeaker acn"]) -> Float[ndarray, "loudspeaker acn"]:
    """Nearest decoder to `high` whose velocity vector is exactly that of the plane wave (SN3D columns).

    With A = [1; U], the ones and the unit vectors of the loudspeakers, pressure and velocity of a scene are A D y
    and should be s (W, X, Y, Z) for some s: four linear equations. D = high + A⁺ (s T - A high) is the solution
    that changes the decoder least. s makes the energy over the served region that of `high`, so that the two bands
    are equally loud. A layout without height knows no vertical velocity.
    """
    order = int(np.sqrt(high.shape[1])) - 1
    heard = [index for index, speaker in enumerate(layout.loudspeakers) if not speaker.is_lfe]
    angles = np.radians(
        [(layout.loudspeakers[i].azimuth_deg, layout.loudspeakers[i].elevation_deg) for i in heard]
    )
    onto = np.vstack([np.ones(len(heard)), unit_vectors(*angles.T).T])
    wanted = np.zeros((4, high.shape[1]))
    wanted[range(min(4, high.shape[1])), [0, 3, 1, 2][: high.shape[1]]] = 1.0
    back = np.linalg.pinv(onto, rcond=1e-6)
    free, bound = high[heard] - back @ onto @ high[heard], back @ wanted
    azimuth, elevation = fibonacci_sphere(5000)
    low, top = np.radians(served_deg(layout))
    served = (elevation >= low) & (elevation <= top)
    waves = spherical_harmonics(order, azimuth[served], elevation[served])
    energy, of_free, of_bound = (np.square(waves @ part.T).sum() for part in (high[heard], free, bound))
    result = np.zeros_like(high)
    # `free` and `bound` are orthogonal: their energies add
    result[heard] = free + np.sqrt(max(energy - of_free, 0.0) / of_bound) * bound
    return result


def crossed_over(
    low: Float[ndarray, "loudspeaker acn"], high: Float[ndarray, "loudspeaker acn"], sample_rate_hz: int
) -> Filters:
    """Filters that decode by `low` below 500 Hz and by `high` above; the bands are in phase and sum to 1."""
    half = round(_HALF_LENGTH_S * sample_rate_hz)
    low_pass = firwin(2 * half + 1, CROSSOVER_HZ, window=("kaiser", 4.0), fs=sample_rate_hz)
    taps = (low - high)[:, :, None] * low_pass
    taps[:, :, half] += high
    return Filters(taps, half)
