"""Threads whose results do not depend on how many there are.

The last bits of a matrix product depend on the number of threads that the libraries of NumPy and PyTorch use for
it. So each piece of work runs on one thread here, in which PyTorch uses one thread only, and the threads share the
pieces.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray


@cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Return the pool of so many threads, in each of which PyTorch uses one thread only.

    PyTorch's matrix library has one setting for the whole process, which is one thread from then on.
    """
    ready = Barrier(threads)

    def start() -> None:
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "codec", start)
    list(pool.map(lambda _: None, range(threads)))
    return pool


# Threads do not survive a fork: a child process that asks for them gets new ones.
os.register_at_fork(after_in_child=thread_pool.cache_clear)


def matrix_product(
    a: Float[ndarray, "row inner"], b: Float[ndarray, "inner column"]
) -> Float[ndarray, "row column"]:
    """Return a @ b, computed on one thread: the same bits on any number of cores."""
    left, right = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    return thread_pool(1).submit(torch.matmul, left, right).result().numpy()
