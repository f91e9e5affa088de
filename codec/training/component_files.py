"""Recordings as the network of a model with a spatial layer gets them, in files made once for a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.format import VERSION, packet_frame_counts
from codec.rvqgan.config import ModelConfig
from codec.side_info.spatial_layer import Layer
from codec.training.recordings import measured
from render.common.files import read_record, record_path, write_json
from render.common.progress import progress
from render.fileio.audio_file import blocks, info, writer


class ComponentFile(NamedTuple):
    """Principal components of a recording in 16 bits, and the gain that brings them to what the network gets."""

    path: Path
    gain: float


def component_files(
    recordings: list[tuple[Path, float]], config: ModelConfig, folder: Path
) -> list[ComponentFile]:
    """Make the component files of recordings, each with its gain, in `folder`; those that are there are kept."""
    layer = Layer(config)
    files = [folder / f"{path.stem}-{_digest(path, gain, config)}.wav" for path, gain in recordings]
    pairs = list(zip(recordings, files, strict=True))
    missing = [(recording, file) for recording, file in pairs if not record_path(file).is_file()]
    if missing:
        for (path, gain), file in progress(missing, "principal components of recording", len(missing)):
            _make(path, gain, config, layer, file)
    return [ComponentFile(file, float(read_record(file)["gain"])) for file in files]


def _digest(path: Path, gain: float, config: ModelConfig) -> str:
    """What the components depend on."""
    stat = path.stat()
    about = VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, gain, sorted(asdict(config).items())
    return hashlib.sha256(repr(about).encode()).hexdigest()[:12]


def _make(path: Path, gain: float, config: ModelConfig, layer: Layer, file: Path) -> None:
    """Write the components and, behind them, their record."""
    length = info(path).length
    frames = -(-length // config.hop)

    def samples() -> Iterator[Float32[ndarray, "channel time"]]:
        for block in blocks(path):
            yield block * np.float32(gain)
        yield np.zeros((config.channels, frames * config.hop - length), np.float32)

    # components may be louder than any channel: so much room that it hardly ever happens twice
    exponent = int(np.ceil(np.log2(max(2 * measured(path).peak * gain, 1.0))))
    clipped = 1
    while clipped:
        with writer(file, config.channels, config.sample_rate_hz, "PCM_16", force=True) as output:
            for packet in layer.components(samples(), packet_frame_counts(frames)):
                output.write(packet.samples * np.float32(0.5**exponent))
        clipped = output.clipped
        exponent += bool(clipped)
    write_json(record_path(file), {"source": str(path), "gain": 2.0**exponent}, force=True)
