"""The innermost loops of the network, written for the vector registers of the processor.

Numba lets a function emit LLVM's own instructions (`intrinsic`). Those here work on vectors of as many float32 as
the processor's registers hold, which LLVM turns into AVX-512, AVX2 or NEON from this one source, when the codec
first runs. Every sum has a fixed order and every product with a sum is one fused operation, so the bits depend
neither on the width of the vectors nor on how the rows are divided.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from codec.rvqgan.snake import INVERSE_PI, PI_PARTS, SINE
from codec.streaming.minimal_filtering import FILTER, OUTPUTS, PRODUCTS, TAPS
from render.common.compiled import compiled


def _features() -> set[str]:
    """Instruction sets that Numba compiles for, as LLVM names them."""
    if numba.config.CPU_FEATURES is not None:
        return {name[1:] for name in numba.config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, present in llvmlite.binding.get_host_cpu_features().items() if present}


def _instruction_set() -> tuple[str, int, int] | None:
    """Return name, float32 per register and registers of the widest vectors, or None without fused operations."""
    found = _features()
    if "avx512f" in found:
        return "AVX-512", 16, 32
    if {"avx2", "fma"} <= found:
        return "AVX2", 8, 16
    if "neon" in found or llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64")):
        return "NEON", 4, 32
    return None


INSTRUCTION_SET = _instruction_set()
NAME, LANES, REGISTERS = INSTRUCTION_SET or ("none", 4, 16)
# Rows of a tile of a matrix product for each number of vectors in its width: as many as the registers hold
TILE_ROWS = {3: 8, 4: 6, 2: 10, 1: 14} if REGISTERS == 32 else {2: 6, 1: 10}
ROWS_OF = tuple(TILE_ROWS.get(vectors, 0) for vectors in range(5))

_FLOAT, _LONG, _INT = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)


class _Code:
    """Writes vector instructions."""

    def __init__(self, context: Any, builder: Any):
        self.context, self.builder = context, builder

    def array(self, kind: Any, value: Any) -> tuple[Any, list[Any], list[Any]]:
        """Return pointer, strides in elements and shape of an array."""
        made = self.context.make_array(kind)(self.context, self.builder, value)
        strides = [self.builder.ashr(s, self.long(2)) for s in cgutils.unpack_tuple(self.builder, made.strides)]
        return made.data, strides, cgutils.unpack_tuple(self.builder, made.shape)

    @staticmethod
    def long(value: int) -> Any:
        return ir.Constant(_LONG, value)

    @staticmethod
    def constant(value: float | np.floating) -> Any:
        return ir.Constant(_VECTOR, [float(np.float32(value))] * LANES)

    def at(self, pointer: Any, index: Any) -> Any:
        return self.builder.gep(pointer, [index])

    def load(self, pointer: Any, index: Any) -> Any:
        place = self.builder.bitcast(self.at(pointer, index), _VECTOR.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, vector: Any, pointer: Any, index: Any) -> None:
        place = self.builder.bitcast(self.at(pointer, index), _VECTOR.as_pointer())
        self.builder.store(vector, place, align=4)

    def repeated(self, scalar: Any) -> Any:
        one = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_INT, 0))
        lanes = ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), lanes)

    def _call(self, name: str, *vectors: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(vectors))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return self.builder.call(function, vectors)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c, rounded once."""
        return self._call("fma", a, b, c)

    def snake(self, x: Any, alpha: Any, inverse: Any) -> Any:
        """Return x + sin²(αx)/α, as `codec.rvqgan.snake` computes it."""
        u = self.builder.fmul(alpha, x)
        k = self._call("rint", self.builder.fmul(u, self.constant(INVERSE_PI)))
        for part in PI_PARTS:
            u = self.fused(k, self.constant(-part), u)
        square = self.builder.fmul(u, u)
        sine = self.constant(SINE[-1])
        for coefficient in SINE[-2::-1]:
            sine = self.fused(square, sine, self.constant(coefficient))
        sine = self.builder.fmul(u, sine)
        return self.fused(self.builder.fmul(sine, sine), inverse, x)

    def weighted(self, weights: np.ndarray, vectors: list[Any]) -> Any:
        """Return the sum of the vectors with constant weights, of which some are 0 and 1; None if all are 0."""
        total = None
        for weight, vector in zip(weights, vectors, strict=True):
            if weight == 0:
                continue
            if total is None:
                total = vector if weight == 1 else self.builder.fmul(self.constant(weight), vector)
            elif weight == 1:
                total = self.builder.fadd(total, vector)
            else:
                total = self.fused(self.constant(weight), vector, total)
        return total

    def columns(self, count: Any) -> Any:
        """Loop over a row of `count` elements, vector by vector; its `index` counts elements."""
        return cgutils.for_range_slice(self.builder, self.long(0), count, self.long(LANES), _LONG)


