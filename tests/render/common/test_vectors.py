"""Vectors in compiled functions: each operation against NumPy in float64."""

import numpy as np
import pytest

from render.common.compiled import compiled
from render.common.vectors import LANES, absolute, filled, larger, load, logarithm, product_sum, root, store


@compiled()
def _operations(a, b, half, results):
    for at in range(0, a.size, LANES):
        x, y = load(a, at), load(b, at)
        store(results[0], at, x + y)
        store(results[1], at, x - y)
        store(results[2], at, x * y)
        store(results[3], at, product_sum(x, y, filled(half)))
        store(results[4], at, root(absolute(x)))
        store(results[5], at, larger(x, y))
        store(results[6], at, x / y)


@compiled()
def _logarithms(values, result):
    for at in range(0, values.size, LANES):
        store(result, at, logarithm(load(values, at)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arithmetic(dtype):
    rng = np.random.default_rng(0)
    a = (rng.choice([-1, 1], 4096) * 10 ** rng.uniform(-9, 9, 4096)).astype(dtype)
    b = a[::-1] * rng.uniform(-1, 1, 4096).astype(dtype)
    results = np.empty((7, 4096), dtype)
    _operations(a, b, dtype(0.5), results)
    x, y = a.astype(np.longdouble), b.astype(np.longdouble)
    expected = x + y, x - y, x * y, x * y + 0.5, np.sqrt(np.abs(x)), np.maximum(x, y), x / y
    step = np.finfo(dtype).eps
    for result, of in zip(results, expected, strict=True):
        np.testing.assert_allclose(result.astype(np.longdouble), of, rtol=step, atol=step)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_clamp_keeps_what_is_no_number(dtype):
    a, b = np.full(LANES, np.nan, dtype), np.ones(LANES, dtype)
    a[1:3] = np.inf, -np.inf
    results = np.empty((7, LANES), dtype)
    _operations(a, b, dtype(0.5), results)
    assert np.array_equal(results[5], np.r_[np.nan, np.inf, 1, [np.nan] * 13], equal_nan=True)


def test_logarithms():
    rng = np.random.default_rng(0)
    x = (10 ** rng.uniform(-37, 37, 4096)).astype(np.float32)
    x[:1024] = 10 ** rng.uniform(-0.4, 0.4, 1024)
    x[:4] = 1, np.nextafter(np.float32(1), np.float32(0)), np.sqrt(0.5), np.sqrt(2)
    result = np.empty(4096, np.float32)
    _logarithms(x, result)
    error = np.abs(result - np.log(x.astype(np.float64)))
    assert error.max() < 4e-6  # half a step of float32 at 85
    assert error[:1024].max() < 1e-7
    assert result[0] == 0
