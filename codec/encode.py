"""Encode an audio file: ``python -m codec.encode IN.wav -o X.arvq``.

The default model codes third-order Ambisonics (16 channels, ACN/SN3D, 44.1 kHz) at 15.5 kbit/s.
"""

from __future__ import annotations

from pathlib import Path

from render.command import parser, progress, run


def encode_file(source: Path, target: Path, model_path: Path | None, codebooks: int | None, force: bool) -> None:
    """Encode block by block; prints the measured bit rate."""
    import numpy as np

    from codec.bitstream import PACKET_FRAMES, write_stream
    from codec.inference import encode_blocks, make_header
    from codec.weights import load
    from render.artefact import whole_file
    from render.audio_file import blocks, info

    about = info(source)
    model, digest = load(model_path)
    make_header(model, digest, about.sample_rate_hz, about.channels, about.frames, 0, codebooks, str(source))
    energy = sum(float(np.square(block[0], dtype=np.float64).sum()) for block in blocks(source))
    rms = (energy / about.frames) ** 0.5
    header = make_header(
        model, digest, about.sample_rate_hz, about.channels, about.frames, rms, codebooks, str(source)
    )
    packets = -(-header.frames // PACKET_FRAMES)
    coded = encode_blocks(model, blocks(source), header.gain, header.codebooks)
    with whole_file(target, force=force) as temporary, open(temporary, "wb") as file:
        write_stream(file, header, progress(coded, f"encoding {source.name}", packets))
    kbps = header.total_bytes * 8 / (about.frames / about.sample_rate_hz) / 1000
    print(f"{target}: {header.total_bytes} bytes, {kbps:.2f} kbit/s, {header.codebooks} codebooks")


def main() -> None:
    """Command line."""
    arguments = parser(__doc__, "codec.encode")
    arguments.add_argument("input", type=Path, metavar="IN", help="audio file (WAV, RF64, W64, CAF, FLAC)")
    arguments.add_argument("-o", "--output", type=Path, required=True, metavar="X.arvq")
    arguments.add_argument("--model", type=Path, metavar="M", help="model file (default: the shipped one)")
    arguments.add_argument("--codebooks", type=int, metavar="N", help="use the first N only (lower rate)")
    arguments.add_argument("--force", action="store_true", help="replace an existing output that differs")
    given = arguments.parse_args()
    encode_file(given.input, given.output, given.model, given.codebooks, given.force)


if __name__ == "__main__":
    run(main)
