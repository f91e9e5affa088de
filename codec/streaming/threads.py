"""Threads whose results do not depend on how many there are.

The last bits of a matrix product depend on the number of threads that the libraries of NumPy and PyTorch use for
it. So each piece of work runs on one thread here, in which PyTorch uses one thread only, and the threads share the
pieces.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier, local
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

_this_thread = local()  # `single` is set where PyTorch uses one thread only
Result = TypeVar("Result")


@cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Return the pool of so many threads, in each of which PyTorch uses one thread only.

    PyTorch's matrix library has one setting for the whole process, which is one thread from then on.
    """
    ready = Barrier(threads)

    def start() -> None:
        torch.set_num_threads(1)
        _this_thread.single = True
        ready.wait()

    pool = ThreadPoolExecutor(threads, "codec", start)
    list(pool.map(lambda _: None, range(threads)))
    return pool


# Threads do not survive a fork: a child process that asks for them gets new ones.
os.register_at_fork(after_in_child=thread_pool.cache_clear)


def on_one_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function where PyTorch uses one thread only: here if that is so, or else in the pool of one."""
    if getattr(_this_thread, "single", False):
        return function(*arguments)
    return thread_pool(1).submit(function, *arguments).result()


def matrix_product(
    a: Float[ndarray, "row inner"], b: Float[ndarray, "inner column"]
) -> Float[ndarray, "row column"]:
    """Return a @ b, computed on one thread: the same bits on any number of cores."""
    left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    return on_one_thread(torch.matmul, left, right).numpy()
