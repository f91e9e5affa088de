"""Items that a second thread prepares in advance."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetched(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """Prepare up to `depth` items in a second thread, so that producing and consuming them use two cores.

    An error of `items` is raised here, at its place. Closing the iterator early stops the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    closed = threading.Event()

    def put(item: object) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as error:
            put((None, error))
        else:
            put(None)

    worker = threading.Thread(target=produce, daemon=True)
    worker.start()
    try:
        while (entry := ready.get()) is not None:
            item, error = entry
            if error is not None:
                raise error
            yield item
    finally:
        closed.set()
        worker.join()
