"""Vectors of 16 numbers for functions that Numba compiles: one value of each of 16 signals.

LLVM turns their operations into AVX-512, AVX2, SSE or NEON instructions, whatever the processor has. An array of
signals that lie side by side, float32 or float64 (..., 16), is used flat: ``load(array, i)`` takes the 16 values
from index i on. ``+``, ``-``, ``*`` and ``/`` work on two vectors. After a change here, remove the compiled
functions that use it from ``__pycache__``: Numba only sees changes of the module that a function stands in.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_ELEMENTS = {types.float32: (ir.FloatType(), "f32"), types.float64: (ir.DoubleType(), "f64")}

# P of log(1 + z) = z - z²/2 + z³ P(z) for √½ <= 1 + z < √2 (Cephes' logf, Moshier), the highest power first
_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip
_LOG_2 = 0.693359375, -2.12194440e-4
"""ln 2 in two parts, of which the first has few digits, so that its products with exponents are exact."""
_SQRT_HALF_BITS = 0x3F3504F3


class _VectorType(types.Type):
    def __init__(self, element: Any):
        self.element = element
        super().__init__(f"vector of 16 {element}")


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, _values(kind))


def _values(kind: _VectorType) -> ir.VectorType:
    return ir.VectorType(_ELEMENTS[kind.element][0], LANES)


def _repeated(kind: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _call(builder: Any, name: str, kind: _VectorType, *values: Any) -> Any:
    function = ir.FunctionType(_values(kind), [_values(kind)] * len(values))
    name = f"llvm.{name}.v{LANES}{_ELEMENTS[kind.element][1]}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)


def _of_llvm(name: str, *kinds: Any) -> Any:
    """What an intrinsic returns that is an instruction of LLVM on vectors of one kind."""
    kind = kinds[0]
    if not all(isinstance(of, _VectorType) and of == kind for of in kinds):
        return None
    return kind(*kinds), lambda _context, builder, _kinds, values: _call(builder, name, kind, *values)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to the 16 values of a flat array from an index on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _values(_VectorType(kind.dtype)).as_pointer())


def _bytes(kind: Any) -> int:
    return kind.dtype.bitwidth // 8


@intrinsic
def load(_typing: Any, array: Any, _index: Any) -> Any:
    """Return the 16 values of a flat array from an index on."""

    def generate(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, kinds.args[0], *values), align=_bytes(array))

    return _VectorType(array.dtype)(array, types.intp), generate


@intrinsic
def store(_typing: Any, array: Any, _index: Any, _vector: Any) -> Any:
    """Write 16 values to a flat array from an index on."""

    def generate(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
        builder.store(values[2], _place(context, builder, kinds.args[0], *values[:2]), align=_bytes(array))
        return context.get_dummy_value()

    return types.void(array, types.intp, _VectorType(array.dtype)), generate


@intrinsic
def filled(_typing: Any, value: Any) -> Any:
    """Return a vector whose 16 values are the same."""
    kind = _VectorType(value)

    def generate(_context: Any, builder: Any, _kinds: Any, values: Any) -> Any:
        undefined = ir.Constant(_values(kind), ir.Undefined)
        one = builder.insert_element(undefined, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, undefined, _repeated(_INTEGERS, 0))

    return kind(value), generate


@intrinsic
def product_sum(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c, rounded once where the processor can."""
    return _of_llvm("fmuladd", a, b, c)


@intrinsic
def root(_typing: Any, a: Any) -> Any:
    """Return the square root."""
    return _of_llvm("sqrt", a)


@intrinsic
def absolute(_typing: Any, a: Any) -> Any:
    """Return the absolute value."""
    return _of_llvm("fabs", a)


@intrinsic
def larger(_typing: Any, a: Any, b: Any) -> Any:
    """Return the larger of two values; NaN if the first is NaN, as a clamp of the first at the second needs."""

    def generate(_context: Any, builder: Any, _kinds: Any, values: Any) -> Any:
        a, b = values
        return builder.select(builder.fcmp_ordered("<", a, b), b, a)

    return a(a, b), generate


@intrinsic
def logarithm(_typing: Any, a: Any) -> Any:
    """Return the natural logarithm of positive normal float32, correct to 1e-7 of the larger of 1 and itself.

    Infinity and NaN, like 0 and negative numbers, give meaningless values.
    """
    floats = _values(a)

    def generate(_context: Any, builder: Any, _kinds: Any, values: Any) -> Any:
        bits = builder.bitcast(values[0], _INTEGERS)
        above = builder.sub(bits, _repeated(_INTEGERS, _SQRT_HALF_BITS))
        exponent = builder.ashr(above, _repeated(_INTEGERS, 23))
        mantissa = builder.sub(bits, builder.shl(exponent, _repeated(_INTEGERS, 23)))
        z = builder.fsub(builder.bitcast(mantissa, floats), _repeated(floats, 1.0))
        power = builder.sitofp(exponent, floats)
        square = builder.fmul(z, z)
        series = _repeated(floats, _LOG[0])
        for coefficient in _LOG[1:]:
            series = _call(builder, "fmuladd", a, series, z, _repeated(floats, coefficient))
        rest = builder.fmul(series, builder.fmul(square, z))
        rest = _call(builder, "fmuladd", a, power, _repeated(floats, _LOG_2[1]), rest)
        rest = _call(builder, "fmuladd", a, square, _repeated(floats, -0.5), rest)
        return _call(builder, "fmuladd", a, power, _repeated(floats, _LOG_2[0]), builder.fadd(z, rest))

    return a(a), generate


def _define(operation: Callable, instruction: str) -> None:
    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, _kws: Any) -> Any:
            alike = len(args) == 2 and isinstance(args[0], _VectorType) and args[0] == args[1]
            return signature(args[0], *args) if alike else None

    @lower_builtin(operation, _VectorType, _VectorType)
    def _lower(_context: Any, builder: Any, _kinds: Any, values: Any) -> Any:
        return getattr(builder, instruction)(*values)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")
