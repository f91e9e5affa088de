"""Reconstruction losses, each per channel with the mean over channels, as in the paper.

Everything is computed in float32, whatever the precision of the network. Where a loss takes a signal, it also
takes the signal's `Spectra`: losses that are computed together then share its transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Literal, ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import avg_pool1d, l1_loss

from codec.losses.stft import Spectra, magnitude, spectrum
from codec.losses.stft import stft as stft
from render.dsp.erb import erb_edges_hz

# (window, mel bands) of the seven scales of the published configuration; the hop is window / 4
MEL_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
MEL_FLOOR = 1e-5
BANDS, BAND_WINDOW = 20, 2048  # of losses per band; hop 512: a transform that the mel distance makes anyway
BLOCK_FRAMES = 5  # of an intensity vector: 58 ms of hops of 512 samples at 44.1 kHz


P = ParamSpec("P")
T = TypeVar("T")


def _full_precision(loss: Callable[P, T]) -> Callable[P, T]:
    """Switch autocast off: its matrix products in half precision would decide the third digit of a loss."""

    @wraps(loss)
    def computed(*arguments: P.args, **options: P.kwargs) -> T:
        device = next(a.device for a in arguments if isinstance(a, (Tensor, Spectra)))
        with torch.autocast(device.type, enabled=False):
            return loss(*arguments, **options)

    return computed


def mel_filter_bank(sample_rate_hz: int, window: int, bands: int) -> np.ndarray:
    """Slaney's mel filter bank with area normalisation, (bands, window/2 + 1), from 0 Hz to half the rate.

    The mel scale is linear (200/3 Hz per mel) below 1 kHz and logarithmic (ln 6.4 / 27 per mel) above, as
    in Slaney's Auditory Toolbox (1998) and in librosa's default.
    """

    def to_hz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top = sample_rate_hz / 2
    top_mel = top * 3 / 200 if top < 1000 else 15 + np.log(top / 1000) * 27 / np.log(6.4)
    edges = to_hz(np.linspace(0, top_mel, bands + 2))
    bins = np.linspace(0, top, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges[2:] - edges[:-2]))[:, None]


@cache
def _mel_filters(sample_rate_hz: int, window: int, bands: int, device: torch.device) -> Tensor:
    return torch.tensor(mel_filter_bank(sample_rate_hz, window, bands), dtype=torch.float32, device=device)


@_full_precision
def log_mel(
    x: Float[Tensor, "*batch time"] | Spectra, sample_rate_hz: int, window: int, bands: int
) -> Float[Tensor, "*batch band frame"]:
    """Logarithm (base 10) of the mel magnitudes, clamped at 1e-5; hop a quarter of the window."""
    magnitudes = magnitude(spectrum(x, window, window // 4))
    filters = _mel_filters(sample_rate_hz, window, bands, magnitudes.device)
    return (magnitudes.mT @ filters.T).mT.clamp_min(MEL_FLOOR).log10()


def mel_distance(
    reference: Float[Tensor, "batch channel time"] | Spectra,
    test: Float[Tensor, "batch channel time"] | Spectra,
    sample_rate_hz: int,
    scales: tuple[tuple[int, int], ...] = MEL_SCALES,
) -> Float[Tensor, ""]:
    """Multi-scale mel distance as trained by the published codec: mean |Δ log10 mel|, summed over scales.

    Seven windows of 32..2048 samples with 5..320 bands, magnitudes clamped at 1e-5. Given fewer scales,
    the sum is scaled up to seven, so that a random subset estimates the whole.

    The distance sees the timbre of every channel and nothing between channels: it is 0 for a mirrored scene.
    """
    total = torch.zeros((), device=reference.device)
    for window, bands in scales:
        with torch.no_grad():
            target = log_mel(reference, sample_rate_hz, window, bands)
        total = total + l1_loss(log_mel(test, sample_rate_hz, window, bands), target)
    return total * (len(MEL_SCALES) / len(scales))


@_full_precision
def correlation_matrix(
    x: Float[Tensor, "batch channel time"], floor: float = 1e-8
) -> Float[Tensor, "batch channel channel"]:
    """Pearson correlation C_ij / sqrt(C_ii C_jj) between channels.

    `floor` is added to each variance before its root is taken, channel by channel: a silent channel then
    correlates with nothing and has a finite gradient, where the printed formula is 0/0.

    Raises
    ------
    ValueError
        For fewer than two samples.
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
    """Covariance loss of the paper, eq. 3: half the sum of |R_ij - R̂_ij| over all i, j; mean over items.

    It sees the spatial image as a whole. It is blind to the panning of a single plane wave and to levels.
    With the reduction "mean" the sum is divided by the n(n - 1)/2 pairs: the text of the paper speaks of an
    expectation, its formula is the sum.

    Raises
    ------
    ValueError
        For fewer than two samples.
    """
    with torch.no_grad():
        target = correlation_matrix(reference)
    distance = 0.5 * (target - correlation_matrix(test)).abs().sum((1, 2)).mean()
    channels = target.shape[1]
    return distance / max(channels * (channels - 1) / 2, 1) if reduction == "mean" else distance


