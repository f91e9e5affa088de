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
from codec.streaming.minimal_filtering import SEVEN_TAPS, TWO_TAPS, MinimalFilter
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

    def row(self, array: Any, index: Any) -> Any:
        """Return where a row of an array begins."""
        index = self.long(index) if isinstance(index, int) else index
        return self.at(array[0], self.builder.mul(array[1][0], index))

    def load(self, pointer: Any, index: Any) -> Any:
        place = self.builder.bitcast(self.at(pointer, index), _VECTOR.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, vector: Any, pointer: Any, index: Any) -> None:
        place = self.builder.bitcast(self.at(pointer, index), _VECTOR.as_pointer())
        self.builder.store(vector, place, align=4)

    def prefetch(self, pointer: Any, index: Any, write: bool = False) -> None:
        """Fetch a cache line that will be read or written."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        place = self.builder.bitcast(self.at(pointer, index), byte)
        self.builder.call(function, [place, _INT(int(write)), _INT(3), _INT(1)])

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
def tile_product(typing, a, b, bias, skip, out):
    """Write a · b + bias + skip to a tile of `out`; a (row, inner), b (inner, width), skip and out (row, width).

    `width` is a multiple of `LANES` for which `TILE_ROWS` has the number of rows. Each element is summed in the
    order of `inner`. `bias` (width,) and `skip` may be None.
    """

    def write(code: _Code, a: Any, b: Any, bias: Any, skip: Any, out: Any) -> None:
        builder = code.builder
        after = builder.append_basic_block("after")
        switch = builder.switch(builder.sdiv(b[2][1], code.long(LANES)), after)
        for vectors, rows in TILE_ROWS.items():
            block = builder.append_basic_block(f"tile{vectors}")
            switch.add_case(code.long(vectors), block)
            builder.position_at_end(block)
            _write_tile(code, a, b, bias, skip, out, rows, vectors)
            builder.branch(after)
        builder.position_at_end(after)

    return _emitted(a, b, bias, skip, out, write=write)


def _write_tile(code: _Code, a: Any, b: Any, bias: Any, skip: Any, out: Any, rows: int, vectors: int) -> None:
    builder = code.builder
    zero = code.constant(0.0)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for place in row:
            builder.store(zero, place)
    starts = [code.row(a, row) for row in range(rows)]
    offsets = [code.long(LANES * vector) for vector in range(vectors)]
    for row in range(rows):
        for offset in offsets:
            code.prefetch(code.row(out, row), offset, write=True)
            if skip is not None:
                code.prefetch(code.row(skip, row), offset)
    with cgutils.for_range(builder, b[2][0]) as inner:
        line = code.at(b[0], builder.mul(inner.index, code.long(LANES * vectors)))
        weights = [code.load(line, offset) for offset in offsets]
        for row in range(rows):
            value = code.repeated(builder.load(code.at(starts[row], inner.index)))
            for vector in range(vectors):
                place = sums[row][vector]
                builder.store(code.fused(value, weights[vector], builder.load(place)), place)
    for row in range(rows):
        line = code.row(out, row)
        for vector, offset in enumerate(offsets):
            total = builder.load(sums[row][vector])
            if bias is not None:
                total = builder.fadd(total, code.load(bias[0], offset))
            if skip is not None:
                total = builder.fadd(total, code.load(code.row(skip, row), offset))
            code.store(total, line, offset)


@intrinsic
def snake_rows(typing, x, alpha, inverse, out):
    """Write Snake(x) to `out`; both (row, channel), of which the channels are a multiple of `LANES`."""

    def write(code: _Code, x: Any, alpha: Any, inverse: Any, out: Any) -> None:
        with cgutils.for_range(code.builder, x[2][0]) as row:
            source, target = code.row(x, row.index), code.row(out, row.index)
            with code.columns(x[2][1]) as (index, _):
                factors = code.load(alpha[0], index), code.load(inverse[0], index)
                code.store(code.snake(code.load(source, index), *factors), target, index)

    return _emitted(x, alpha, inverse, out, write=write)


def _filter_inputs(filtering: MinimalFilter) -> Any:
    products = len(filtering.inputs)

    @intrinsic
    def filter_inputs(typing, x, out):
        """Write the inputs' matrix · x to `out`; x (input, channel), out (product, channel)."""

        def write(code: _Code, x: Any, out: Any) -> None:
            builder = code.builder
            with code.columns(x[2][1]) as (index, _):
                rows = [code.load(code.row(x, i), index) for i in range(products)]
                # Of points p and -p, the products of even powers are equal and those of odd powers opposite.
                for product in (0, *range(1, products - 1, 2), products - 1):
                    weights = filtering.inputs[product].copy()
                    if product in (0, products - 1):
                        results = [code.weighted(weights, rows)]
                    else:
                        mirrored = filtering.inputs[product + 1]
                        same = code.weighted(np.where(weights == mirrored, weights, 0), rows)
                        opposite = code.weighted(np.where(weights == mirrored, 0, weights), rows)
                        results = [builder.fadd(same, opposite), builder.fsub(same, opposite)]
                    for offset, result in enumerate(results):
                        code.store(result, code.row(out, product + offset), index)

        return _emitted(x, out, write=write)

    return filter_inputs


