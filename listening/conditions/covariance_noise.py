"""``cov_noise``: Gaussian noise with the short-time covariance of the reference, without any of its waveform.

Levels, timbre, directions and diffuseness are right in every ERB-wide band every 46 ms; nothing else of the signal
is kept. It is an oracle and not a codec: a codec whose objective measures are worse than these gains nothing over
noise that is shaped in time, frequency and space.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Complex, Int
from numpy import ndarray

from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from render.dsp.erb import erb_edges_hz
from render.hoa.scene import Scene

WINDOW = 1024
BANDS = 24
BLOCK_FRAMES = 4  # STFT frames that share a covariance matrix: 46 ms at 44.1 kHz
SEED = 1
_CHUNK_BLOCKS = 64  # blocks processed at a time, which bounds the memory


def covariance_noise(scene: Scene, seed: int = SEED) -> Scene:
    """Replace a scene by Gaussian noise with its covariance in every block of frames and every ERB band.

    Parameters
    ----------
    scene : Scene
    seed : int
        Seed of the noise (Philox).

    Returns
    -------
    Scene
        Has the same length, and the same expected covariance matrix (real part) in every block of four STFT frames
        and each of 24 bands, which are equally wide on the ERB-number scale (Moore and Glasberg 1996).
    """
    hop = WINDOW // 2
    length = scene.length
    blocks = -(-(-(-length // hop) + 1) // BLOCK_FRAMES)
    window = np.sqrt(np.hanning(WINDOW + 1)[:WINDOW])
    padded = np.pad(scene.samples, ((0, 0), (hop, blocks * BLOCK_FRAMES * hop - length))).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::hop]
    output = np.zeros(padded.shape)
    random = np.random.Generator(np.random.Philox(key=seed))
    edges = band_edges(scene.sample_rate_hz)
    for first in range(0, blocks * BLOCK_FRAMES, _CHUNK_BLOCKS * BLOCK_FRAMES):
        last = min(first + _CHUNK_BLOCKS * BLOCK_FRAMES, blocks * BLOCK_FRAMES)
        noise = _noise_like(np.fft.rfft(frames[:, first:last] * window), edges, random)
        # The analysed frame was windowed, the frame of noise fills its window evenly; √2 restores the power
        synthesised = np.sqrt(2) * np.fft.irfft(noise, WINDOW) * window
        for index in range(synthesised.shape[1]):
            begin = (first + index) * hop
            output[:, begin : begin + WINDOW] += synthesised[:, index]
    return Scene(output[:, hop : hop + length].astype(np.float32), scene.sample_rate_hz)


def band_edges(sample_rate_hz: int) -> Int[ndarray, " edge"]:
    """First bin of each band, and the end of the last; equally wide on the ERB-number scale."""
    edges = np.round(erb_edges_hz(0.0, sample_rate_hz / 2, BANDS) / sample_rate_hz * WINDOW).astype(int)
    edges[-1] = WINDOW // 2 + 1
    return np.unique(edges)  # at low frequencies a band may be narrower than a bin


def _noise_like(
    spectra: Complex[ndarray, "acn frame bin"], edges: Int[ndarray, " edge"], random: np.random.Generator
) -> Complex[ndarray, "acn frame bin"]:
    """Gaussian spectra with the covariance of `spectra`, band by band and block by block."""
    channels, frames, _ = spectra.shape
    result = np.empty_like(spectra)
    for low, high in pairwise(edges):
        band = spectra[..., low:high].reshape(channels, frames // BLOCK_FRAMES, -1).transpose(1, 0, 2)
        covariance = (band @ band.conj().transpose(0, 2, 1)).real / band.shape[2]
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
        noise = random.standard_normal((2, *band.shape)) / np.sqrt(2)
        filled = root @ (noise[0] + 1j * noise[1])
        result[..., low:high] = filled.transpose(1, 0, 2).reshape(channels, frames, high - low)
    return result


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that replaces a scene by noise, with a fixed seed."""
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: Rendition(covariance_noise(scene, SEED)),
        {"seed": SEED},
        ExpectedProperties(follows_waveform=False),
    )


KIND = ConditionKind(create, (IdForm("cov_noise"),))