def erb_bands(
    sample_rate_hz: int, window: int, bands: int, low_hz: float = 60.0, high_hz: float = 16_000.0
) -> Float[Tensor, "band bin"]:
    """Return averaging weights of STFT bins in bands equally wide on the ERB-rate scale.

    Each row is 1/width over the bins of one band, 0 elsewhere (Glasberg and Moore 1990).
    """
    edges_hz = erb_edges_hz(low_hz, min(high_hz, sample_rate_hz / 2), bands)
    edges = np.unique(np.round(edges_hz * window / sample_rate_hz))
    bins = np.arange(window // 2 + 1)
    inside = (bins >= edges[:-1, None]) & (bins < edges[1:, None])
    return torch.tensor(inside / np.diff(edges)[:, None], dtype=torch.float32)


@_full_precision
def band_covariances(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> Float[Tensor, "batch band channel channel"]:
    """Real covariance Re<X Xᴴ> between channels in each band, mean over its bins and all frames."""
    batch, channels, bins, frames = spectrum.shape
    parts = torch.view_as_real(spectrum).permute(0, 2, 1, 3, 4).reshape(batch, bins, channels, 2 * frames)
    by_bin = (parts @ parts.mT / frames).flatten(2)
    return (bands @ by_bin).unflatten(2, (channels, channels))


def band_correlations(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> Float[Tensor, "batch band channel channel"]:
    """Normalised real covariance between channels in each band, silent channels as in `correlation_matrix`."""
    covariance = band_covariances(spectrum, bands)
    power = torch.diagonal(covariance, dim1=-2, dim2=-1)
    scale = torch.rsqrt(power + 1e-9 * power.detach().amax(-1, keepdim=True) + 1e-12)
    return covariance * scale[..., :, None] * scale[..., None, :]


def band_covariance_distance(
    reference: Complex[Tensor, "batch channel bin frame"],
    test: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> Float[Tensor, ""]:
    """Eq. 3 in each band (the paper's remark that it may depend on frequency), mean over the bands.

    Broadband eq. 3 is decided below 2 kHz on real recordings; this one sees every band alike.
    """
    with torch.no_grad():
        target = band_correlations(reference, bands)
    return 0.5 * (target - band_correlations(test, bands)).abs().sum((2, 3)).mean()


def relative_covariance_distance(
    reference: Complex[Tensor, "batch channel bin frame"],
    test: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> Float[Tensor, ""]:
    """Covariance that is not normalised (the paper's other remark): Σ|C - Ĉ| / Σ|C| in each band, mean over them.

    It sees levels and the panning of a single plane wave, which eq. 3 does not. A band 60 dB below the item's
    loudest counts half, quieter ones less.
    """
    with torch.no_grad():
        target = band_covariances(reference, bands)
        size = target.abs().sum((2, 3))
        size = size + 1e-6 * size.amax(1, keepdim=True) + 1e-12
    return ((target - band_covariances(test, bands)).abs().sum((2, 3)) / size).mean()


@_full_precision
def intensities(
    spectrum: Complex[Tensor, "batch channel bin frame"],
    bands: Float[Tensor, "band bin"],
) -> tuple[Float[Tensor, "batch band axis block"], Float[Tensor, "batch band block"]]:
    """Active intensity Re{W*·(Y, Z, X)} and energy density (|W|² + |X|² + |Y|² + |Z|²)/2 of an SN3D sound field.

    Means over the bins of a band and over blocks of `BLOCK_FRAMES` frames. A plane wave has an intensity as
    long as its energy, a diffuse field none (Pulkki 2007).
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
    """Length of the difference of intensity vectors over the reference's energy; mean over bands, blocks, items.

    As in DirAC, so it sees what eq. 3 does not: a plane wave moved by the angle θ costs 2 sin(θ/2), one that
    becomes diffuse 1, one amplified by g |1 - g²|. Blocks 40 dB below the mean of their band count half, quieter
    ones less. Ambisonics of first order or higher, ACN and SN3D.

    Raises
    ------
    ValueError
        For fewer than four channels.
    """
    if reference.shape[1] < 4:
        raise ValueError(f"intensity needs the channels W, Y, Z, X; here are {reference.shape[1]}")
    with torch.no_grad():
        target, energy = intensities(reference, bands)
        mean = energy.mean(-1, keepdim=True)
        energy = energy + 1e-4 * mean + 1e-9 * mean.amax(1, keepdim=True) + 1e-12
    vector, _ = intensities(test, bands)
    return (torch.linalg.vector_norm(vector - target, dim=2) / energy).mean()


def squared_error_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Squared error Σ(x - y)² / Σx² over channels and time; mean over items.

    That of principal components is that of the channels from which they were turned, since the turn is orthogonal.
    """
    reference, test = reference.float(), test.float()
    error, energy = ((reference - test).square().sum((1, 2)), reference.square().sum((1, 2)))
    return (error / energy.clamp_min(1e-9 * reference[0].numel())).mean()


def waveform_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Squared error Σ_c w_c Σ(x_c - y_c)² / Σ_c w_c Σ x_c², w_c = 1 / rms of channel c; mean over items.

    So a channel counts by its rms: between its power, which would leave W alone, and alike, which would spend the
    rate on the weak high orders. In a channel it is the band that holds its energy which counts, and there a
    waveform that is right brings direction and correlations with it. Channels 40 dB below the loudest count less.
    """
    reference, test = reference.float(), test.float()
    power = reference.square().mean(-1)
    error = (reference - test).square().mean(-1)
    weight = (power + 1e-4 * power.amax(1, keepdim=True) + 1e-12).rsqrt()
    return ((weight * error).sum(1) / (weight * power).sum(1).clamp_min(1e-9)).mean()
