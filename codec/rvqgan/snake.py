"""Snake activation x + sin²(αx)/α (Ziyin et al. 2020) in one pass over memory: a kernel for the CPU, one for CUDA.

In eager PyTorch the activation takes a third of the codec's time on a CPU: five passes over memory, two of them
with sines. The kernel here makes one pass forward and one backward. It reduces u = αx to [-π/2, π/2], with π split
into three parts so that the result is exact enough for float32 (Cody and Waite), and evaluates odd and even
polynomials, which the compiler vectorises.

On other devices and for other types the formula and its gradient are plain PyTorch. On CUDA, where they are passes
over memory as well, training compiles each of the two to one kernel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from render.common.compiled import compiled

EPSILON = 1e-9  # as published, since α may come near zero
PARTS = 16  # into which the rows are divided, on any number of threads

# π as a sum, of which the first two parts have few enough bits that k times the first is exact for |k| < 2^15
PI_PARTS = _PI_HIGH, _PI_MIDDLE, _PI_LOW = tuple(
    np.array([3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7], np.float32)
)
INVERSE_PI = np.float32(1 / math.pi)
# Coefficients of sin(r)/r and cos(r) for |r| <= π/2 in powers of r², fitted on Chebyshev nodes; the error is 3e-9
_nodes = (np.pi / 2 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)) ** 2
SINE = _S0, _S1, _S2, _S3, _S4, _S5 = tuple(
    np.polynomial.polynomial.polyfit(_nodes, np.sinc(np.sqrt(_nodes) / np.pi), 5).astype(np.float32)
)
_C0, _C1, _C2, _C3, _C4, _C5 = np.polynomial.polynomial.polyfit(_nodes, np.cos(np.sqrt(_nodes)), 5).astype(
    np.float32
)
# MKL chooses the kernel of each of these functions at its first call. When several threads make that call at once,
# one may get a kernel of 11 bits (github.com/pytorch/pytorch/issues/188792), so each is first called here.
for _function in (torch.sin, torch.cos, torch.tanh, torch.exp, torch.log, torch.log10, torch.sqrt):
    _function(torch.ones(1))
_OPTIONS = dict(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "ninf"})


@compiled(inline="always", **_OPTIONS)
def _reduced(u):
    """Return u - kπ for the nearest integer k, which has the same sin² and sin(2·)."""
    k = np.rint(u * INVERSE_PI)
    return ((u - k * _PI_HIGH) - k * _PI_MIDDLE) - k * _PI_LOW


@compiled(inline="always", **_OPTIONS)
def _sine(r, square):
    return r * (_S0 + square * (_S1 + square * (_S2 + square * (_S3 + square * (_S4 + square * _S5)))))


@compiled(inline="always", **_OPTIONS)
def _cosine(square):
    return _C0 + square * (_C1 + square * (_C2 + square * (_C3 + square * (_C4 + square * _C5))))


# Because of its signature it is compiled, or read from the cache, at import: once, before processes are forked.
@compiled("void(float32[:, ::1], float32[::1], float32[::1], float32[:, ::1])", **_OPTIONS)
def _forward(x, alpha, inverse, y):
    rows, channels = x.shape
    for row in range(rows):
        for c in range(channels):
            r = _reduced(alpha[c] * x[row, c])
            sine = _sine(r, r * r)
            y[row, c] = x[row, c] + sine * sine * inverse[c]


@compiled(**_OPTIONS)
def _backward(x, alpha, inverse, gradient, gradient_x, gradient_alpha):
    rows, channels = x.shape
    for row in range(rows):
        for c in range(channels):
            r = _reduced(alpha[c] * x[row, c])
            square = r * r
            sine = _sine(r, square)
            double = np.float32(2) * sine * _cosine(square)
            gradient_x[row, c] = gradient[row, c] * (np.float32(1) + double)
            gradient_alpha[c] += gradient[row, c] * inverse[c] * (x[row, c] * double - sine * sine * inverse[c])


def _in_parts(kernel, row_arguments, alpha, *, sums=None) -> None:
    """Run a kernel on `PARTS` slices of the rows, on as many threads as PyTorch uses.

    The slices, and the order in which `sums` (one row per slice) are added up afterwards, do not depend on the
    number of threads. So the result does not either.
    """
    inverse = np.float32(1) / (alpha + np.float32(EPSILON))
    rows = len(row_arguments[0])
    edges = [part * rows // PARTS for part in range(PARTS + 1)]

    def run(part: int) -> None:
        first, *others = (a[edges[part] : edges[part + 1]] for a in row_arguments)
        kernel(first, alpha, inverse, *others, *(() if sums is None else (sums[part],)))

    if torch.get_num_threads() == 1 and sums is None:
        first, *others = row_arguments
        kernel(first, alpha, inverse, *others)
    elif torch.get_num_threads() == 1:
        for part in range(PARTS):
            run(part)
    else:
        list(_pool(torch.get_num_threads()).map(run, range(PARTS)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def _rows(x: Tensor) -> np.ndarray:
    """View of a channels-last (batch, channel, time) tensor as (batch·time, channel)."""
    return x.detach().permute(0, 2, 1).reshape(-1, x.shape[1]).numpy()


class _SnakeCPU(torch.autograd.Function):
    @staticmethod
    def forward(context, x: Tensor, alpha: Tensor) -> Tensor:
        x = _channels_last(x)
        flat = alpha.detach().reshape(-1).numpy()
        y = torch.empty_like(x)
        _in_parts(_forward, (_rows(x), _rows(y)), flat)
        context.save_for_backward(x, alpha)
        return y

    @staticmethod
    def backward(context, gradient: Tensor):  # type: ignore[override]
        x, alpha = context.saved_tensors
        gradient = _channels_last(gradient)
        flat = alpha.detach().reshape(-1).numpy()
        gradient_x = torch.empty_like(x)
        sums = np.zeros((PARTS, flat.size), np.float32)
        _in_parts(_backward, (_rows(x), _rows(gradient), _rows(gradient_x)), flat, sums=sums)
        return gradient_x, torch.from_numpy(sums.sum(0)).view_as(alpha)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 1).contiguous().permute(0, 2, 1)


def _formula(x: Tensor, alpha: Tensor) -> Tensor:
    return (x + (alpha + EPSILON).reciprocal() * torch.sin(alpha * x).square()).to(x.dtype)


def _formula_gradients(x: Tensor, alpha: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    inverse, u = (alpha + EPSILON).reciprocal(), alpha * x
    double = torch.sin(2 * u)
    gradient_x = gradient * (1 + alpha * inverse * double)
    gradient_alpha = gradient * inverse * (x * double - inverse * torch.sin(u).square())
    return gradient_x.to(x.dtype), gradient_alpha.sum((0, 2), keepdim=True)


@cache
def _kernel(function: Callable, compile_it: bool) -> Callable:
    """Return the function, compiled to one kernel for all shapes if `compile_it`."""
    return torch.compile(function, dynamic=True) if compile_it else function


class _SnakeFormula(torch.autograd.Function):
    """The formula in the precision of α, rounded to that of x; for its gradient it keeps x alone."""

    @staticmethod
    def forward(context, x: Tensor, alpha: Tensor) -> Tensor:
        context.save_for_backward(x, alpha)
        # A compilation takes seconds, which inference would not get back
        context.compiled = x.is_cuda and any(context.needs_input_grad)
        return _kernel(_formula, context.compiled)(x, alpha)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient: Tensor):  # type: ignore[override]
        return _kernel(_formula_gradients, context.compiled)(*context.saved_tensors, gradient)


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """Return the activation of x (batch, channel, time) with α (1, channel, 1); any device, any float type."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and alpha.dtype == torch.float32:
        return _SnakeCPU.apply(x, alpha)
    return _SnakeFormula.apply(x, alpha)