def _filter_outputs(filtering: MinimalFilter) -> Any:
    outputs, products = filtering.outputs.shape

    @intrinsic
    def filter_outputs(typing, made, bias, alpha, inverse, out):
        """Write Snake(matrix · made + bias) to `out`; made (product, width), out (output, width).

        The matrix is that of the outputs. Without Snake if `alpha` is None.
        """

        def write(code: _Code, made: Any, bias: Any, alpha: Any, inverse: Any, out: Any) -> None:
            builder = code.builder
            with code.columns(made[2][1]) as (index, _):
                rows = [code.load(code.row(made, i), index) for i in range(products)]
                pairs = range(1, products - 1, 2)
                sums = [builder.fadd(rows[i], rows[i + 1]) for i in pairs]
                differences = [builder.fsub(rows[i], rows[i + 1]) for i in pairs]
                offset = code.load(bias[0], index)
                factors = [code.load(array[0], index) for array in (alpha, inverse) if array is not None]
                for output in range(outputs):
                    weights = filtering.outputs[output]
                    parts = differences if output % 2 else sums
                    vectors = [rows[0], *parts, rows[products - 1]]
                    total = code.weighted(
                        np.array([weights[0], *(weights[i] for i in pairs), weights[-1]]), vectors
                    )
                    result = builder.fadd(total, offset)
                    if factors:
                        result = code.snake(result, *factors)
                    code.store(result, code.row(out, output), index)

        return _emitted(made, bias, alpha, inverse, out, write=write)

    return filter_outputs


OUTPUTS_OF_7, PRODUCTS_OF_7 = SEVEN_TAPS.outputs.shape
OUTPUTS_OF_2, PRODUCTS_OF_2 = TWO_TAPS.outputs.shape
_TWO_TAPS = TWO_TAPS.taps.astype(np.float32)
_inputs_of_7, _outputs_of_7 = _filter_inputs(SEVEN_TAPS), _filter_outputs(SEVEN_TAPS)
_inputs_of_2, _outputs_of_2 = _filter_inputs(TWO_TAPS), _filter_outputs(TWO_TAPS)


