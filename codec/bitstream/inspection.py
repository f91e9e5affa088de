"""Measure what an ``.arvq`` file holds: rates, entropies of the codes, damage. No model is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from codec.bitstream.file import read_header, read_intact_packets
from codec.bitstream.format import CRC, HEADER_BYTES, TRAILER_BYTES
from codec.bitstream.rates import rates_text, reachable_kbps, replaced_text
from codec.bitstream.sizes import coefficient_bytes
from render.common.files import sha256


def inspect(path: Path, where: str) -> dict[str, Any]:
    """Measure one file; damaged packets are listed.

    Parameters
    ----------
    path : Path
    where : str
        Name of the file in the result and in error messages.

    Returns
    -------
    dict
        JSON values: the fields of the header, the size of the file, the bit rate in kbit/s and what takes it, and
        the entropy in bits and the number of used codes of each codebook.

    Raises
    ------
    CorruptStream
        If the header is damaged, or less than 1/16 of the file is there.
    """
    with open(path, "rb") as file:
        header = read_header(file, where, allow_damage=True)
        size = file.seek(0, 2)
        counts = np.zeros((header.codebooks, 1 << header.bits_per_code), np.int64)
        damaged = []
        for index, packet in enumerate(read_intact_packets(file, header)):
            if packet is None:
                damaged.append(index)
                continue
            for row, codes in zip(counts, packet.codes, strict=True):
                row += np.bincount(codes[codes >= 0], minlength=len(row))
    seconds = header.length / header.sample_rate_hz
    frame_counts = header.packet_frame_counts
    absent = sum(header.absent_codes(frames) for frames in frame_counts)
    side_info = sum(header.side_info_bytes(frames) for frames in frame_counts)
    envelope = sum(header.envelope_bytes(frames) for frames in frame_counts)
    coefficients = sum(coefficient_bytes(header.coefficient_units, frames) for frames in frame_counts)
    bits = {
        "header": 8 * (HEADER_BYTES + TRAILER_BYTES * header.low_delay),
        "crc": 8 * CRC.size * header.packets,
        "side_layers": 8 * (side_info - envelope - coefficients),
        "envelope": 8 * envelope,
        "coefficients": 8 * coefficients,
        "codes": (header.codebooks * header.frames - absent) * header.bits_per_code,
    }
    probability = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    entropy = -(probability * np.log2(np.where(probability > 0, probability, 1))).sum(1)
    return {
        "file": where,
        "sha256": sha256(path),
        "model": header.model.hex(),
        "source_crc32": f"{header.source_crc32:08x}",
        "seconds": seconds,
        "sample_rate_hz": header.sample_rate_hz,
        "original_sample_rate_hz": header.original_rate_hz,
        "original_length": header.original_length,
        "original_order": header.origin.order or None,
        "channels": header.channels,
        "layout": header.layout,
        "codebooks": header.codebooks,
        "model_codebooks": header.model_codebooks,
        "gain_db": header.gain_q8_db / 256,
        "range_coded": header.range_coded,
        "low_delay": header.low_delay,
        "packets": header.packets,
        "damaged_packets": damaged,
        "bytes": size,
        "kbps": 8 * size / seconds / 1000,
        "kbps_of": {name: value / seconds / 1000 for name, value in bits.items()},
        "kbps_saved_by_range_coding": (sum(bits.values()) - 8 * size) / seconds / 1000
        if header.range_coded
        else None,
        "reachable_kbps": list(reachable_kbps(header).values()),
        "reachable": rates_text(header),
        "replaced": replaced_text(header),
        "entropy_bits": entropy.tolist(),
        "codes_used": (counts > 0).sum(1).tolist(),
        "frames": header.frames,
    }
