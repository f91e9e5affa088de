"""The one thread that changes the database; what waits is stored in one transaction.

A commit that reaches the disk takes some milliseconds, for one event as for a hundred. While one is under way,
what the other listeners send waits, and goes into the next transaction together (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

_TOGETHER = 200  # requests in one transaction, at most


class _Job(NamedTuple):
    append: tuple[str, str, list] | None  # listener, window, events
    change: Callable[[], Any] | None  # any other change
    done: Future


class Writer:
    """Thread that makes all changes, in the order in which they come.

    Parameters
    ----------
    append_many
        Stores a list of (listener, window, events) in one transaction, and returns the outcome of each after the
        commit.
    """

    def __init__(self, append_many: Callable[[Sequence[tuple[str, str, list]]], Sequence[Any]]):
        self._append_many = append_many
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="writer")
        self._thread.start()

    async def append(self, listener: str, window: str, events: list) -> Any:
        """Store events and return the outcome once they are on the disk."""
        return await self._enqueue((listener, window, events), None)

    async def change(self, change: Callable[..., Any], *arguments: Any) -> Any:
        """Call `change` in the writer's thread."""
        return await self._enqueue(None, lambda: change(*arguments))

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    async def _enqueue(self, append: tuple[str, str, list] | None, change: Callable[[], Any] | None) -> Any:
        done: Future = Future()
        self._jobs.put(_Job(append, change, done))
        # A client that goes away takes back its wait, not what it has sent
        return await asyncio.shield(asyncio.wrap_future(done))

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._jobs.get()]
            with suppress(Empty):
                while len(waiting) < _TOGETHER:
                    waiting.append(self._jobs.get_nowait())
            ended = None in waiting
            jobs = [job for job in waiting if job is not None]
            for appends, group in groupby(jobs, lambda job: job.append is not None):
                if appends:
                    self._append(list(group))
                else:
                    for job in group:
                        _change(job)

    def _append(self, jobs: list[_Job]) -> None:
        """Store what several listeners sent; one of them whose events meet a defect does not stop the others."""
        try:
            outcomes = self._append_many([job.append for job in jobs if job.append])
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._append([job])
            else:
                jobs[0].done.set_exception(error)
        else:
            for job, outcome in zip(jobs, outcomes, strict=True):
                job.done.set_result(outcome)


def _change(job: _Job) -> None:
    assert job.change
    try:
        job.done.set_result(job.change())
    except Exception as error:
        job.done.set_exception(error)
