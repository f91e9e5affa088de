"""All that needs a GPU, in one call of a few minutes; a second call goes on where the first one stopped.

    bench/gpu.sh [--minutes 9] [--checkpoint] [--dry-run]

setup     versions, GPU, and what is missing: nothing else runs then
tests     the tests marked `gpu`
steps     time and memory of a step of `paper` and `gpu15`, measured beside the estimates of codec.profile;
          our step against the published loop, if STOCK_DAC names it (bench/train_step.py)
scenes    synthetic scenes to train on, made by all cores
training  the preset `gpu15` for as long as time is left; it saves and stops before the end
export    the model file, in pieces that `cat` joins; with --checkpoint also all that a resumed run needs

A run that lies in --work is resumed, without tests and steps; so is one whose checkpoint lies in --out in pieces.
Each stage has a process of its own, so that one that fails does not end the others. --dry-run makes all stages on
the CPU, in one process, with the preset `smoke` and scenes of two seconds.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("setup", "tests", "steps", "scenes", "training", "export")
LIMIT_S = {"setup": 60, "tests": 120, "steps": 150}  # the training needs the rest
EXPORT_S = 45  # that are left for the export
PIECE_BYTES = 15 << 20
SEEDS, VALIDATION_SEED = (301, 302, 303), 4242
LIBRARIES = ("torch", "numpy", "scipy", "numba", "soundfile", "soxr", "safetensors", "jaxtyping", "matplotlib")


def main() -> int:
    """Command line; the status is 1 if a stage failed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=ROOT / "out/gpu", help="folder of what is to be kept")
    arguments.add_argument("--work", type=Path, default=ROOT / "out/gpu-work", help="folder of data and runs")
    arguments.add_argument("--minutes", type=float, default=9.0, help="of the whole call (default 9)")
    arguments.add_argument("--checkpoint", action="store_true", help="export the newest checkpoint, too")
    arguments.add_argument("--dry-run", action="store_true", help="on the CPU, with a tiny model")
    arguments.add_argument("--stages", choices=STAGES, nargs="+", help="these alone")
    arguments.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    arguments.add_argument("--end", type=float, default=0.0, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    sys.path.insert(0, str(ROOT))
    if not given.dry_run and not shutil.which("nvidia-smi"):
        print("no GPU here: --dry-run shows that everything runs")
        return 0
    given.out, given.work = given.out.resolve(), given.work.resolve()
    for folder in (given.out, given.work):
        folder.mkdir(parents=True, exist_ok=True)
    os.chdir(given.work)
    given.preset = "smoke" if given.dry_run else "gpu15"
    given.end = given.end or time.time() + 60 * given.minutes
    if given.stage:
        globals()[given.stage](given)
        return 0
    join_pieces(given)
    done = [outcome(stage, given) for stage in stages_of(given)]
    return 0 if all(done) else 1


def stages_of(given: argparse.Namespace) -> list[str]:
    """Stages of this call: a run that exists is resumed, what was measured is not measured again."""
    measured = ("tests", "steps") if run_folder(given).exists() else ()
    return given.stages or [stage for stage in STAGES if stage not in measured]


def outcome(stage: str, given: argparse.Namespace) -> bool:
    """Run a stage, say how it ended, and return whether it did so well; without a set-up nothing can be done."""
    begin = time.time()
    print(f"== {stage}")
    if given.dry_run:
        globals()[stage](given)
        good = True
    else:
        words = [sys.executable, "-u", __file__, *sys.argv[1:], "--stage", stage, "--end", str(given.end)]
        try:
            limit = min(LIMIT_S.get(stage, 3600), max(given.end - begin, EXPORT_S))
            good = subprocess.run(words, cwd=ROOT, timeout=limit, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            good = False
    print(f"== {stage} {'done' if good else 'FAILED'}, {time.time() - begin:.0f} s")
    if stage == "setup" and not good:
        raise SystemExit(1)
    return good


def run_folder(given: argparse.Namespace) -> Path:
    """Folder of the run, which codec.train names so."""
    return given.work / "runs" / given.preset


def command(name: str, *words: object) -> None:
    """Run one of our commands as it is typed."""
    print(f"$ python -m {name} {' '.join(map(str, words))}")
    before, sys.argv = sys.argv, [name, *map(str, words)]
    try:
        importlib.import_module(name).main()
    finally:
        sys.argv = before


def setup(given: argparse.Namespace) -> None:
    """Print versions and GPU; stop if a library, the GPU or the compiler for Snake's kernel is missing."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}")
    import torch

    from codec.training.distributed import require_compiler

    if not given.dry_run:
        require_compiler()
    if not given.dry_run and not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} finds no GPU: it needs a CUDA build that suits the driver")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    free_gb = shutil.disk_usage(given.work).free / 1e9
    print(f"PyTorch {torch.__version__}, {device}, {os.cpu_count()} cores, {free_gb:.0f} GB of disk free")


def tests(given: argparse.Namespace) -> None:
    """Run the tests that need a GPU; all skip in a dry run."""
    import pytest

    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    folders = ("tests/codec/training/test_gpu.py",) if given.dry_run else ("tests/codec",)
    status = pytest.main(["-m", "gpu", "-p", "no:cacheprovider", *(str(ROOT / folder) for folder in folders)])
    if status:
        raise SystemExit(f"tests: pytest ended with {status!r}")


def steps(given: argparse.Namespace) -> None:
    """Print times and memory of steps, measured and estimated, and the published loop beside ours."""
    for preset in (given.preset,) if given.dry_run else ("paper", "gpu15"):
        print_step(preset, "cpu" if given.dry_run else "cuda")
    from bench import train_step

    small = ("--width", "8", "--batch", "1", "--seconds", "0.1", "--steps", "1")
    large = ("--width", "1", "--batch", "4", "--seconds", "1.5", "--device", "cuda")
    for words in (small,) if given.dry_run else (large, (*large, "--bf16")):
        before, sys.argv = sys.argv, ["train_step", *words]
        train_step.main()
        sys.argv = before


def print_step(preset: str, device_name: str) -> None:
    """Time whole steps of a preset, with quantiser and discriminators."""
    from dataclasses import replace

    import torch

    from bench.train_step import scene
    from codec.training.config import load_preset
    from codec.training.distributed import Processes
    from codec.training.state import State
    from codec.training.step_cost import step_cost
    from codec.training.update import update

    model, config = load_preset(preset)
    config = replace(config, initialisation="default")
    cost, device = step_cost(model, config), torch.device(device_name)
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = config.tf32, True
    state = State(model, config, device)
    state.step = max(config.quantizer_start, config.adversarial_start)
    state.learning_rate = 1e-6
    batch = scene(config.batch, config.excerpt_frames, 0).to(device)
    times = []
    for index in range(3):
        begin = time.perf_counter()
        update(state, batch, config, Processes(0, 1, device))  # it waits for the losses
        if index:  # the first one compiles, and tries algorithms
            times.append(time.perf_counter() - begin)
    memory_gb = torch.cuda.max_memory_reserved() / 1e9 if device.type == "cuda" else 0.0
    print(
        f"step of {preset} on {device}, measured: {statistics.median(times):.4f} s, {memory_gb:.1f} GB; "
        f"estimated for one H100: {cost.seconds:.4f} s, {cost.memory_bytes / 1e9:.1f} GB; "
        f"{cost.operations / 1e12:.3g} TFLOP counted"
    )


def scenes(given: argparse.Namespace) -> None:
    """Make the scenes of data/: three seeds of seven recordings in each class, and another seed to validate."""
    parts = [(seed, "1-7", 12.0, ()) for seed in SEEDS] + [(VALIDATION_SEED, "8", 10.0, ())]
    if given.dry_run:
        parts = [(SEEDS[0], "1,8", 2.0, ("--scenes", "Beach"))]
    for seed, numbers, seconds, more in parts:
        synthetic, prepared = given.work / "synthetic" / str(seed), given.work / "data" / str(seed)
        command(
            "stimuli.synth", "--seed", seed, "--seconds", seconds, "--recordings", numbers, *more, "-o", synthetic
        )
        command("stimuli.prepare", synthetic, "-o", prepared)


def data(given: argparse.Namespace) -> list[Path]:
    """Folders of prepared recordings."""
    return sorted(path for path in (given.work / "data").iterdir() if path.is_dir())


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Send this process SIGINT, as Ctrl-C does, when the time is up."""
    alarm = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def training(given: argparse.Namespace) -> None:
    """Train, or go on, until the run is complete or the time is up; then it is saved (codec.train)."""
    begin = ("--resume",) if run_folder(given).exists() else ("--preset", given.preset, "--data", *data(given))
    device = ("--device", "cpu") if given.dry_run else ()
    try:
        with interrupted_after(max(given.end - EXPORT_S - time.time(), 1.0)):
            command("codec.train", "--run", given.preset, *begin, *device)
    except SystemExit as interrupted:
        if interrupted.code != 130:
            raise
        print("time is up: call again to go on")


def export(given: argparse.Namespace) -> None:
    """Write what is to be kept: the numbers of the run, and its model in pieces."""
    run = run_folder(given)
    for name in ("config.toml", "env.json", "metrics.csv"):
        shutil.copy(run / name, given.out / name)
    if given.checkpoint:
        newest = max(run.glob("checkpoints/[0-9]*"))
        write_pieces(given, "checkpoint", [run / "config.toml", run / "env.json", run / "metrics.csv", newest])
    model = given.work / f"{given.preset}.safetensors"
    command("codec.publish", run, "--data", *data(given), "-o", model, "--force")
    write_pieces(given, "model", [model, model.with_suffix(".json")])


def write_pieces(given: argparse.Namespace, name: str, paths: list[Path]) -> None:
    """Write files as NAME.tar.00, NAME.tar.01 ...; older pieces of that name are removed."""
    for old in given.out.glob(f"{name}.tar.*"):
        old.unlink()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path in paths:
            archive.add(path, path.relative_to(given.work))
    content = whole.getvalue()
    for number, start in enumerate(range(0, len(content), PIECE_BYTES)):
        (given.out / f"{name}.tar.{number:02d}").write_bytes(content[start : start + PIECE_BYTES])
    print(f"{given.out}: {name}.tar.*, {len(content) / 1e6:.1f} MB; cat {name}.tar.* | tar x")


def join_pieces(given: argparse.Namespace) -> None:
    """Unpack a checkpoint that an earlier call exported, if there is one and the run is not here."""
    pieces = sorted(given.out.glob("checkpoint.tar.*"))
    if pieces and not run_folder(given).exists():
        whole = io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))
        with tarfile.open(fileobj=whole) as archive:
            archive.extractall(given.work, filter="data")
        print(f"{run_folder(given)}: from {len(pieces)} pieces in {given.out}")


if __name__ == "__main__":
    sys.exit(main())
