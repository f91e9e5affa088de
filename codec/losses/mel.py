"""Multi-scale mel distance of the published codec (Kumar et al. 2023, section 3.5)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import l1_loss

from codec.losses.stft import Spectra, full_precision, magnitude, spectrum

# (window in samples, mel bands) of the seven scales of the published configuration; the hop is window / 4
MEL_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
MEL_FLOOR = 1e-5


def mel_filter_bank(sample_rate_hz: int, window: int, bands: int) -> np.ndarray:
    """Return Slaney's mel filter bank with area normalisation, (bands, window/2 + 1), from 0 Hz to half the rate.

    The mel scale is linear below 1 kHz (200/3 Hz per mel) and logarithmic above (ln 6.4 / 27 per mel), as in
    Slaney's Auditory Toolbox (1998) and by default in librosa.
    """

    def to_hz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    top_hz = sample_rate_hz / 2
    top_mel = top_hz * 3 / 200 if top_hz < 1000 else 15 + np.log(top_hz / 1000) * 27 / np.log(6.4)
    edges = to_hz(np.linspace(0, top_mel, bands + 2))
    bins = np.linspace(0, top_hz, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges[2:] - edges[:-2]))[:, None]


@cache
def _mel_filters(sample_rate_hz: int, window: int, bands: int, device: torch.device) -> Tensor:
    return torch.tensor(mel_filter_bank(sample_rate_hz, window, bands), dtype=torch.float32, device=device)


@full_precision
def log_mel(
    x: Float[Tensor, "*batch time"] | Spectra, sample_rate_hz: int, window: int, bands: int
) -> Float[Tensor, "*batch band frame"]:
    """Return log10 of the mel magnitudes, clamped at 1e-5; the hop is a quarter of the window."""
    magnitudes = magnitude(spectrum(x, window, window // 4))
    filters = _mel_filters(sample_rate_hz, window, bands, magnitudes.device)
    return (magnitudes.mT @ filters.T).mT.clamp_min(MEL_FLOOR).log10()


def mel_distance(
    reference: Float[Tensor, "batch channel time"] | Spectra,
    test: Float[Tensor, "batch channel time"] | Spectra,
    sample_rate_hz: int,
    scales: tuple[tuple[int, int], ...] = MEL_SCALES,
) -> Float[Tensor, ""]:
    """Mean absolute difference of the log-mel spectra of each scale, summed over the scales.

    It compares the timbre of every channel, but nothing between channels: it is 0 for a mirrored scene. With a
    subset of the scales the sum is multiplied by 7 / len(scales), so that a random subset estimates the whole.
    """
    total = torch.zeros((), device=reference.device)
    for window, bands in scales:
        with torch.no_grad():
            target = log_mel(reference, sample_rate_hz, window, bands)
        total = total + l1_loss(log_mel(test, sample_rate_hz, window, bands), target)
    return total * (len(MEL_SCALES) / len(scales))
