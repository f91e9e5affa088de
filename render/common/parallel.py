"""Independent jobs on several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from render.common.code_digest import PACKAGES
from render.common.errors import InputError
from render.common.files import begin_inputs, inputs
from render.common.streams import prepare_streams

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


_needed: set[str] = set()


def workers_need(module: str) -> None:
    """Have a module imported for all workers of `in_parallel`, before they are forked, but not in this process.

    To be called before the first of them is started: one import of PyTorch then serves them all.
    """
    _needed.add(module)


def in_parallel(
    function: Callable[..., Result], jobs: Mapping[Key, tuple], workers: int
) -> Iterator[tuple[Key, Result]]:
    """Call ``function(*jobs[key])`` for every key, `workers` at a time; yield (key, result) as they end.

    Worker processes are forked from a server that has started no threads. It has imported once what this process
    has imported of this project, and what `workers_need` was told: heavy imports cost their time only once, for
    all calls of this function, and no state of the caller leaks into the jobs. The first error cancels all jobs
    that have not begun and is raised here. Workers never outlive this process.

    Raises
    ------
    ChildProcessError
        If a worker is killed, which usually means that the machine ran out of memory.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):  # the server's libraries read these when they are loaded
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    ours = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    context.set_forkserver_preload([function.__module__, *ours, *_needed])
    processes = max(1, min(workers, len(jobs)))
    with _pool(processes, mp_context=context, initializer=_prepare_worker, initargs=(inputs(),)) as pool:
        futures = {pool.submit(function, *arguments): key for key, arguments in jobs.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process was killed, perhaps for lack of memory; repeat with fewer --workers"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _pool(*arguments: Any, **settings: Any) -> ProcessPoolExecutor:
    """Pool of processes; they share semaphores, which Linux keeps in /dev/shm (sem_overview(7))."""
    try:
        return ProcessPoolExecutor(*arguments, **settings)
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"processes need the folder /dev/shm, which cannot be written to ({reason}); give the container a "
            "writable one: docker run --tmpfs /dev/shm ..."
        ) from error


def _prepare_worker(inputs_of_command: Sequence[Path] | None) -> None:
    """Limit a worker to one core, since the jobs run in parallel, and end it with its parent."""
    prepare_streams()
    if inputs_of_command is not None:
        begin_inputs(inputs_of_command)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # on Ctrl-C only the parent reports the interruption
    Thread(target=_end_with_parent, daemon=True).start()
    if torch := sys.modules.get("torch"):  # only where the job's module has loaded it
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot end its workers itself."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
