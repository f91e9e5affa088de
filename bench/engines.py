"""Build one plan on every engine and compare what they wrote: python -m bench.engines [--seconds 10].

Two diffuse scenes pass the demo plan (hidden reference, anchor, Opus, codec) on local processes, on a dask cluster
of this machine, and through submitit's local executor, which writes the scripts and pickles that SLURM would get.
Every audio file and every payload must have the same SHA-256 on all of them, or else the command fails.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from listening.stimulus_build import executors, plan_builder
from listening.stimulus_build.executors import Engine, SubmititExecutor
from listening.test_design.items import named_files
from listening.test_design.test_plan import load_plan
from render.fileio.audio_file import write_scene
from render.hoa.scene import Scene


def scenes(folder: Path, seconds: float) -> list[str]:
    """Write two diffuse scenes in SN3D and return their paths."""
    paths = []
    order = np.floor(np.sqrt(np.arange(16)))
    for seed in range(2):
        noise = 0.05 * np.random.default_rng(seed).standard_normal((16, round(48_000 * seconds)))
        noise /= np.sqrt(2 * order + 1)[:, None]
        path = folder / f"noise{seed}.wav"
        write_scene(path, Scene(noise.astype(np.float32), 48_000))
        paths.append(str(path))
    return paths


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of audio and every payload of a build."""
    files = [path for path in sorted((folder / "scenes").rglob("*")) if path.suffix in {".w64", ".opus", ".arvq"}]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def build(inputs: list[str], output: Path, engine: Engine) -> None:
    """Build the demo plan of the scenes, as listening.build does."""
    items = plan_builder.prepare_input(named_files(inputs), output / "prepared", engine)
    plan_builder.build_plan(items, load_plan("demo"), output, None, engine)


def on_dask(inputs: list[str], output: Path) -> None:
    """Build on two workers of a dask scheduler."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        build(inputs, output, executors.parse_engine(f"dask:{cluster.scheduler_address}", None, output))


def on_submitit(inputs: list[str], output: Path) -> None:
    """Build in jobs that submitit starts here, where it would give them to SLURM."""
    executors._executor = lambda engine: SubmititExecutor("local", engine.folder / "slurm-log")
    build(inputs, output, Engine("slurm", "", output))


def main() -> None:
    """Build and compare."""
    arguments = argparse.ArgumentParser("bench.engines", description=__doc__)
    arguments.formatter_class = argparse.RawDescriptionHelpFormatter
    arguments.add_argument("--seconds", type=float, default=10.0)
    given = arguments.parse_args()
    engines: dict[str, Callable[[list[str], Path], None]] = {
        "local:2": lambda inputs, output: build(inputs, output, Engine("local", "2", output)),
        "dask": on_dask,
        "submitit": on_submitit,
    }
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        inputs = scenes(Path(temporary), given.seconds)
        for name, run in engines.items():
            begin = time.perf_counter()
            run(inputs, Path(temporary) / name.partition(":")[0])
            found[name] = digests(Path(temporary) / name.partition(":")[0])
            print(
                f"{name:10}{time.perf_counter() - begin:8.1f} s on the clock, {len(found[name])} files", flush=True
            )
    if not found["local:2"] or any(other != found["local:2"] for other in found.values()):
        raise SystemExit("the engines did not write the same files")
    print("the same SHA-256 of every file on all engines")


if __name__ == "__main__":
    main()
