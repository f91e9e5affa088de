"""Conversion between samples and bytes: integers of 16, 24 or 32 bits and IEEE floats, of either byte order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from render.fileio.container import SUBTYPES

if TYPE_CHECKING:
    from jaxtyping import Float32, Int32, UInt8


def encode(block: Float32[ndarray, "channel time"], subtype: str) -> UInt8[ndarray, " byte"]:
    """Convert samples to interleaved little-endian bytes; integer subtypes are rounded and clipped."""
    sample_bytes, is_float = SUBTYPES[subtype]
    if is_float:
        return np.ascontiguousarray(block.T, f"<f{sample_bytes}").reshape(-1).view(np.uint8)
    integers = rounded(block, 8 * sample_bytes).astype("<i4", copy=False).reshape(-1)
    if sample_bytes == 3:
        # Write 32-bit words every three bytes, from low to high addresses: each overwrites the high byte of its
        # predecessor. This is six times faster than selecting bytes
        packed = np.empty(3 * integers.size + 1, np.uint8)
        np.ndarray(integers.shape, "<i4", packed, 0, (3,))[:] = integers
        return packed[:-1]
    return integers.astype(f"<i{sample_bytes}", copy=False).view(np.uint8)


def rounded(block: Float32[ndarray, "channel time"], bits: int) -> Int32[ndarray, "time channel"]:
    """Round to the nearest integers of `bits` bits, clipped to the range of two's complement."""
    full_scale = 2.0 ** (bits - 1)
    # float64 for 32 bits, whose integers float32 cannot represent; scaling by a power of two is exact
    with np.errstate(over="ignore"):
        scaled = np.multiply(block.T, full_scale, dtype=np.float64 if bits == 32 else np.float32, order="C")
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -full_scale, full_scale - 1, out=scaled).astype(np.int32)


def decode(raw: UInt8[ndarray, " byte"], subtype: str, big_endian: bool) -> Float32[ndarray, " sample"]:
    """Convert the bytes ``raw[1:-1]`` to samples; a spare byte on either side allows 24-bit words to be read.

    Little-endian floats are not copied.
    """
    sample_bytes, is_float = SUBTYPES[subtype]
    count, order = (raw.size - 2) // sample_bytes, "<>"[big_endian]
    if is_float:
        with np.errstate(over="ignore", invalid="ignore"):  # reported by check_samples
            return np.ndarray((count,), f"{order}f{sample_bytes}", raw, 1).astype(np.float32, copy=False)
    if sample_bytes == 3:
        # Overlapping 32-bit words, each with a sample in its three high bytes
        integers = np.ndarray((count,), f"{order}i4", raw, int(big_endian), (3,)) & np.int32(-256)
        sample_bytes = 4
    else:
        integers = np.ndarray((count,), f"{order}i{sample_bytes}", raw, 1)
    samples = integers.astype(np.float32)
    samples *= np.float32(2.0 ** (1 - 8 * sample_bytes))
    return samples
