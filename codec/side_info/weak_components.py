"""Powers of weak components: which of the small eigenvalues of a covariance matrix are only rounding errors.

Rounded correlations of a few sources have many small eigenvalues that the channels do not have, and their power
would be filled with noise: a pure tone would sound in a band of noise. Those of a diffuse field are real, and
without them the image would narrow. The decoder can't tell one from the other, but the encoder knows the power of
each component. So it says, for every slot and band, which of four laws comes closest to it.

This is an extension that the paper does not have.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from codec.side_info.binary_coding import adaptive

_SOFT_SHARE = 0.03  # of the strongest component: one of this power loses half of it, weaker ones more
_SHARES = (0.03, 0.1)  # below which there is nothing


def limited_power(
    power: Float[ndarray, "slot band component"], laws: Int[ndarray, "slot band"]
) -> Float[ndarray, "slot band component"]:
    """Powers of the components by the law of each slot and band, 0 to 3.

    With the power λ of a component and that of the strongest one, λ₁: λ; λ² / (λ + 0.03 λ₁); λ or, below 0.03 λ₁,
    nothing; the same below 0.1 λ₁.
    """
    return np.take_along_axis(_candidates(power), laws[None, :, :, None], 0)[0]


def nearest_laws(
    power: Float[ndarray, "slot band component"], measured: Float[ndarray, "slot band component"]
) -> Int[ndarray, "slot band"]:
    """Laws whose powers come closest to those measured: Σ (√w - √p)² over the components is smallest."""
    error = np.square(np.sqrt(_candidates(power)) - np.sqrt(measured)).sum(3)
    return error.argmin(0)


def code_laws(laws: Int[ndarray, "slot band"], state: Int[ndarray, " 4"], coded: UInt8[ndarray, " byte"]) -> None:
    """Write the laws, or read them into `laws`: two decisions each, the second one in the context of the first."""
    counts = np.full((3, 2), 4, np.int64)
    for place in np.ndindex(laws.shape):
        law = int(laws[place])
        high = int(adaptive(law >> 1, counts[0], state, coded))
        laws[place] = 2 * high + adaptive(law & 1, counts[1 + high], state, coded)


def _candidates(power: Float[ndarray, "slot band component"]) -> Float[ndarray, "law slot band component"]:
    strongest = power.max(2, keepdims=True)
    soft = power * (power / np.maximum(power + _SOFT_SHARE * strongest, 1e-300))
    return np.stack([power, soft, *(np.where(power < share * strongest, 0, power) for share in _SHARES)])
