"""The layers of the network on a CPU, with the loops of `vector_kernels`.

A layer passes over memory once: it takes as many samples as the cache of a core holds, applies Snake, multiplies,
and writes the result. A convolution without dilation is a matrix product, since the samples under its taps lie
one after the other in memory. Minimal filtering computes the kernels of 7 taps in residual units, and those of
twice the stride, which are two taps of a stride of samples.

A matrix of weights (inner, column) is stored as panels (panel, inner, width), as `tile_product` reads them.
Samples have as many channels as fill whole vectors, the last of them 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import local

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from codec.rvqgan.layers import Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.rvqgan.snake import EPSILON
from codec.streaming.minimal_filtering import SEVEN_TAPS
from codec.streaming.vector_kernels import (
    LANES,
    NAME,
    OUTPUTS_OF_2,
    OUTPUTS_OF_7,
    PRODUCTS_OF_2,
    PRODUCTS_OF_7,
    ROWS_OF,
    TILE_ROWS,
    convolve,
    filter_two_taps,
    residual_unit,
)

__all__ = ["NAME", "TWO_TAP_STEP", "convolution", "residual", "residual_step", "transposed"]

Rows = Float[Tensor, "_time _channel"]
Compute = Callable[[Rows, Rows], None]

BLOCK_ELEMENTS = 2**18  # samples times channels of the input of a convolution that are held in the cache
FILTER_ELEMENTS = 2**17  # the same of the transformed samples of a minimal filter, but at least
FILTER_TILES = 56  # so many tiles, since for fewer, reading the weights takes longer than the arithmetic
TWO_TAP_TILES = 112  # the same for two taps, whose weights are also transformed
TWO_TAP_STEP = OUTPUTS_OF_2  # rows that two taps make together, each of a stride of samples on the longer side
BLOCK_STEPS = next(iter(TILE_ROWS.values()))  # so many steps fill the tiles of a matrix product
_MAX_ROWS = max(ROWS_OF)
BUFFER_ELEMENTS = 2**22  # enough for nearly all layers; what is not written takes no memory
_NOTHING = np.empty(0, np.float32)
_buffers = local()


def _padded(count: int) -> int:
    """Return the number of channels that fill whole vectors."""
    return -(-count // LANES) * LANES


def _panel_width(columns: int) -> int:
    """Return the width of the panels that hold so many columns with the fewest unused ones."""
    widths = [LANES * vectors for vectors in TILE_ROWS]
    return min(widths, key=lambda width: -(-columns // width) * width)


def _panels(
    matrices: Iterable[Float[ndarray, "inner column"]], count: int, inner: int, columns: int, width: int
) -> Float32[ndarray, "panel matrix inner width"]:
    """Cut the columns of `count` matrices into panels; rows and columns that are missing are 0."""
    panels = np.zeros((-(-columns // width), count, inner, width), np.float32)
    for number, matrix in enumerate(matrices):  # one after the other, so that little memory is needed
        for panel, cut in enumerate(range(0, columns, width)):
            part = matrix[:, cut : cut + width]
            panels[panel, number, : len(part), : part.shape[1]] = part
    return panels


def _vector(values: Tensor | None, count: int, fill: float = 0.0) -> Float32[ndarray, " channel"]:
    """Return values of channels with `fill` for those that are added."""
    result = np.full(count, fill, np.float32)
    if values is not None:
        result[: values.numel()] = values.detach().reshape(-1).numpy()
    return result


def _snake_factors(activation: Snake1d | None, count: int) -> tuple[Float32[ndarray, " channel"], ...]:
    """Return α and 1/α, empty without activation."""
    if activation is None:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    alpha = _vector(activation.alpha, count, 1.0)
    return alpha, np.float32(1) / (alpha + np.float32(EPSILON))


def _buffer(elements: int) -> Float32[ndarray, " element"]:
    """Return memory of this thread, which the next call may return again."""
    if getattr(_buffers, "memory", _NOTHING).size < elements:
        _buffers.memory = None  # given back before more is taken
        _buffers.memory = np.empty(max(elements, BUFFER_ELEMENTS), np.float32)
    return _buffers.memory


def _divided(*shapes: tuple[int, ...]) -> list[Float32[ndarray, " element"]]:
    """Return arrays of these shapes in memory of this thread; rows after the last one may be read."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    memory, arrays, start = _buffer(sum(sizes)), [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(memory[start : start + size].reshape(shape))
        start += size
    return arrays


