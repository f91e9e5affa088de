"""Independent jobs on several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def in_parallel(
    function: Callable[..., Result], jobs: Mapping[Key, tuple], workers: int
) -> Iterator[tuple[Key, Result]]:
    """Call ``function(*jobs[key])`` for every key, `workers` at a time; yield (key, result) as they end.

    Worker processes are forked from a server that has imported the function's module once and started no
    thread: heavy imports cost their time once, and nothing of the caller's state leaks into the work. The
    first error stops what has not begun and is raised here. Workers never outlive this process.

    Raises
    ------
    ChildProcessError
        If a worker is killed, which is how a machine without memory left answers.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):  # read by the server's libraries when they are loaded
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
    """Give each worker one core (the jobs are the parallel work), and let it end with its parent."""
    import signal
    import sys
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C: the parent alone says that it was interrupted
    Thread(target=_end_with_parent, daemon=True).start()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _end_with_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot end its workers itself."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
