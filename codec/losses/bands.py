"""Frequency bands of the losses per band, of equal width on the ERB-rate scale."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.dsp.erb import erb_edges_hz

BAND_COUNT = 20
BAND_WINDOW, BAND_HOP = 2048, 512  # of the transform, in samples; the mel distance needs it anyway


def erb_bands(
    sample_rate_hz: int, window: int, bands: int, low_hz: float = 60.0, high_hz: float = 16_000.0
) -> Float[Tensor, "band bin"]:
    """Return the weights that average STFT bins in bands equally wide in ERB-rate (Glasberg and Moore 1990).

    Each row is 1/width at the bins of one band and 0 elsewhere. Bands that would have no bin are left out.
    """
    edges_hz = erb_edges_hz(low_hz, min(high_hz, sample_rate_hz / 2), bands)
    edges = np.unique(np.round(edges_hz * window / sample_rate_hz))
    bins = np.arange(window // 2 + 1)
    inside = (bins >= edges[:-1, None]) & (bins < edges[1:, None])
    return torch.tensor(inside / np.diff(edges)[:, None], dtype=torch.float32)
