"""Recordings as a network sees them that codes their principal components, in files that are made once per run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.format import VERSION
from codec.bitstream.sizes import STANDARD, packet_frame_counts
from codec.coding.front_end import front_end_of, usual_coefficient_units
from codec.rvqgan.config import ModelConfig
from codec.training.recordings import Int16Samples, NormalisedRecording
from render.common.files import read_record, record_path, write_json
from render.common.parallel import in_parallel
from render.common.progress import progress
from render.fileio.audio_file import blocks, info, writer

WORKER_S = 120.0  # of audio that are worth another process, which needs seconds to start


def training_units(config: ModelConfig, count: int) -> list[int]:
    """Coefficient units with which each of so many recordings passes the front end.

    A network is trained for what coefficients leave to it. Every fourth recording keeps what they would take,
    since streams without coefficients need that, too.
    """
    return [0 if index % 4 == 3 else usual_coefficient_units(config) for index in range(count)]


def component_files(
    recordings: list[NormalisedRecording], units: list[int], config: ModelConfig, folder: Path
) -> list[NormalisedRecording]:
    """Write the principal components of recordings to `folder` as 16-bit files; existing files are kept.

    Parameters
    ----------
    recordings : list of NormalisedRecording
    units : list of int
        Coefficient units of each, `training_units`.
    config : ModelConfig
    folder : Path

    Returns
    -------
    list of NormalisedRecording
        The component files, in the order of `recordings`. Their gains restore the level that the components have
        at the network's input.
    """
    files = [
        folder / f"{recording.path.stem}-{_digest(recording, config, own)}.wav"
        for recording, own in zip(recordings, units, strict=True)
    ]
    missing = [
        (recording, own, file)
        for recording, own, file in zip(recordings, units, files, strict=True)
        if not record_path(file).is_file()
    ]
    if missing:
        jobs = {file: (r.path, r.gain, r.peak, config, own, file) for r, own, file in missing}
        workers = _workers(sum(r.length for r, _, _ in missing) / config.sample_rate_hz)
        written = in_parallel(_write_components, jobs, workers) if workers > 1 else _one_by_one(jobs)
        for _ in progress(written, "principal components of recording", len(jobs)):
            pass
    return [NormalisedRecording(Int16Samples(file), float(read_record(file)["gain"]), 1.0) for file in files]


def _digest(recording: NormalisedRecording, config: ModelConfig, units: int) -> str:
    """Return a digest of everything that the components depend on."""
    path, stat = recording.path, recording.path.stat()
    about = (
        VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, recording.gain,
        sorted(asdict(config).items()), units,
    )  # fmt: skip
    return hashlib.sha256(repr(about).encode()).hexdigest()[:12]


def _workers(seconds: float) -> int:
    """Return how many processes are worth their start; those of torchrun share the cores."""
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return min(cores, int(seconds / WORKER_S))


def _one_by_one(jobs: dict[Path, tuple]) -> Iterator[None]:
    for arguments in jobs.values():
        yield _write_components(*arguments)


def _write_components(path: Path, gain: float, peak: float, config: ModelConfig, units: int, file: Path) -> None:
    """Write the components and, last, their record, which marks the file as complete."""
    length, front_end = info(path).length, front_end_of(config, STANDARD, units)
    frames = -(-length // config.hop)

    def samples() -> Iterator[Float32[ndarray, "channel time"]]:
        for block in blocks(path):
            yield block * np.float32(gain)
        yield np.zeros((config.channels, frames * config.hop - length), np.float32)

    # Components may be louder than any channel. With this much headroom a second attempt is hardly ever needed.
    exponent = int(np.ceil(np.log2(max(2 * peak * gain, 1.0))))
    clipped = 1
    while clipped:
        with writer(file, config.channels, config.sample_rate_hz, "PCM_16", force=True) as output:
            for packet in front_end.forward(samples(), packet_frame_counts(frames)):
                output.write(packet.samples * np.float32(0.5**exponent))
        clipped = output.clipped
        exponent += bool(clipped)
    write_json(record_path(file), {"source": str(path), "gain": 2.0**exponent}, force=True)
