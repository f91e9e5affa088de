"""Which convention the channels of a recording follow, inferred from the covariances between its orders."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from render.hoa.spherical_harmonics import sn3d_to_n3d

# The encoder's high-passes open below this band and spatial aliasing begins above it
_TRUSTED_BAND_HZ = (1000, 5000)
_ROOT3 = np.sqrt(3.0)
# The file's channel for each of W Y Z X (and V T R S U of order 2), and the gain that makes it SN3D
_CONVENTIONS = {
    "ACN SN3D": ([0, 1, 2, 3, 4, 5, 6, 7, 8], np.ones(9)),
    "ACN N3D": ([0, 1, 2, 3, 4, 5, 6, 7, 8], 1 / sn3d_to_n3d(2)),
    "FuMa": (
        [0, 2, 3, 1, 8, 6, 4, 5, 7],
        np.array([2**0.5, 1, 1, 1, _ROOT3 / 2, _ROOT3 / 2, 1, _ROOT3 / 2, _ROOT3 / 2]),
    ),
}


def convention_errors(
    spectra: Complex[ndarray, "frequency acn acn"], frequency_hz: Float[ndarray, " frequency"]
) -> dict[str, float]:
    """Relative error of each convention, 0 (it fits) to about 1.

    For plane waves without mutual coherence, whatever their directions, x² + y² + z² = 1 makes the energy of
    the first order equal to that of W. The harmonics of the second order are products of those of the first, so
    the covariance of W with the second order follows from that of the first order: E[W R] = E[3 Z² - W²] / 2,
    E[W V] = √3 E[X Y], and so on. The errors are those of these identities, over 1 to 5 kHz.

    Parameters
    ----------
    spectra : complex (frequency, acn, acn)
        Covariance of the channels at each frequency, first order or higher; without second order the identities
        of the first order alone are used, which cannot tell the order of the channels.
    frequency_hz : float (frequency,)
    """
    inside = (frequency_hz >= _TRUSTED_BAND_HZ[0]) & (frequency_hz <= _TRUSTED_BAND_HZ[1])
    covariance = spectra[inside].real
    has_second_order = covariance.shape[1] >= 9
    errors = {}
    for name, (channels, gains) in _CONVENTIONS.items():
        used = channels if has_second_order else channels[:4]
        gain = gains[: len(used)]
        c = covariance[:, used][:, :, used] * np.outer(gain, gain)
        w, y, z, x = c[:, 0, 0], c[:, 1, 1], c[:, 2, 2], c[:, 3, 3]
        found, expected = [x + y + z], [w]
        if has_second_order:
            found += [c[:, 0, 4], c[:, 0, 5], c[:, 0, 6], c[:, 0, 7], c[:, 0, 8]]
            expected += [
                _ROOT3 * c[:, 1, 3],
                _ROOT3 * c[:, 1, 2],
                1.5 * z - 0.5 * w,
                _ROOT3 * c[:, 2, 3],
                _ROOT3 / 2 * (x - y),
            ]
        difference = np.array(found) - np.array(expected)
        scale = np.abs(found) + np.abs(expected)
        errors[name] = float(np.abs(difference.sum(axis=1)).sum() / max(scale.sum(axis=1).sum(), 1e-30))
    return errors