def _windowed(
    taps_weights: Float[ndarray, "tap channel column"],
    bias: Float32[ndarray, " column"],
    activation: Snake1d | None,
    stride: int,
) -> Compute:
    taps, channels, columns = taps_weights.shape
    padded, width = _padded(channels), _panel_width(columns)
    panels = _panels(taps_weights, taps, padded, columns, width)
    weights = panels.reshape(len(panels), taps * padded, width)
    offset = _vector(torch.from_numpy(bias), len(weights) * width)
    factors = _snake_factors(activation, padded)
    step = TILE_ROWS[width // LANES]
    block = max(1, BLOCK_ELEMENTS // (stride * padded) // step) * step

    def compute(x: Rows, out: Rows) -> None:
        read = (block - 1) * stride + taps
        spare = _MAX_ROWS * stride
        activated, tile = _divided((read + spare, padded), (_MAX_ROWS, width))
        windows = np.lib.stride_tricks.as_strided(
            activated, (block + _MAX_ROWS, taps * padded), (4 * stride * padded, 4)
        )
        convolve(
            x.numpy(), taps, stride, *factors, weights, offset, out.numpy(), block,
            activated[:read], windows, tile,
        )  # fmt: skip

    return compute


def _two_taps(
    matrices: Iterable[Float[ndarray, "row column"]],
    inner: int,
    bias: Float32[ndarray, " column"],
    activation: Snake1d | None,
    stride: int,
    cut: int,
) -> Compute:
    columns = len(bias)
    width = _panel_width(columns)
    weights = _panels(matrices, 2, inner, columns, width)
    offset = _vector(torch.from_numpy(bias), len(weights) * width)
    factors = _snake_factors(activation, inner // stride)
    step = TILE_ROWS[width // LANES]
    tiles = -(-max(TWO_TAP_TILES, FILTER_ELEMENTS // (PRODUCTS_OF_2 * inner)) // step) * step

    def compute(x: Rows, out: Rows) -> None:
        activated, transformed, taps, products, made = _divided(
            ((tiles * OUTPUTS_OF_2 + 1) * stride, inner // stride), (PRODUCTS_OF_2, tiles, inner), (inner, width),
            (PRODUCTS_OF_2, tiles, width), (OUTPUTS_OF_2, width),
        )  # fmt: skip
        filter_two_taps(
            x.numpy(), stride, tiles, *factors, weights, offset, cut, columns, out.numpy().reshape(-1), activated,
            transformed, taps, products, made,
        )  # fmt: skip

    return compute


def convolution(layer: Conv1d, activation: Snake1d | None) -> Compute:
    """Return what computes Snake and a convolution without dilation, possibly strided."""
    stride, taps = layer.stride[0], layer.kernel_size[0]
    weights = layer.weight.detach().permute(2, 1, 0).numpy()  # (tap, channel, column)
    bias = _vector(layer.bias, layer.out_channels)
    if taps != 2 * stride:
        return _windowed(weights, bias, activation, stride)
    padded = _padded(layer.in_channels)
    weights = np.pad(weights, ((0, 0), (0, padded - layer.in_channels), (0, 0)))
    rows = weights.reshape(2, stride * padded, layer.out_channels)
    return _two_taps(rows, stride * padded, bias, activation, stride, 0)


def transposed(layer: ConvTranspose1d, activation: Snake1d | None) -> Compute:
    """Return what computes Snake and a transposed convolution of kernel 2s and stride s, s/2 samples cut off.

    Samples js to js + s of the output are the first half of the kernel times input j plus the second half times
    input j - 1: a convolution with two taps and s times as many channels.
    """
    stride, channels = layer.stride[0], layer.out_channels
    first, second = layer.weight.detach().unflatten(2, (2, stride)).unbind(2)  # (channel, channel_out, phase)
    matrices = (half.transpose(1, 2).flatten(1).numpy() for half in (second, first))
    bias = np.tile(_vector(layer.bias, channels), stride)
    cut = int(layer.padding[0]) + (TWO_TAP_STEP - 1) * stride
    return _two_taps(matrices, _padded(layer.in_channels), bias, activation, 1, cut * channels)


def residual_step(dilation: int) -> int:
    """Return how many samples of a residual unit are computed together: tiles of its dilation, interleaved."""
    return OUTPUTS_OF_7 * dilation


def residual(unit: ResidualUnit) -> Compute:
    """Return what computes a residual unit: x + conv1(Snake(conv7(Snake(x))))."""
    first, wide, second, narrow = unit.block
    assert isinstance(first, Snake1d)
    assert isinstance(wide, Conv1d)
    assert isinstance(second, Snake1d)
    assert isinstance(narrow, Conv1d)
    channels, dilation = wide.in_channels, wide.dilation[0]
    padded, width = _padded(channels), _panel_width(channels)
    taps = wide.weight.detach().permute(2, 1, 0).contiguous().numpy()
    products = (np.einsum("t,tio->io", row, taps) for row in SEVEN_TAPS.taps)
    wide_weights = _panels(products, PRODUCTS_OF_7, channels, channels, width)
    narrow_weights = _panels(narrow.weight.detach().permute(2, 1, 0).numpy(), 1, channels, channels, width)[:, 0]
    held = len(wide_weights) * width
    wide_bias, narrow_bias = _vector(wide.bias, held), _vector(narrow.bias, held)
    factors, second_factors = _snake_factors(first, padded), _snake_factors(second, held)
    step = TILE_ROWS[width // LANES]
    tiles = max(FILTER_TILES, FILTER_ELEMENTS // (PRODUCTS_OF_7 * padded))
    groups = max(1, round(tiles / (dilation * step))) * step
    tiles = groups * dilation

    def compute(x: Rows, out: Rows) -> None:
        activated, transformed, products, hidden, tile = _divided(
            (tiles * OUTPUTS_OF_7 + 6 * dilation, padded), (PRODUCTS_OF_7, tiles, padded),
            (PRODUCTS_OF_7, tiles, width), (tiles * OUTPUTS_OF_7 + _MAX_ROWS, held), (_MAX_ROWS, width),
        )  # fmt: skip
        residual_unit(
            x.numpy(), dilation, groups, *factors, wide_weights, wide_bias, *second_factors, narrow_weights,
            narrow_bias, out.numpy(), activated, transformed, products, hidden, tile,
        )  # fmt: skip

    return compute
