"""Time the shipped model's encoder and decoder: python -m bench.shipped_path [SCENE] [--old FOLDER].

The table gives seconds of processor time and on the clock per second of audio, the medians of the rounds. With
another checkout of this repository, both code the same scene in turns, each time in a process of its own, on the
same cores, and there is the ratio old / new of each round with its range, which a loaded machine changes less than
the times. It is said whether both write the same bytes and decode the same samples (if rounds disagree, all
answers): checkouts with different bit streams or models do different work.

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
PARTS = ("encode", "decode", "front end of encode", "network of encode", "network of decode")
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
found["kbit/s"] = 8 * len(data) / duration / 1000
found["bytes"], found["samples"] = (hashlib.sha256(a).hexdigest() for a in (data, decoded.samples.tobytes()))
print(json.dumps(found))
"""


def measured(checkout: Path, scene: str, seconds: float, threads: int, cache: str | None = None) -> dict:
    """Run one round in a process of its own: [processor time, clock] for every part, rate and digests."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), **({"NUMBA_CACHE_DIR": cache} if cache else {})}
    command = [sys.executable, "-P", "-c", CHILD, scene, str(seconds), str(threads)]
    answer = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)


def sameness(old: dict, new: dict) -> str:
    """Say in words whether two checkouts give the same bytes and samples."""
    if old["bytes"] != new["bytes"]:
        return f"different bit streams: {old['kbit/s']:.2f} kbit/s before, {new['kbit/s']:.2f} kbit/s now"
    return "same bytes, " + ("same samples" if old["samples"] == new["samples"] else "different samples")


def main() -> None:
    """Measure in turns and print the table."""
    arguments = argparse.ArgumentParser("bench.shipped_path", description=__doc__)
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("scene", nargs="?", default="noise", help="third-order ambiX, repeated to --seconds")
    arguments.add_argument("--old", type=Path, metavar="FOLDER", help="another checkout to compare with")
    arguments.add_argument("--seconds", type=float, default=16.5)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    scene = given.scene if given.scene == "noise" else str(Path(given.scene).resolve())
    checkouts = {"old": given.old.resolve()} if given.old else {}
    checkouts["new"] = ROOT

    first = {}
    for name, checkout in checkouts.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (measured(checkout, scene, 3.0, given.threads, cache)["first call"][0] for _ in range(2))
        first[name] = f"{cold - warm:.1f} s"
    rounds = []
    for number in range(given.rounds):
        print(f"round {number + 1}/{given.rounds}", file=sys.stderr, flush=True)
        rounds.append({n: measured(c, scene, given.seconds, given.threads) for n, c in checkouts.items()})

    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{given.seconds:g} s, {given.threads} threads, {os.cpu_count()} cores, load {load}; seconds per second")
    columns = f"{'old/new':>9}{'range':>14}" if given.old else ""
    print(f"{'':22}{'processor time':>16}{columns}{'clock':>18}{columns}")
    for part in PARTS:
        row = f"{part:22}"
        for kind in range(2):
            times = {name: [each[name][part][kind] for each in rounds] for name in checkouts}
            medians = " ".join(f"{statistics.median(values):.3f}" for values in times.values())
            row += f"{medians:>{16 + 2 * kind}}"
            if given.old:
                ratios = [a / b for a, b in zip(times["old"], times["new"], strict=True)]
                row += f"{statistics.median(ratios):9.2f}{f'{min(ratios):.2f} to {max(ratios):.2f}':>14}"
        print(row)
    print(f"compiling at the first call: {', '.join(first.values())}")
    if given.old:
        print("; ".join(sorted({sameness(each["old"], each["new"]) for each in rounds})))


if __name__ == "__main__":
    main()