def _emitted(*arguments: Any, write: Any) -> Any:
    """Return what an intrinsic without result returns: its signature, and the function that writes its code."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = _Code(context, builder)
        write(code, *(
            code.array(kind, value) if isinstance(kind, types.Array) else None
            for kind, value in zip(signature.args, values, strict=True)
        ))  # fmt: skip
        return context.get_dummy_value()

    return types.void(*arguments), generate


@intrinsic
def tile_product(typing, a, b, bias, out):
    """Write a · b + bias to a tile of `out`; a (row, inner), b (inner, width), out (row, width).

    `width` is a multiple of `LANES` for which `TILE_ROWS` has the number of rows. Each element is summed in the
    order of `inner`. `bias` (width,) may be None.
    """

    def write(code: _Code, a: Any, b: Any, bias: Any, out: Any) -> None:
        builder = code.builder
        after = builder.append_basic_block("after")
        switch = builder.switch(builder.sdiv(b[2][1], code.long(LANES)), after)
        for vectors, rows in TILE_ROWS.items():
            block = builder.append_basic_block(f"tile{vectors}")
            switch.add_case(code.long(vectors), block)
            builder.position_at_end(block)
            _write_tile(code, a, b, bias, out, rows, vectors)
            builder.branch(after)
        builder.position_at_end(after)

    return _emitted(a, b, bias, out, write=write)


def _write_tile(code: _Code, a: Any, b: Any, bias: Any, out: Any, rows: int, vectors: int) -> None:
    builder = code.builder
    zero = code.constant(0.0)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for place in row:
            builder.store(zero, place)
    starts = [code.at(a[0], builder.mul(a[1][0], code.long(row))) for row in range(rows)]
    offsets = [code.long(LANES * vector) for vector in range(vectors)]
    with cgutils.for_range(builder, b[2][0]) as inner:
        line = code.at(b[0], builder.mul(inner.index, code.long(LANES * vectors)))
        weights = [code.load(line, offset) for offset in offsets]
        for row in range(rows):
            value = code.repeated(builder.load(code.at(starts[row], inner.index)))
            for vector in range(vectors):
                place = sums[row][vector]
                builder.store(code.fused(value, weights[vector], builder.load(place)), place)
    for row in range(rows):
        line = code.at(out[0], builder.mul(out[1][0], code.long(row)))
        for vector, offset in enumerate(offsets):
            total = builder.load(sums[row][vector])
            if bias is not None:
                total = builder.fadd(total, code.load(bias[0], offset))
            code.store(total, line, offset)


@intrinsic
def snake_rows(typing, x, alpha, inverse):
    """Apply Snake in place; x (row, channel), of which the channels are a multiple of `LANES`."""

    def write(code: _Code, x: Any, alpha: Any, inverse: Any) -> None:
        with cgutils.for_range(code.builder, x[2][0]) as row:
            line = code.at(x[0], code.builder.mul(x[1][0], row.index))
            with code.columns(x[2][1]) as (index, _):
                factors = code.load(alpha[0], index), code.load(inverse[0], index)
                code.store(code.snake(code.load(line, index), *factors), line, index)

    return _emitted(x, alpha, inverse, write=write)


@intrinsic
def filter_inputs(typing, x, out):
    """Write FILTER.inputs · x to `out`; x (input, channel), out (product, channel), rows at any distance."""

    def write(code: _Code, x: Any, out: Any) -> None:
        builder = code.builder
        with code.columns(x[2][1]) as (index, _):
            rows = [code.load(code.at(x[0], builder.mul(x[1][0], code.long(i))), index) for i in range(PRODUCTS)]
            # Of points p and -p, the products of even powers are equal and those of odd powers opposite.
            for product in (0, *range(1, PRODUCTS - 1, 2), PRODUCTS - 1):
                weights = FILTER.inputs[product].copy()
                if product in (0, PRODUCTS - 1):
                    results = [code.weighted(weights, rows)]
                else:
                    mirrored = FILTER.inputs[product + 1]
                    same = code.weighted(np.where(weights == mirrored, weights, 0), rows)
                    opposite = code.weighted(np.where(weights == mirrored, 0, weights), rows)
                    results = [builder.fadd(same, opposite), builder.fsub(same, opposite)]
                for offset, result in enumerate(results):
                    code.store(result, code.at(out[0], builder.mul(out[1][0], code.long(product + offset))), index)

    return _emitted(x, out, write=write)


@intrinsic
def filter_outputs(typing, products, bias, alpha, inverse, out):
    """Write Snake(FILTER.outputs · products + bias) to `out`; products (product, width), out (output, width)."""

    def write(code: _Code, products: Any, bias: Any, alpha: Any, inverse: Any, out: Any) -> None:
        builder = code.builder
        with code.columns(products[2][1]) as (index, _):
            rows = [
                code.load(code.at(products[0], builder.mul(products[1][0], code.long(i))), index)
                for i in range(PRODUCTS)
            ]
            pairs = range(1, PRODUCTS - 1, 2)
            sums = [builder.fadd(rows[i], rows[i + 1]) for i in pairs]
            differences = [builder.fsub(rows[i], rows[i + 1]) for i in pairs]
            factors = [code.load(array[0], index) for array in (bias, alpha, inverse)]
            for output in range(OUTPUTS):
                weights = FILTER.outputs[output]
                parts = differences if output % 2 else sums
                vectors = [rows[0], *parts, rows[PRODUCTS - 1]]
                total = code.weighted(np.array([weights[0], *(weights[i] for i in pairs), weights[-1]]), vectors)
                result = code.snake(builder.fadd(total, factors[0]), *factors[1:])
                code.store(result, code.at(out[0], builder.mul(out[1][0], code.long(output))), index)

    return _emitted(products, bias, alpha, inverse, out, write=write)


@compiled(nogil=True, error_model="numpy")
def _product(a, rows, weights, bias, skip, out, tile):
    """Write a · weights + bias + skip to `out` (rows, column); `a` may be read beyond its rows.

    `skip` has as many rows as `out`, or none. `tile` holds a tile that reaches beyond the end of `out`.
    """
    panels, _, width = weights.shape
    step = ROWS_OF[width // LANES]
    for panel in range(panels):
        left = panel * width
        right = min(left + width, out.shape[1])
        for top in range(0, rows, step):
            bottom = min(top + step, rows)
            block = out[top:bottom, left:right]
            whole = bottom - top == step and right - left == width
            target = block if whole else tile
            tile_product(a[top:], weights[panel], bias[left : left + width], target)
            if whole and not len(skip):
                continue
            for row in range(bottom - top):
                for column in range(right - left):
                    block[row, column] = target[row, column]
                    if len(skip):
                        block[row, column] += skip[top + row, left + column]


@compiled(nogil=True, error_model="numpy")
def _activated(x, alpha, inverse, out):
    """Write Snake(x), and zeros after its last row and channel."""
    rows, channels = x.shape
    for row in range(rows):
        for channel in range(channels):
            out[row, channel] = x[row, channel]
        for channel in range(channels, out.shape[1]):
            out[row, channel] = 0
    for row in range(rows, len(out)):
        for channel in range(out.shape[1]):
            out[row, channel] = 0
    if len(alpha):
        snake_rows(out[:rows], alpha, inverse)


@compiled(nogil=True, error_model="numpy")
def convolve(x, taps, stride, alpha, inverse, weights, bias, cut, out, block, activated, windows, products, tile):
    """Write the convolution of Snake(x), without its first `cut` elements, to `out` (element,).

    `windows` (row, tap · channel) are views of `activated`, of which a block has `block` rows; `products` has room
    for what a block makes.
    """
    count = (len(x) - taps) // stride + 1
    columns = products.shape[1]
    for first in range(0, count, block):
        rows = min(block, count - first)
        begin = first * stride
        _activated(x[begin : begin + (rows - 1) * stride + taps], alpha, inverse, activated)
        _product(windows, rows, weights, bias, products[:0], products, tile)
        made = products[:rows].reshape(rows * columns)
        start = first * columns - cut
        for element in range(max(0, -start), min(len(made), len(out) - start)):
            out[start + element] = made[element]


@compiled(nogil=True, error_model="numpy")
def residual_unit(
    x, dilation, groups, alpha, inverse, wide, wide_bias, second_alpha, second_inverse, narrow, narrow_bias, out,
    activated, transformed, products, hidden, tile,
):  # fmt: skip
    """Write x + conv1(Snake(conv7(Snake(x)))) to `out`.

    A group is `dilation` interleaved tiles, each of `OUTPUTS` samples; a block has `groups` of them.
    """
    period = OUTPUTS * dilation
    margin = (TAPS - 1) * dilation // 2
    panels, _, _, width = wide.shape
    step = ROWS_OF[width // LANES]
    for first in range(0, len(out), groups * period):
        rows = min(groups * period, len(out) - first)
        tiles = (rows + period - 1) // period * dilation
        read = tiles * OUTPUTS + 2 * margin
        _activated(x[first : first + read], alpha, inverse, activated[:read])
        for number in range(tiles):
            start = number // dilation * period + number % dilation
            filter_inputs(activated[start::dilation], transformed[:, number])
        for panel in range(panels):
            left = panel * width
            channels = slice(left, left + width)
            for product in range(PRODUCTS):
                for top in range(0, tiles, step):
                    tile_product(transformed[product, top:], wide[panel, product], None, products[product, top:])
            for number in range(tiles):
                start = number // dilation * period + number % dilation
                filter_outputs(
                    products[:, number], wide_bias[channels], second_alpha[channels], second_inverse[channels],
                    hidden[start::dilation, channels],
                )  # fmt: skip
        skip = x[first + margin : first + margin + rows]
        _product(hidden[:, : narrow.shape[1]], rows, narrow, narrow_bias, skip, out[first : first + rows], tile)
