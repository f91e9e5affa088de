"""How evenly a codec uses its codebooks: a perplexity of 1024 is all of 1024 codes alike, of 1 a dead codebook."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import stats

from codec.coding.pipeline import make_header, network_input, summarise
from codec.rvqgan.codec import RVQGAN
from codec.streaming.stream_codec import StreamEncoder
from render.hoa.scene import Scene


def code_counts(model: RVQGAN, scenes: Iterable[Scene]) -> Int64[ndarray, "codebook code"]:
    """Count how often the encoder takes each code of each codebook.

    All of them count, also those that give way to the side information in a file with all codebooks.
    """
    counts = np.zeros((model.config.codebooks, model.config.codebook_size), np.int64)
    for scene in scenes:
        encoder, header = StreamEncoder(model), make_header(model, bytes(8), summarise([scene.samples]))
        parts = [encoder.push(part.samples) for part in network_input(model, header, [scene.samples])]
        for codes in (*parts, encoder.finish()):
            for row, found in zip(counts, codes, strict=True):
                row += np.bincount(found, minlength=len(row))
    return counts


def perplexity(counts: Int64[ndarray, "codebook code"]) -> Float64[ndarray, " codebook"]:
    """2^H of the codes of each codebook, H being their entropy in bits."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.exp2(-(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1))


def uniform_perplexity(frames: int, codes: int) -> float:
    """What a codebook that is used evenly reads after so many frames: few frames cannot show many codes.

    2^E[H] with E[H] = -K Σ_n B(n; N, 1/K) n/N log2(n/N), the mean entropy of N independent uniform draws.
    """
    n = np.arange(1, frames + 1)
    share = n / frames
    return float(np.exp2(-codes * (stats.binom.pmf(n, frames, 1 / codes) * share * np.log2(share)).sum()))
