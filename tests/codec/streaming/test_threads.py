"""Results do not depend on the number of threads."""

import threading

import numpy as np
import torch

from codec.streaming.threads import matrix_product, thread_pool


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
