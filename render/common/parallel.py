"""Independent jobs on several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def in_parallel(
    function: Callable[..., Result], jobs: Mapping[Key, tuple], workers: int
) -> Iterator[tuple[Key, Result]]:
    """Call ``function(*jobs[key])`` for every key, `workers` at a time; yield (key, result) as they end.

    Worker processes are forked from a server that has imported the function's module once and has started no
    threads. Heavy imports thus cost their time only once, and no state of the caller leaks into the jobs. The
    first error cancels all jobs that have not begun and is raised here. Workers never outlive this process.

    Raises
    ------
    ChildProcessError
        If a worker is killed, which usually means that the machine ran out of memory.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):  # the server's libraries read these when they are loaded
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    with ProcessPoolExecutor(
        max(1, min(workers, len(jobs))), mp_context=context, initializer=_prepare_worker
    ) as pool:
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


def _prepare_worker() -> None:
    """Limit a worker to one core, since the jobs run in parallel, and end it with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # on Ctrl-C only the parent reports the interruption
    Thread(target=_end_with_parent, daemon=True).start()
    if torch := sys.modules.get("torch"):  # only where the job's module has loaded it
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot end its workers itself."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
