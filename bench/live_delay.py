"""Measure the delay of ``codec.encode --low-delay | codec.decode --low-delay``, computation included.

Noise of 16 channels is written into the pipe in real time, and the decoded samples are read as they arrive. Both
commands are warmed up first. Prints how long after a sample was written its decoding arrived: at least, on average
and at most; `codec.coding.low_delay.delay_samples` says how much of it is not computation. It needs two cores
that nobody else uses.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import pairwise

import numpy as np

from codec.checkpoints.model_file import load
from codec.coding.low_delay import delay_samples
from render.common.cli import parser
from render.fileio.pcm import encode
from render.fileio.wave_stream import wave_stream_header

RATE_HZ, CHANNELS, BLOCK = 44_100, 16, 512
WARM_UP_S = 2.0


def main() -> None:
    """Run the pipe and print."""
    arguments = parser(__doc__, "bench.live_delay")
    arguments.add_argument("--seconds", type=float, default=20.0, help="measured, default 20")
    given = arguments.parse_args()
    first, second = (
        [sys.executable, "-m", f"codec.{verb}", "--low-delay", "-", "-o", "-"] for verb in ("encode", "decode")
    )
    encoder = subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    decoder = subprocess.Popen(second, stdin=encoder.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert encoder.stdin is not None
    arrived: list[tuple[int, float]] = []  # samples that have arrived, and when
    reader = threading.Thread(target=_read, args=(decoder, arrived))
    reader.start()
    random = np.random.default_rng(0)
    encoder.stdin.write(wave_stream_header(CHANNELS, RATE_HZ))
    warm = _write(encoder, random, round(WARM_UP_S * RATE_HZ / BLOCK))
    while not arrived:
        time.sleep(0.05)
    begin, blocks = time.monotonic(), round(given.seconds * RATE_HZ / BLOCK)
    for index in range(blocks):
        time.sleep(max(0.0, begin + (index + 1) * BLOCK / RATE_HZ - time.monotonic()))
        _write(encoder, random, 1)
    encoder.stdin.close()
    written_until = warm + blocks * BLOCK
    reader.join()
    delay = delay_samples(load(None)[0])
    delays = np.array(
        [
            when - (begin + (sample - warm) / RATE_HZ)
            for (sample, _), (after, when) in pairwise(arrived)
            if sample > warm + RATE_HZ and after < written_until - delay
        ]
    )
    print(f"without computation at most {delay / RATE_HZ:.3f} s; measured over {given.seconds:g} s:")
    print(
        f"of the first sample of each block {delays.min():.3f} to {delays.max():.3f} s, mean {delays.mean():.3f} s"
    )


def _write(encoder: subprocess.Popen, random: np.random.Generator, blocks: int) -> int:
    """Write blocks of noise; return the number of samples."""
    assert encoder.stdin is not None
    for _ in range(blocks):
        noise = (0.05 * random.standard_normal((CHANNELS, BLOCK))).astype(np.float32)
        encoder.stdin.write(encode(noise, "FLOAT").tobytes())
    encoder.stdin.flush()
    return blocks * BLOCK


def _read(decoder: subprocess.Popen, arrived: list[tuple[int, float]]) -> None:
    assert decoder.stdout is not None
    decoder.stdout.read(len(wave_stream_header(CHANNELS, RATE_HZ)))
    size = 0
    while data := decoder.stdout.read1(1 << 20):  # pyrefly: ignore
        size += len(data)
        arrived.append((size // (4 * CHANNELS), time.monotonic()))


if __name__ == "__main__":
    main()
