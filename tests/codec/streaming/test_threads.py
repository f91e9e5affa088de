"""Results do not depend on the number of threads."""

import threading

import numpy as np
import torch

from codec.streaming.threads import matrix_product, on_one_thread, thread_pool


def test_every_thread_of_a_pool_lets_pytorch_use_one_thread():
    pool = thread_pool(3)
    assert thread_pool(3) is pool
    barrier = threading.Barrier(3)  # so that each of the three threads takes one of the tasks

    def numbers():
        barrier.wait(timeout=60)
        return torch.get_num_threads(), threading.get_ident()

    found = [task.result() for task in [pool.submit(numbers) for _ in range(3)]]
    assert {count for count, _ in found} == {1}
    assert len({thread for _, thread in found}) == 3


def test_a_matrix_product_is_that_of_numpy():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((7, 300)), random.standard_normal((300, 5))
    np.testing.assert_allclose(matrix_product(a, b), a @ b, rtol=1e-12, atol=1e-12)
    assert np.array_equal(matrix_product(a.T.copy().T, b), matrix_product(a, b))


def test_what_runs_on_one_thread_stays_there():
    """A call from inside the pool does not wait for it: it would wait for ever."""

    def inner():
        return on_one_thread(threading.get_ident), torch.get_num_threads()

    outer, (thread, threads) = threading.get_ident(), on_one_thread(inner)
    assert thread != outer
    assert thread == on_one_thread(threading.get_ident)
    assert threads == 1
