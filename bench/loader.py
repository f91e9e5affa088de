"""Count the excerpts per second that one thread of the loader delivers, and compare with soundfile.

Files of noise are written and then read from the page cache. The following run alternately, with one thread each:
`Excerpts.draw` into memory that is reused (as torch does with pinned memory), without mixing and with half of the
excerpts mixtures of two; a plain copy of the same number of bytes in memory, which is an upper bound; and
soundfile, which opens the file, seeks, reads float32 and transposes, with and without the product with a 16 x 16
matrix per excerpt. Finally, what the device does with a draw is timed: on a CPU with one thread, and on a CUDA
device if there is one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from codec.training.excerpts import Augmentation, Excerpts
from codec.training.recordings import SignalFormat, open_recordings
from render.common.cli import parser
from render.fileio.audio_file import writer
from render.hoa.spherical_harmonics import yaw_matrix

CHANNELS, RATE_HZ, LENGTH = 16, 44_100, 220_672  # 5 s in samples, a multiple of the paper's hop


def main() -> None:
    """Write files, time all methods alternately and print medians."""
    arguments = parser(__doc__, "bench.loader")
    arguments.add_argument("--files", type=int, default=6)
    arguments.add_argument("--seconds", type=int, default=30, help="length of each file (default 30)")
    arguments.add_argument("--batch", type=int, default=24, help="excerpts per draw (default 24, the paper's)")
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        paths = [_noise(Path(name) / f"{index}.wav", index, given.seconds) for index in range(given.files)]
        methods = _methods(paths, given.batch)
        for method in methods.values():
            method(0)  # maps the files, touches the memory
        took_s: dict[str, list[float]] = {label: [] for label in methods}
        for step in range(given.rounds):
            for label, method in methods.items():
                begin = time.perf_counter()
                excerpts = method(step)
                took_s[label].append((time.perf_counter() - begin) / excerpts)
    size_mb = 2e-6 * CHANNELS * LENGTH
    print(f"{CHANNELS} channels x {LENGTH / RATE_HZ:.1f} s, {size_mb:.2f} MB per excerpt, one thread:")
    per_second = {label: 1 / statistics.median(times) for label, times in took_s.items()}
    for label, rate in per_second.items():
        print(f"  {label:44s} {rate:7.0f} excerpts/s {1e-3 * rate * size_mb:6.2f} GB/s of 16 bits")
    print(f"  draw over soundfile, float32: {per_second['draw'] / per_second['soundfile, float32']:.1f} x")


def _noise(path: Path, seed: int, seconds: int) -> Path:
    random = np.random.default_rng(seed)
    with writer(path, CHANNELS, RATE_HZ, "PCM_16") as file:
        for _ in range(seconds):
            file.write(0.05 * random.standard_normal((CHANNELS, RATE_HZ), dtype=np.float32))
    return path


def _methods(paths: list[Path], batch: int) -> dict[str, Callable[[int], int]]:
    """Methods by label; each is a function of the step and returns how many excerpts it delivered."""
    recordings = open_recordings(paths, SignalFormat(CHANNELS, RATE_HZ), -24.0)
    material = Excerpts(recordings, LENGTH, 1, Augmentation(rotate=True))
    mixing = Excerpts(recordings, LENGTH, 1, Augmentation(rotate=True, mix=0.5))
    buffer = torch.from_numpy(np.ones((2 * batch, LENGTH, CHANNELS), np.int16))
    source = np.ones((batch, LENGTH, CHANNELS), np.int16)
    drawn = material.draw(0, 4)
    few = min(batch, 4)  # for the slow methods

    def copy(_step: int) -> int:
        np.copyto(buffer.numpy()[:batch], source)
        return batch

    def draw(step: int) -> int:
        material.draw(step, batch, into=buffer)
        return batch

    def draw_mixtures(step: int) -> int:
        mixing.draw(step, batch, into=buffer)
        return batch

    def read(step: int, rotate: bool) -> int:
        random, out = np.random.default_rng(step), []
        for _ in range(few):
            with soundfile.SoundFile(paths[random.integers(len(paths))]) as file:
                file.seek(int(random.integers(file.frames - LENGTH + 1)))
                samples = file.read(LENGTH, dtype="float32", always_2d=True).T
            matrix = yaw_matrix(3, random.uniform(0, 2 * np.pi)).astype(np.float32)
            out.append(matrix @ samples if rotate else np.ascontiguousarray(samples))
        return len(torch.from_numpy(np.stack(out)))

    def realise(device: str) -> int:
        scenes = drawn.to(device)
        if device == "cuda":
            torch.cuda.synchronize()
        return len(scenes)

    methods = {
        "copy from memory to memory": copy,
        "draw": draw,
        "draw, half of them mixtures": draw_mixtures,
        "soundfile, float32": lambda step: read(step, rotate=False),
        "soundfile, float32, rotated": lambda step: read(step, rotate=True),
        "scenes of draws, CPU": lambda step: realise("cpu"),
    }
    if torch.cuda.is_available():
        methods["scenes of draws, CUDA (memory not pinned)"] = lambda step: realise("cuda")
    return methods


if __name__ == "__main__":
    main()
