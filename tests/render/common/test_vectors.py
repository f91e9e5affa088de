"""Vectors in compiled functions: each operation against NumPy in float64."""

import numpy as np
import pytest

from render.common.compiled import compiled
from render.common.vectors import LANES, absolute, filled, larger, load, logarithm, product_sum, root, store


@compiled()
def _operations(a, b, results):
    for at in range(0, a.size, LANES):
        x, y = load(a, at), load(b, at)
        store(results[0], at, x + y)
        store(results[1], at, x - y)
        store(results[2], at, x * y)
        store(results[3], at, product_sum(x, y, filled(np.float32(0.5))))
        store(results[4], at, root(absolute(x)))
        store(results[5], at, larger(x, y))
        store(results[6], at, logarithm(absolute(x)))


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    a = (rng.choice([-1, 1], 4096) * 10 ** rng.uniform(-18, 18, 4096)).astype(np.float32)
    a[:4] = 1, np.nextafter(np.float32(1), np.float32(0)), np.sqrt(0.5), np.sqrt(2)
    b = a[::-1] * rng.uniform(-1, 1, 4096).astype(np.float32)
    results = np.empty((7, 4096), np.float32)
    _operations(a, b, results)
    return a.astype(np.float64), b.astype(np.float64), results


def test_arithmetic(found):
    x, y, results = found
    expected = x + y, x - y, x * y, x * y + 0.5, np.sqrt(np.abs(x)), np.maximum(x, y)
    for result, of in zip(results, expected, strict=False):
        np.testing.assert_allclose(result, of, rtol=1.2e-7, atol=1e-7)


def test_logarithms(found):
    x, _, results = found
    expected = np.log(np.abs(x))
    assert np.abs(results[6] - expected).max() < 2.5e-6  # half a step of float32 at 41
    near = np.abs(expected) < 1
    assert np.abs((results[6] - expected)[near]).max() < 1e-7
    assert results[6][0] == 0
