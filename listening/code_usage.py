"""How evenly a codec uses its codebooks: a perplexity of 1024 is all of 1024 codes alike, of 1 a dead codebook."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import stats

from render.errors import InputError


def code_counts(payloads: Iterable[Path]) -> Int64[ndarray, "codebook code"]:
    """Count how often each code of each codebook occurs in ``.arvq`` files of one model.

    Raises
    ------
    InputError
        If there is no file, or their codebooks differ.
    """
    from codec.stream_file import read_header, read_packets

    counts: Int64[ndarray, "codebook code"] | None = None
    for path in payloads:
        with open(path, "rb") as file:
            header = read_header(file, str(path))
            here = np.zeros((header.codebooks, 1 << header.bits_per_code), np.int64)
            for packet in read_packets(file, header, str(path)):
                for row, codes in zip(here, packet.codes, strict=True):
                    row += np.bincount(codes[codes >= 0], minlength=len(row))
        if counts is not None and counts.shape != here.shape:
            raise InputError(f"{path}: {here.shape} codebooks and codes, the files before it have {counts.shape}")
        counts = here if counts is None else counts + here
    if counts is None:
        raise InputError("no coded file to count codes in")
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