@compiled(nogil=True, error_model="numpy")
def _block(total, most, step):
    """Return the size of the fewest equal blocks of at most `most`, a multiple of `step` as `most` is."""
    blocks = max(1, -(-total // most))
    return -(-total // (blocks * step)) * step


@compiled(nogil=True, error_model="numpy")
def _panel_product(a, rows, panel, out):
    """Write a · panel to `out` (row, width), of which rows after the last are written, and of `a` read."""
    step = ROWS_OF[panel.shape[1] // LANES]
    for top in range(0, rows, step):
        tile_product(a[top:], panel, None, None, out[top:])


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
        offset = bias[left : left + width]
        for top in range(0, rows, step):
            bottom = min(top + step, rows)
            block = out[top:bottom, left:right]
            whole = bottom - top == step and right - left == width
            if whole and len(skip):
                tile_product(a[top:], weights[panel], offset, skip[top:bottom, left:right], block)
                continue
            tile_product(a[top:], weights[panel], offset, None, block if whole else tile)
            if whole:
                continue
            for row in range(bottom - top):
                for column in range(right - left):
                    block[row, column] = tile[row, column]
                    if len(skip):
                        block[row, column] += skip[top + row, left + column]


@compiled(nogil=True, error_model="numpy")
def _activated(x, alpha, inverse, out):
    """Write Snake(x), and zeros after its last row and channel."""
    rows, channels = x.shape
    for row in range(rows, len(out)):
        for channel in range(out.shape[1]):
            out[row, channel] = 0
    if len(alpha) and channels == out.shape[1]:
        snake_rows(x, alpha, inverse, out)
        return
    for row in range(rows):
        for channel in range(channels):
            out[row, channel] = x[row, channel]
        for channel in range(channels, out.shape[1]):
            out[row, channel] = 0
    if len(alpha):
        snake_rows(out[:rows], alpha, inverse, out)


@compiled(nogil=True, error_model="numpy")
def convolve(x, taps, stride, alpha, inverse, weights, bias, out, block, activated, windows, tile):
    """Write the convolution of Snake(x) to `out` (row, column).

    `windows` (row, tap · channel) are views of `activated`, of which a block has `block` rows.
    """
    for first in range(0, len(out), block):
        rows = min(block, len(out) - first)
        begin = first * stride
        _activated(x[begin : begin + (rows - 1) * stride + taps], alpha, inverse, activated)
        _product(windows, rows, weights, bias, out[:0], out[first : first + rows], tile)


@compiled(nogil=True, error_model="numpy")
def filter_two_taps(
    x,
    stride,
    tiles,
    alpha,
    inverse,
    weights,
    bias,
    cut,
    columns,
    out,
    activated,
    transformed,
    taps,
    products,
    made,
):
    """Write the convolution of Snake(x) with two taps, without its first `cut` elements, to `out` (element,).

    A row is `stride` samples of x. A tile makes `OUTPUTS_OF_2` rows of `columns` elements, and a block has `tiles`
    of them. The weights (panel, tap, row, width) are transformed for each block anew: transformed they would take
    three times the memory, and longer to be read.
    """
    count = len(x) // stride - 1
    panels, _, inner, width = weights.shape
    tiles = _block(-(-count // OUTPUTS_OF_2), tiles, ROWS_OF[width // LANES])
    rows = activated.reshape(len(activated) // stride, inner)
    flat = taps.reshape(inner * width)
    skipped = (cut + columns - 1) // columns  # rows that are not whole
    begin = skipped * columns - cut
    whole = (len(out) - begin) // columns
    whole_rows = out[begin : begin + whole * columns].reshape(whole, columns)
    for first in range(0, count, tiles * OUTPUTS_OF_2):
        number = min(tiles, (count - first + OUTPUTS_OF_2 - 1) // OUTPUTS_OF_2)
        read = number * OUTPUTS_OF_2 + 1
        _activated(x[first * stride : (first + read) * stride], alpha, inverse, activated[: read * stride])
        for tile in range(number):
            _inputs_of_2(rows[tile * OUTPUTS_OF_2 :], transformed[:, tile])
        for panel in range(panels):
            left = panel * width
            kept = min(width, columns - left)
            one, other = weights[panel, 0].reshape(inner * width), weights[panel, 1].reshape(inner * width)
            for product in range(PRODUCTS_OF_2):
                a, b = _TWO_TAPS[product, 0], _TWO_TAPS[product, 1]
                for element in range(inner * width):
                    flat[element] = a * one[element] + b * other[element]  # a and b are powers of two
                _panel_product(transformed[product], number, taps, products[product])
            offset = bias[left : left + width]
            for tile in range(number):
                top = first + tile * OUTPUTS_OF_2 - skipped
                if top >= 0 and top + OUTPUTS_OF_2 <= whole and kept == width:
                    block = whole_rows[top : top + OUTPUTS_OF_2, left : left + width]
                    _outputs_of_2(products[:, tile], offset, None, None, block)
                    continue
                _outputs_of_2(products[:, tile], offset, None, None, made)
                for row in range(min(OUTPUTS_OF_2, count - top - skipped)):
                    start = (top + row) * columns + begin + left
                    for column in range(max(0, -start), min(kept, len(out) - start)):
                        out[start + column] = made[row, column]


@compiled(nogil=True, error_model="numpy")
def residual_unit(
    x, dilation, groups, alpha, inverse, wide, wide_bias, second_alpha, second_inverse, narrow, narrow_bias, out,
    activated, transformed, products, hidden, tile,
):  # fmt: skip
    """Write x + conv1(Snake(conv7(Snake(x)))) to `out`.

    A group is `dilation` interleaved tiles, each of `OUTPUTS_OF_7` samples; a block has at most `groups` of them.
    """
    period = OUTPUTS_OF_7 * dilation
    margin = 3 * dilation
    panels, _, _, width = wide.shape
    groups = _block(-(-len(out) // period), groups, ROWS_OF[width // LANES])
    for first in range(0, len(out), groups * period):
        rows = min(groups * period, len(out) - first)
        tiles = (rows + period - 1) // period * dilation
        read = tiles * OUTPUTS_OF_7 + 2 * margin
        _activated(x[first : first + read], alpha, inverse, activated[:read])
        for number in range(tiles):
            start = number // dilation * period + number % dilation
            _inputs_of_7(activated[start::dilation], transformed[:, number])
        for panel in range(panels):
            left = panel * width
            channels = slice(left, left + width)
            for product in range(PRODUCTS_OF_7):
                _panel_product(transformed[product], tiles, wide[panel, product], products[product])
            for number in range(tiles):
                start = number // dilation * period + number % dilation
                _outputs_of_7(
                    products[:, number], wide_bias[channels], second_alpha[channels], second_inverse[channels],
                    hidden[start::dilation, channels],
                )  # fmt: skip
        skip = x[first + margin : first + margin + rows]
        _product(hidden[:, : narrow.shape[1]], rows, narrow, narrow_bias, skip, out[first : first + rows], tile)
