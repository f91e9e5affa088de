"""Training losses, each per channel with the mean over channels, as in the paper.

Everything is computed in float32, whatever the precision of the network.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

# (window, mel bands) of the seven scales of the published configuration; the hop is window / 4
MEL_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
MEL_FLOOR = 1e-5


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


@cache
def _hann(window: int, device: torch.device) -> Tensor:
    return torch.hann_window(window, device=device)


def stft(x: Float[Tensor, "*batch time"], window: int, hop: int) -> Complex[Tensor, "*batch bin frame"]:
    """Short-time Fourier transform: periodic Hann window, centred, reflected edges, not normalised."""
    flat = x.float().reshape(-1, x.shape[-1])
    spectrum = torch.stft(flat, window, hop, window=_hann(window, x.device), center=True, return_complex=True)
    return spectrum.view(*x.shape[:-1], *spectrum.shape[-2:])


def log_mel(
    x: Float[Tensor, "*batch time"], sample_rate_hz: int, window: int, bands: int
) -> Float[Tensor, "*batch band frame"]:
    """Logarithm (base 10) of the mel magnitudes, clamped at 1e-5."""
    spectrum = stft(x, window, window // 4)
    # |X| with a finite gradient at 0; 1e-12 lies far below the floor
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-12)
    return (_mel_filters(sample_rate_hz, window, bands, x.device) @ magnitude).clamp_min(MEL_FLOOR).log10()


def mel_distance(
    reference: Float[Tensor, "batch channel time"],
    test: Float[Tensor, "batch channel time"],
    sample_rate_hz: int,
    scales: tuple[tuple[int, int], ...] = MEL_SCALES,
) -> Float[Tensor, ""]:
    """Multi-scale mel distance as trained by the published codec: mean |Δ log10 mel|, summed over scales.

    Seven windows of 32..2048 samples with 5..320 bands, magnitudes clamped at 1e-5. Given fewer scales,
    the sum is scaled up to seven, so that a random subset estimates the whole.

    The distance sees the timbre of every channel and nothing between channels: it is 0 for a mirrored scene.
    """
    total = reference.new_zeros((), dtype=torch.float32)
    for window, bands in scales:
        with torch.no_grad():
            target = log_mel(reference, sample_rate_hz, window, bands)
        total = total + (log_mel(test, sample_rate_hz, window, bands) - target).abs().mean()
    return total * (len(MEL_SCALES) / len(scales))


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
    with torch.autocast(x.device.type, enabled=False):
        centred = x.float() - x.float().mean(-1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(-1) + floor)
        covariance = centred @ centred.transpose(1, 2) / x.shape[-1]
        return covariance * scale[:, :, None] * scale[:, None, :]


def covariance_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Covariance loss of the paper, eq. 3: half the sum of |R_ij - R̂_ij| over all i, j; mean over items.

    It sees the spatial image as a whole. It is blind to the panning of a single plane wave and to levels.
    """
    difference = correlation_matrix(reference) - correlation_matrix(test)
    return 0.5 * difference.abs().sum((1, 2)).mean()


def erb_bands(
    sample_rate_hz: int, window: int, bands: int, low_hz: float = 60.0, high_hz: float = 16_000.0
) -> Float[Tensor, "band bin"]:
    """Return averaging weights of STFT bins in bands equally wide on the ERB-rate scale.

    Each row is 1/width over the bins of one band, 0 elsewhere (Glasberg and Moore 1990).
    """
    low, high = (21.4 * np.log10(1 + 0.00437 * f) for f in (low_hz, min(high_hz, sample_rate_hz / 2)))
    edges_hz = (10 ** (np.linspace(low, high, bands + 1) / 21.4) - 1) / 0.00437
    edges = np.unique(np.round(edges_hz * window / sample_rate_hz))
    bins = np.arange(window // 2 + 1)
    inside = (bins >= edges[:-1, None]) & (bins < edges[1:, None])
    return torch.tensor(inside / np.diff(edges)[:, None], dtype=torch.float32)


def band_correlations(
    spectrum: Complex[Tensor, "batch channel bin frame"], bands: Float[Tensor, "band bin"]
) -> Float[Tensor, "batch band channel channel"]:
    """Normalised real covariance between channels in each band, silent channels as in `correlation_matrix`."""
    batch, channels, bins, frames = spectrum.shape
    parts = torch.view_as_real(spectrum).permute(0, 2, 1, 3, 4).reshape(batch, bins, channels, 2 * frames)
    by_bin = (parts @ parts.mT / frames).flatten(2)
    covariance = (bands @ by_bin).unflatten(2, (channels, channels))
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


def waveform_distance(
    reference: Float[Tensor, "batch channel time"], test: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Relative squared error Σ(x - y)² / Σx², mean over channels and items.

    Every channel counts alike, and in it the band that holds its energy: the one that decides eq. 3.
    A waveform that is right there brings the correlations with it. Channels 40 dB below the loudest
    count less.
    """
    power = reference.square().mean(-1)
    error = (reference - test).square().mean(-1)
    return (error / (power + 1e-4 * power.amax(1, keepdim=True) + 1e-12)).mean()
