"""Compare the shipped model's encoder and decoder in two checkouts: python -m bench.shipped_path OLD [SCENE].

OLD is the folder of another checkout of this repository. Both code the same scene in turns, each time in a process
of its own, on the same cores. The table gives seconds of processor time and on the clock per second of audio, the
medians of the rounds, and the ratio old / new of each round with its range, which a loaded machine changes less
than the times. Both must write the same bytes and decode the same samples, or else the command fails.

The parts show where the time goes: the front end (side information, principal components) and the network. The
last line is the processor time of coding a second of audio with no compiled functions kept, less that with them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
# runs in either checkout, so it uses only what both have
CHILD = """
import hashlib, json, sys, time
import numpy as np, torch
from pathlib import Path
from codec.checkpoints.model_file import load
from codec.coding import pipeline
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder
from render.fileio.scene_file import scene_blocks
from render.hoa.scene import Scene

path, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
model, digest = load(None, "cpu")
rate = model.config.sample_rate_hz
if path == "noise":
    x = 0.05 * np.random.default_rng(0).standard_normal((16, int(seconds * rate)), np.float32)
else:
    x = np.concatenate(list(scene_blocks(Path(path))), 1)
    x = np.tile(x, max(1, -(-int(seconds * rate) // x.shape[1])))[:, : int(seconds * rate)]
duration = x.shape[1] / rate

def timed(function):
    cpu, clock = time.process_time(), time.perf_counter()
    result = function()
    return result, [(time.process_time() - cpu) / duration, (time.perf_counter() - clock) / duration]

def first_call():
    return pipeline.decode(model, digest, pipeline.encode(model, digest, Scene(x[:, :rate], rate)))

found = {"first call": [t * duration for t in timed(first_call)[1]]}
data, found["encode"] = timed(lambda: pipeline.encode(model, digest, Scene(x, rate)))
decoded, found["decode"] = timed(lambda: pipeline.decode(model, digest, data))
header = pipeline.make_header(model, digest, pipeline.summarise([x]))
packets, found["front end of encode"] = timed(lambda: list(pipeline.network_input(model, header, [x])))

def network_encode():
    encoder = StreamEncoder(model)
    return np.concatenate([*(encoder.push(p.samples) for p in packets), encoder.finish()], 1)

def network_decode():
    decoder = StreamDecoder(model)
    return [*(decoder.push(codes[:, i : i + 256]) for i in range(0, codes.shape[1], 256)), decoder.finish()]

codes, found["network of encode"] = timed(network_encode)
_, found["network of decode"] = timed(network_decode)
found["digest"] = hashlib.sha256(data + decoded.samples.tobytes()).hexdigest()
print(json.dumps(found))
"""


def measured(checkout: Path, scene: str, seconds: float, threads: int, cache: str | None = None) -> dict:
    """Run one round in a process of its own: [processor time, clock] for every part, and the digest."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), **({"NUMBA_CACHE_DIR": cache} if cache else {})}
    command = [sys.executable, "-P", "-c", CHILD, scene, str(seconds), str(threads)]
    answer = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


def main() -> None:
    """Measure in turns and print the table."""
    arguments = argparse.ArgumentParser("bench.shipped_path", description=__doc__)
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("old", type=Path, metavar="OLD", help="folder of the other checkout")
    arguments.add_argument("scene", nargs="?", default="noise", help="third-order ambiX, repeated to --seconds")
    arguments.add_argument("--seconds", type=float, default=16.5)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    scene = given.scene if given.scene == "noise" else str(Path(given.scene).resolve())
    checkouts = {"old": given.old.resolve(), "new": ROOT}

    first = {}
    for name, checkout in checkouts.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (measured(checkout, scene, 3.0, given.threads, cache)["first call"][0] for _ in range(2))
        first[name] = cold - warm
    rounds = []
    for number in range(given.rounds):
        print(f"round {number + 1}/{given.rounds}", file=sys.stderr, flush=True)
        both = {n: measured(c, scene, given.seconds, given.threads) for n, c in checkouts.items()}
        if both["old"].pop("digest") != both["new"].pop("digest"):
            raise SystemExit("the two checkouts do not give the same bytes and samples")
        rounds.append(both)

    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{given.seconds:g} s, {given.threads} threads, {os.cpu_count()} cores, load {load}; seconds per second")
    print(f"{'':22}{'processor time':>16}{'old/new':>9}{'range':>14}{'clock':>18}{'old/new':>9}{'range':>14}")
    for part in rounds[0]["old"]:
        if part == "first call":
            continue
        row = f"{part:22}"
        for kind in range(2):
            old, new = ([each[name][part][kind] for each in rounds] for name in ("old", "new"))
            ratios = [a / b for a, b in zip(old, new, strict=True)]
            times = f"{statistics.median(old):.3f} {statistics.median(new):.3f}"
            row += f"{times:>16}{statistics.median(ratios):9.2f}{f'{min(ratios):.2f} to {max(ratios):.2f}':>14}"
        print(row)
    print(f"compiling at the first call: {first['old']:.1f} s before, {first['new']:.1f} s now")
    print("same bytes, same samples")


if __name__ == "__main__":
    main()
