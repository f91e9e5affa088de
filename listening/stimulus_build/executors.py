"""Where jobs run: processes of this machine, a dask cluster or SLURM, by one flag.

    local:N             N processes of this machine
    inline              this process, one job after the other (for a debugger)
    dask:ADDRESS        workers of a dask scheduler, as dask:tcp://head:8786
    slurm[:PARTITION]   one SLURM job for each item

Each is a `concurrent.futures.Executor`; the results do not depend on the choice. Workers elsewhere need the same
package, the same libraries and the same file system at the same paths.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from render.common.errors import InputError
from render.common.parallel import in_parallel

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

_POLL_S = 0.5
_CONNECT_TIMEOUT = "20s"  # until a dask scheduler answers
_JOB_MIN = 120  # after which SLURM ends a job
# How long a job may stay in a state in which it would otherwise be waited for without end: where sacct does not
# answer, submitit goes on with what it knew before, at first with nothing
_PATIENCE_S = {"UNKNOWN": 600.0, "RUNNING": 60.0 * (_JOB_MIN + 10)}
_INSTALL = "pip install 'hoa-rvqgan[{extra}]'"


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Attributes
    ----------
    kind, argument : str
    folder : Path
        Where a batch system's scripts and logs go.
    """

    kind: str
    argument: str
    folder: Path

    def run(self, function: Callable[..., Result], jobs: Mapping[Key, tuple]) -> Iterator[tuple[Key, Result]]:
        """Call ``function(*jobs[key])`` for every key; yield (key, result) as they end.

        The first error cancels what has not begun and is raised here.
        """
        if self.kind == "inline":
            yield from ((key, function(*arguments)) for key, arguments in jobs.items())
            return
        if self.kind == "local":
            yield from in_parallel(function, jobs, int(self.argument))
            return
        with _executor(self) as pool:
            try:
                futures = {pool.submit(function, *arguments): key for key, arguments in jobs.items()}
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                # dask's own errors: a worker was killed, a connection was lost
                if isinstance(error, CancelledError) or type(error).__module__.partition(".")[0] == "distributed":
                    raise ChildProcessError(
                        f"--engine {self.kind}: a job was given up ({str(error) or 'has the scheduler ended?'}); "
                        "what is finished is kept, and the same command continues from there"
                    ) from error
                raise


def parse_engine(text: str | None, workers: int | None, folder: Path) -> Engine:
    """Engine by its name on the command line; without a name, `workers` local processes.

    Raises
    ------
    InputError
        If the engine is unknown, or its package is not installed.
    """
    kind, _, argument = (text or f"local:{max(1, workers or 1)}").partition(":")
    if kind == "local":
        argument = argument or str(os.cpu_count() or 1)
        if not argument.isdecimal() or not 1 <= int(argument) <= 4096:
            raise InputError(f"--engine {text}: need a number of processes, as local:4")
    elif kind == "inline" and not argument:
        pass
    elif kind == "dask":
        if not argument:
            raise InputError("--engine dask: need the scheduler's address, as dask:tcp://head:8786")
        _needs("distributed", "dask")
    elif kind == "slurm":
        _needs("submitit", "slurm")
    else:
        raise InputError(f"--engine {text}: possible are local:N, inline, dask:ADDRESS, slurm[:PARTITION]")
    return Engine(kind, argument, folder)


