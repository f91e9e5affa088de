"""Covariance losses: equation 3 of the paper, the same per band, and one without normalisation."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from codec.losses.stft import full_precision


@full_precision
def correlation_matrix(
    x: Float[Tensor, "batch channel time"], floor: float = 1e-8
) -> Float[Tensor, "batch channel channel"]:
    """Return the Pearson correlations C_ij / sqrt(C_ii C_jj) between the channels.

    `floor` is added to each variance before its square root is taken. So a silent channel, for which the paper's
    formula is 0/0, correlates with nothing and has a finite gradient.

    Raises
    ------
    ValueError
        If there are fewer than two samples.
    """
    if x.shape[-1] < 2:
        raise ValueError("a covariance needs at least two samples")
    centred = x.float() - x.float().mean(-1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(-1) + floor)
    covariance = centred @ centred.transpose(1, 2) / x.shape[-1]
    return covariance * scale[:, :, None] * scale[:, None, :]


def covariance_distance(
    reference: Float[Tensor, "batch channel time"],
    test: Float[Tensor, "batch channel time"],
    reduction: Literal["sum", "mean"] = "sum",
) -> Float[Tensor, ""]:
    """Covariance loss of the paper (eq. 3): half the sum of |R_ij - R̂_ij| over all i and j, mean over the items.

    It compares the spatial image as a whole. It ignores levels and the panning of a single plane wave. With the
    reduction "mean", the sum is divided by the n(n - 1)/2 pairs of channels: the text of the paper speaks of an
    expectation, while its formula is the sum.

    Raises
    ------
    ValueError
        If there are fewer than two samples.
    """
    with torch.no_grad():
        target = correlation_matrix(reference)
    distance = 0.5 * (target - correlation_matrix(test)).abs().sum((1, 2)).mean()
    channels = target.shape[1]
    return distance / max(channels * (channels - 1) / 2, 1) if reduction == "mean" else distance


@full_precision
def band_covariances(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> Float[Tensor, "batch band channel channel"]:
    """Return the real covariance Re<X Xᴴ> of the channels in each band, averaged over its bins and all frames."""
    batch, channels, bins, frames = spectrum.shape
    parts = torch.view_as_real(spectrum).permute(0, 2, 1, 3, 4).reshape(batch, bins, channels, 2 * frames)
    by_bin = (parts @ parts.mT / frames).flatten(2)
    return (bands @ by_bin).unflatten(2, (channels, channels))


def band_correlations(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> Float[Tensor, "batch band channel channel"]:
    """Return the normalised `band_covariances`; a silent channel correlates with nothing."""
    covariance = band_covariances(spectrum, bands)
    power = torch.diagonal(covariance, dim1=-2, dim2=-1)
    scale = torch.rsqrt(power + 1e-9 * power.detach().amax(-1, keepdim=True) + 1e-12)
    return covariance * scale[..., :, None] * scale[..., None, :]


def band_covariance_distance(
    reference: Complex[Tensor, "batch channel bin frame"],
    test: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> Float[Tensor, ""]:
    """Equation 3 in each band, averaged over the bands: the paper remarks that it may depend on frequency.

    In real recordings, the broadband version depends almost only on the band below 2 kHz. Here every band has the
    same weight.
    """
    with torch.no_grad():
        target = band_correlations(reference, bands)
    return 0.5 * (target - band_correlations(test, bands)).abs().sum((2, 3)).mean()


def relative_covariance_distance(
    reference: Complex[Tensor, "batch channel bin frame"],
    test: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> Float[Tensor, ""]:
    """Σ|C - Ĉ| / Σ|C| of the covariances in each band, averaged over the bands: the paper's other remark.

    The covariances are not normalised, so that levels and the panning of a single plane wave count, which eq. 3
    ignores. A band 60 dB below the loudest of its item has half the weight, and quieter bands have less.
    """
    with torch.no_grad():
        target = band_covariances(reference, bands)
        size = target.abs().sum((2, 3))
        size = size + 1e-6 * size.amax(1, keepdim=True) + 1e-12
    return ((target - band_covariances(test, bands)).abs().sum((2, 3)) / size).mean()
