"""Losses between waveforms: squared errors relative to the energy of the reference."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def squared_error_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Squared error Σ(x - y)² / Σx² over channels and time, mean over the items.

    It is the same for principal components as for the channels, since the transform between them is orthogonal.
    """
    reference, test = reference.float(), test.float()
    error, energy = ((reference - test).square().sum((1, 2)), reference.square().sum((1, 2)))
    return (error / energy.clamp_min(1e-9 * reference[0].numel())).mean()


def waveform_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Squared error Σ_c w_c Σ(x_c - y_c)² / Σ_c w_c Σ x_c² with w_c = 1 / rms of channel c, mean over the items.

    So each channel has the weight of its rms. Weighting by power would consider little but W, and equal weights
    would spend the bit rate on the weak channels of high orders. Within a channel the bands with the most energy
    dominate, where a correct waveform also makes direction and correlations correct. Channels 40 dB or more below
    the loudest have less weight than 1 / rms.
    """
    reference, test = reference.float(), test.float()
    power = reference.square().mean(-1)
    error = (reference - test).square().mean(-1)
    weight = (power + 1e-4 * power.amax(1, keepdim=True) + 1e-12).rsqrt()
    return ((weight * error).sum(1) / (weight * power).sum(1).clamp_min(1e-9)).mean()