def _needs(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise InputError(f"--engine {extra}: the package {module} is missing; {_INSTALL.format(extra=extra)}")


def _executor(chosen: Engine) -> Executor:
    if chosen.kind == "dask":
        return DaskExecutor(chosen.argument)
    parameters = {"slurm_partition": chosen.argument} if chosen.argument else {}
    return SubmititExecutor("slurm", chosen.folder / "slurm-log", **parameters)


class DaskExecutor(Executor):
    """Workers of a dask scheduler."""

    def __init__(self, address: str):
        from distributed import Client  # pyrefly: ignore[missing-import]

        try:
            self._client = Client(address, timeout=_CONNECT_TIMEOUT)
        except (OSError, ValueError) as error:
            raise InputError(f"--engine dask:{address}: no scheduler answers there ({error})") from None
        self._pool = self._client.get_executor(pure=False)

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Submit one call."""
        return self._pool.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the connection; the cluster goes on."""
        self._pool.shutdown(wait=wait)
        self._client.close()


class SubmititExecutor(Executor):
    """Jobs of a batch system through submitit, as `concurrent.futures` futures.

    Parameters
    ----------
    cluster : str
        ``slurm``; ``local`` runs each job in a process of its own (for tests).
    folder : Path
        Where submitit keeps its scripts, pickles and logs; on the shared file system.
    parameters
        For submitit's ``update_parameters``, as ``slurm_partition``.
    """

    def __init__(self, cluster: str, folder: Path, **parameters: Any):
        import submitit  # pyrefly: ignore[missing-import]

        try:
            self._pool = submitit.AutoExecutor(folder, cluster=cluster)
            self._pool.update_parameters(name="hoa-rvqgan", timeout_min=_JOB_MIN, cpus_per_task=1, **parameters)
        except (RuntimeError, OSError) as error:
            raise InputError(f"--engine slurm: {error}") from None
        self._open: dict[Future, _Job] = {}
        self._closed = False
        self._watch: threading.Thread | None = None

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Submit one call as one job."""
        from submitit.core.utils import FailedJobError  # pyrefly: ignore[missing-import]

        future: Future = Future()
        future.set_running_or_notify_cancel()
        try:
            self._open[future] = _Job(self._pool.submit(function, *args, **kwargs))
        except (FailedJobError, OSError) as error:
            raise InputError(f"--engine slurm: a job could not be submitted ({error})") from None
        if self._watch is None:
            self._watch = threading.Thread(target=self._poll, daemon=True)
            self._watch.start()
        return future

    def _poll(self) -> None:
        while self._open or not self._closed:
            for future, job in list(self._open.items()):
                try:
                    if not job.is_done():
                        continue
                    result = job.job.result()
                except Exception as error:  # of the job, or because nothing is known of it
                    future.set_exception(_original(error))
                else:
                    future.set_result(result)
                self._open.pop(future, None)
            time.sleep(_POLL_S)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs, or cancel them."""
        self._closed = True
        if cancel_futures:
            for job in list(self._open.values()):
                with suppress(Exception):  # it would hide why the jobs are cancelled; SLURM ends them in time
                    job.job.cancel()
            self._open.clear()
        if wait and self._watch:
            self._watch.join()


class _Job:
    """A job of submitit, and since when it is in its state."""

    def __init__(self, job: Any):
        self.job = job
        self._state, self._since = "", time.monotonic()

    def is_done(self) -> bool:
        """Whether it has ended; InputError if it is in a state for longer than that can last."""
        if self.job.done():
            return True
        state = str(self.job.state).upper()
        if state != self._state:
            self._state, self._since = state, time.monotonic()
        if time.monotonic() - self._since > _PATIENCE_S.get(state, math.inf):
            raise InputError(
                f"--engine slurm: job {self.job.job_id} is {state} for {_PATIENCE_S[state] / 60:.0f} min; "
                f"does sacct work here? Its logs are in {self.job.paths.folder}"
            )
        return False


def _original(error: Exception) -> Exception:
    """Error of a job: bad input is an `InputError` again, extracted from submitit's report."""
    marker = f"{InputError.__module__}.{InputError.__name__}: "
    for line in reversed(str(error).splitlines()):
        if marker in line:
            return InputError(line.partition(marker)[2])
    from submitit.core.utils import FailedJobError, UncompletedJobError  # pyrefly: ignore[missing-import]

    if isinstance(error, UncompletedJobError) and not isinstance(error, FailedJobError):  # killed, or out of time
        return ChildProcessError(f"--engine slurm: {' '.join(str(error).split())}")
    return error
