"""Loss between active intensity vectors, the quantity that directional audio coding analyses (Pulkki 2007)."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import avg_pool1d

from codec.losses.stft import full_precision

BLOCK_FRAMES = 5  # frames averaged to one intensity vector: 58 ms with hops of 512 samples at 44.1 kHz


@full_precision
def intensities(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> tuple[Float[Tensor, "batch band axis block"], Float[Tensor, "batch band block"]]:
    """Return the active intensity and the energy density of an SN3D sound field.

    These are Re{W*·(Y, Z, X)} and (|W|² + |X|² + |Y|² + |Z|²)/2, averaged over the bins of a band and over blocks
    of `BLOCK_FRAMES` frames. The intensity of a plane wave is as long as its energy density; that of a diffuse
    field is 0.
    """
    parts = torch.view_as_real(spectrum[:, :4])
    vector = (parts[:, :1] * parts[:, 1:]).sum(-1)
    energy = 0.5 * parts.square().sum((1, 4))
    by_band = bands @ torch.cat([vector, energy[:, None]], 1)
    blocks = avg_pool1d(by_band.flatten(0, 2)[:, None], BLOCK_FRAMES, ceil_mode=True)
    blocks = blocks.view(*by_band.shape[:3], -1)
    return blocks[:, :3].transpose(1, 2), blocks[:, 3]


def intensity_distance(
    reference: Complex[Tensor, "batch channel bin frame"],
    test: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> Float[Tensor, ""]:
    """Length of the difference of the intensity vectors divided by the energy of the reference.

    The mean is taken over bands, blocks and items. Unlike eq. 3, the distance depends on direction: it is
    2 sin(θ/2) for a plane wave moved by the angle θ, 1 for one that becomes diffuse, and |1 - g²| for one
    amplified by g. A block 40 dB below the mean of its band has half the weight, and quieter ones have less.

    Parameters
    ----------
    reference, test : complex (batch, channel, bin, frame)
        Spectra of Ambisonics (ACN, SN3D) of the first order or higher.
    bands : float (band, bin)
        See `codec.losses.bands`.

    Raises
    ------
    ValueError
        If there are fewer than four channels.
    """
    if reference.shape[1] < 4:
        raise ValueError(f"the intensity needs the channels W, Y, Z and X, but there are {reference.shape[1]}")
    with torch.no_grad():
        target, energy = intensities(reference, bands)
        mean = energy.mean(-1, keepdim=True)
        energy = energy + 1e-4 * mean + 1e-9 * mean.amax(1, keepdim=True) + 1e-12
    vector, _ = intensities(test, bands)
    return (torch.linalg.vector_norm(vector - target, dim=2) / energy).mean()
