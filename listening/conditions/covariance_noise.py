"""Covariance-matched noise: what a scene is without any of its waveform.

Gaussian noise with the short-time covariance of the reference in bands of the ear's width: right levels,
timbre, directions and diffuseness every 46 ms, and nothing of the signal. An oracle, no codec: a codec whose
objective measures are worse than these is beaten by noise shaping.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Complex, Int
from numpy import ndarray

from render.dsp.erb import erb_edges_hz
from render.hoa.scene import Scene

WINDOW = 1024
BANDS = 24
FRAMES = 4  # over which a covariance is taken: 46 ms at 44.1 kHz
_CHUNK = 64  # covariances at a time


def covariance_noise(scene: Scene, seed: int = 1) -> Scene:
    """Replace a scene by Gaussian noise with its covariance per block of frames and ERB band.

    Parameters
    ----------
    scene : Scene
    seed : int
        Of the noise (Philox).

    Returns
    -------
    Scene
        Of the same length; with the same expected covariance matrix (real part) in each of 24 bands, equally
        wide on the ERB-number scale (Moore and Glasberg 1996), in every block of four frames.
    """
    hop = WINDOW // 2
    frames = scene.length
    blocks = -(-(-(-frames // hop) + 1) // FRAMES)
    window = np.sqrt(np.hanning(WINDOW + 1)[:WINDOW])
    padded = np.pad(scene.samples, ((0, 0), (hop, blocks * FRAMES * hop - frames))).astype(np.float32)
    made = np.zeros(padded.shape)
    random = np.random.Generator(np.random.Philox(key=seed))
    edges = band_edges(scene.sample_rate_hz)
    for first in range(0, blocks * FRAMES, _CHUNK * FRAMES):
        last = min(first + _CHUNK * FRAMES, blocks * FRAMES)
        cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, first * hop : last * hop : hop]
        noise = _noise_like(np.fft.rfft(cut * window), edges, random)
        # A frame of noise fills its window evenly, where the analysed one was under the window: twice the power
        frames_out = np.sqrt(2) * np.fft.irfft(noise, WINDOW) * window
        for index in range(frames_out.shape[1]):
            begin = (first + index) * hop
            made[:, begin : begin + WINDOW] += frames_out[:, index]
    return Scene(made[:, hop : hop + frames].astype(np.float32), scene.sample_rate_hz)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bins of the bands, and the end of the last, equally wide on the ERB-rate scale."""
    edges = np.round(erb_edges_hz(0.0, sample_rate_hz / 2, BANDS) / sample_rate_hz * WINDOW).astype(int)
    edges[-1] = WINDOW // 2 + 1
    return np.unique(edges)  # at low frequencies a band may be narrower than a bin


def _noise_like(
    spectra: Complex[ndarray, "acn frame bin"], edges: Int[ndarray, " edge"], random: np.random.Generator
) -> Complex[ndarray, "acn frame bin"]:
    channels, frames, _ = spectra.shape
    result = np.empty_like(spectra)
    for low, high in pairwise(edges):
        band = spectra[..., low:high].reshape(channels, frames // FRAMES, -1).transpose(1, 0, 2)
        covariance = (band @ band.conj().transpose(0, 2, 1)).real / band.shape[2]
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
        noise = random.standard_normal((2, *band.shape)) / np.sqrt(2)
        filled = root @ (noise[0] + 1j * noise[1])
        result[..., low:high] = filled.transpose(1, 0, 2).reshape(channels, frames, high - low)
    return result
