"""Recordings as a network sees them that codes their principal components, in files that are made once per run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.format import VERSION
from codec.bitstream.sizes import packet_frame_counts
from codec.coding.front_end import FrontEnd, front_end_of
from codec.rvqgan.config import ModelConfig
from codec.training.recordings import Int16Samples, NormalisedRecording
from render.common.files import read_record, record_path, write_json
from render.common.progress import progress
from render.fileio.audio_file import blocks, writer


def component_files(
    recordings: list[NormalisedRecording], config: ModelConfig, folder: Path
) -> list[NormalisedRecording]:
    """Write the principal components of recordings to `folder` as 16-bit files; existing files are kept.

    Returns
    -------
    list of NormalisedRecording
        The component files, in the order of `recordings`. Their gains restore the level that the components have
        at the network's input.
    """
    front_end = front_end_of(config)
    files = [folder / f"{recording.path.stem}-{_digest(recording, config)}.wav" for recording in recordings]
    missing = [
        (recording, file)
        for recording, file in zip(recordings, files, strict=True)
        if not record_path(file).is_file()
    ]
    if missing:
        for recording, file in progress(missing, "principal components of recording", len(missing)):
            _write_components(recording, config, front_end, file)
    return [NormalisedRecording(Int16Samples(file), float(read_record(file)["gain"]), 1.0) for file in files]


def _digest(recording: NormalisedRecording, config: ModelConfig) -> str:
    """Return a digest of everything that the components depend on."""
    path, stat = recording.path, recording.path.stat()
    about = (
        VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, recording.gain,
        sorted(asdict(config).items()),
    )  # fmt: skip
    return hashlib.sha256(repr(about).encode()).hexdigest()[:12]


def _write_components(
    recording: NormalisedRecording, config: ModelConfig, front_end: FrontEnd, file: Path
) -> None:
    """Write the components and, last, their record, which marks the file as complete."""
    frames = -(-recording.length // config.hop)

    def samples() -> Iterator[Float32[ndarray, "channel time"]]:
        for block in blocks(recording.path):
            yield block * np.float32(recording.gain)
        yield np.zeros((config.channels, frames * config.hop - recording.length), np.float32)

    # Components may be louder than any channel. With this much headroom a second attempt is hardly ever needed.
    exponent = int(np.ceil(np.log2(max(2 * recording.peak * recording.gain, 1.0))))
    clipped = 1
    while clipped:
        with writer(file, config.channels, config.sample_rate_hz, "PCM_16", force=True) as output:
            for packet in front_end.forward(samples(), packet_frame_counts(frames)):
                output.write(packet.samples * np.float32(0.5**exponent))
        clipped = output.clipped
        exponent += bool(clipped)
    write_json(record_path(file), {"source": str(recording.path), "gain": 2.0**exponent}, force=True)
