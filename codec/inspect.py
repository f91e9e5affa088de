"""Say what an .arvq file holds: ``python -m codec.inspect X.arvq``.

Its rate on disk and what takes it, the entropy of the codes of each codebook, whether every packet is intact, and
the digests. No model is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from render.command import parser, run
from render.errors import InputError


def inspect(path: Path, where: str) -> dict[str, Any]:
    """Measure one file; a damaged header raises `CorruptStream`, damaged packets are listed."""
    import numpy as np

    from codec.bitstream import CRC, HEADER_BYTES
    from codec.stream_file import read_header, read_intact_packets
    from render.artefact import sha256

    with open(path, "rb") as file:
        header = read_header(file, where, damaged_too=True)
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
    frames = header.packet_frame_counts
    absent = sum(header.absent(count) for count in frames)
    bits = {
        "header": 8 * HEADER_BYTES,
        "crc": 8 * CRC.size * header.packets,
        "side_layers": 8 * sum(header.layer_bytes(frames) for frames in header.packet_frame_counts),
        "codes": (header.codebooks * header.frames - absent) * header.bits_per_code,
    }
    probability = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    entropy = -(probability * np.log2(np.where(probability > 0, probability, 1))).sum(1)
    return {
        "file": where,
        "sha256": sha256(path),
        "model": header.model.hex(),
        "source_crc32": f"{header.source:08x}",
        "seconds": seconds,
        "sample_rate_hz": header.sample_rate_hz,
        "channels": header.channels,
        "layout": header.layout,
        "codebooks": header.codebooks,
        "model_codebooks": header.model_codebooks,
        "gain_db": header.gain_q8_db / 256,
        "range_coded": header.range_coded,
        "packets": header.packets,
        "damaged_packets": damaged,
        "bytes": size,
        "kbps": 8 * size / seconds / 1000,
        "kbps_of": {name: value / seconds / 1000 for name, value in bits.items()},
        "kbps_saved_by_range_coding": (sum(bits.values()) - 8 * size) / seconds / 1000
        if header.range_coded
        else None,
        "entropy_bits": entropy.tolist(),
        "codes_used": (counts > 0).sum(1).tolist(),
        "frames": header.frames,
    }


def report(found: dict[str, Any]) -> str:
    """Return the table that the command prints."""
    order = f", order {round(found['channels'] ** 0.5) - 1}, ACN/SN3D" if found["layout"] == "ambiX" else ""
    lines = [
        f"{found['file']}  {found['bytes']} bytes  {found['kbps']:.3f} kbit/s  {found['seconds']:.3f} s",
        f"  {found['channels']} channels, {found['sample_rate_hz']} Hz, {found['layout'] or 'no layout'}{order}",
        f"  {found['codebooks']} of {found['model_codebooks']} codebooks, gain {found['gain_db']:+.2f} dB, "
        f"{'range-coded' if found['range_coded'] else 'packed'}, {found['packets']} packets",
        f"  model {found['model']}  source {found['source_crc32']}  SHA-256 {found['sha256']}",
        "  kbit/s: " + ", ".join(f"{name} {rate:.3f}" for name, rate in found["kbps_of"].items()),
    ]
    if found["range_coded"]:
        lines.append(f"  range coding saves {found['kbps_saved_by_range_coding']:.3f} kbit/s")
    if found["damaged_packets"]:
        lines.append(f"  DAMAGED packets: {', '.join(map(str, found['damaged_packets']))}")
    lines.append(f"  codebook  entropy/bit  codes used   ({found['frames']} frames)")
    for index, (entropy, used) in enumerate(zip(found["entropy_bits"], found["codes_used"], strict=True), start=1):
        lines.append(f"  {index:8}  {entropy:11.2f}  {used:10}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.inspect")
    arguments.add_argument("input", type=Path, nargs="+", metavar="X.arvq")
    arguments.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = arguments.parse_args()

    import json

    from codec.pipes import input_path

    found = []
    for name in given.input:
        where = "standard input" if str(name) == "-" else str(name)
        if str(name) != "-" and not name.is_file():
            raise InputError(f"{where}: no such file")
        with input_path(name) as path:
            found.append(inspect(path, where))
    print(json.dumps(found, indent=1) if given.json else "\n".join(report(one) for one in found))


if __name__ == "__main__":
    run(main)
