"""Attack every reader of files with changed files until the time is over: ``make fuzz``.

What may come out is a result or an `InputError`, within 2 s of processor time and 1 GB of memory above what
the program takes by itself. Anything else is a fault: another exception, a crash of a library, an endless loop.
For each kind of fault one input is kept, with its traceback in faults.txt. Equal seeds make equal inputs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[2]))

from fuzz_targets import TARGETS

from render.common.errors import InputError

# Imported once for all readers, which are forked
for needed in (
    "scipy.signal", "analysis.study.preregistration", "codec.checkpoints.model_file", "codec.coding.low_delay",
    "codec.descript.weights", "listening.conditions.registry", "listening.sessions.listening_test",
    "render.headphones.hrir",
):  # fmt: skip
    importlib.import_module(needed)

MAX_S, MAX_BYTES = 2.0, 10**9
STALLED_S = 60  # of wall-clock time on one input: a library that does not come back


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"one input takes more than {MAX_S} s")


def attack(name: str, folder: Path, seed: int, until: float, inputs: int, done) -> None:
    """Read changed files one after the other; `done` counts them, and what goes wrong is kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name]()
    path = folder / target.name
    for data in target.seeds:
        path.write_bytes(data)
        target.read(path)  # the files that the attack begins with are valid
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGPROF, _too_slow)
    warnings.simplefilter("ignore")
    random, kinds = Random(seed), set()
    while time.monotonic() < until and done.value < inputs:
        path.write_bytes(target.mutate(random, random.choice(target.seeds), target.seeds))
        try:
            signal.setitimer(signal.ITIMER_PROF, MAX_S)
            try:
                target.read(path)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except InputError:
            pass
        except BaseException as fault:
            places = traceback.extract_tb(fault.__traceback__)
            kind = (type(fault).__name__, places[-1].filename, places[-1].lineno)
            if kind not in kinds:
                kinds.add(kind)
                _keep(folder, path, name, traceback.format_exc())
        done.value += 1


def _keep(folder: Path, path: Path, name: str, text: str) -> None:
    kept = folder.parent / f"{name}-{len(list(folder.parent.glob(f'{name}-*')))}-{path.name}"
    shutil.copyfile(path, kept)
    with open(folder.parent / "faults.txt", "a") as file:
        file.write(f"== {kept.name}\n{text}\n")


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=60.0, help="for all readers together (default 60)")
    arguments.add_argument("--inputs", type=int, default=2**62, help="at most, for each reader")
    arguments.add_argument(
        "--only", nargs="+", choices=TARGETS, default=list(TARGETS), help="readers (default all)"
    )
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=os.cpu_count(), help="readers at the same time")
    arguments.add_argument(
        "-o", "--output", type=Path, help="folder of what goes wrong (default: a temporary one)"
    )
    options = arguments.parse_args()
    folder = options.output or Path(tempfile.mkdtemp(prefix="fuzz-"))
    share_s = options.seconds * options.workers / len(options.only)
    context, waiting, running, counts = get_context("fork"), list(options.only), {}, Counter()
    while waiting or running:
        while waiting and len(running) < options.workers:
            name = waiting.pop(0)
            _start(context, running, name, folder, options.seed, time.monotonic() + share_s, options.inputs)
        time.sleep(0.1)
        for name, (process, done, begun, until, seen) in list(running.items()):
            if done.value != seen[0]:
                seen[:] = done.value, time.monotonic()
            stalled = time.monotonic() - seen[1] > STALLED_S
            if stalled:
                process.kill()
            process.join(0)
            if process.is_alive():
                continue
            del running[name]
            counts[name] += done.value
            if process.exitcode:  # a crash; its input is still there
                work = folder / name
                left = [path for path in work.glob("*") if path.is_file()]
                _keep(work, left[0], name, f"ends with status {process.exitcode}{' (stalled)' if stalled else ''}")
                if done.value and time.monotonic() < until:
                    _start(context, running, name, folder, options.seed + counts[name] + 1, until, options.inputs)
                continue
            print(f"{name:12} {counts[name]:9,} inputs in {time.monotonic() - begun:.0f} s", flush=True)
            shutil.rmtree(folder / name, ignore_errors=True)
    faults = folder / "faults.txt"
    print(f"{'all':12} {sum(counts.values()):9,} inputs")
    if faults.exists():
        print(faults.read_text())
        sys.exit(f"error: faults were found; inputs and tracebacks are in {folder}")
    if not options.output:
        shutil.rmtree(folder)


def _start(context, running, name, folder, seed, until, inputs) -> None:
    done = context.Value("q", 0)
    process = context.Process(target=attack, args=(name, folder / name, seed, until, inputs, done))
    process.start()
    running[name] = process, done, time.monotonic(), until, [0, time.monotonic() + STALLED_S]


if __name__ == "__main__":
    main()
