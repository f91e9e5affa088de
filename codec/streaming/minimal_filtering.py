"""Minimal filtering (Toom and Cook; Winograd 1980): a kernel of 7 taps with 12 products for 6 outputs, not 42.

The 12 products are those of two polynomials, evaluated at 11 points and at infinity. Transposed, that is a
convolution: y_i = Σ_k w_k x_{i+k} is y = outputs · ((taps · w) ∘ (inputs · x)) with the matrices of `FILTER`,
where ∘ multiplies element by element. Over many channels each product becomes a matrix product of its own.

The constants are compiled into `codec.streaming.vector_kernels`. Numba notices a change of that file only, so
whoever changes them here must change something there.

The points are 0, ±1, ±2/3, ±3/2, ±3/8, ±8/3 and infinity. Of all small fractions these give the smallest rounding
errors, a relative error of 7e-6 of a convolution of 256 channels in float32.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

TAPS = 7
OUTPUTS = 6
PRODUCTS = OUTPUTS + TAPS - 1

_HALF = [Fraction(1), Fraction(2, 3), Fraction(3, 2), Fraction(3, 8), Fraction(8, 3)]
POINTS = [Fraction(0), *(sign * point for point in _HALF for sign in (1, -1))]


class MinimalFilter(NamedTuple):
    """The three matrices of a minimal filter.

    Attributes
    ----------
    outputs : (output, product)
    taps : (product, tap)
    inputs : (product, input)
    """

    outputs: Float64[ndarray, "output product"]
    taps: Float64[ndarray, "product tap"]
    inputs: Float64[ndarray, "product input"]


def _powers(count: int) -> list[list[Fraction]]:
    """Powers 0 to count - 1 of every point; at infinity only the highest one counts."""
    return [[point**power for power in range(count)] for point in POINTS] + [
        [Fraction(0)] * (count - 1) + [Fraction(1)]
    ]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Exact inverse, by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]


def _minimal_filter() -> MinimalFilter:
    """Return the matrices; powers of two move from `inputs` to `taps`, so that the inputs keep their magnitude."""
    outputs = np.array(_powers(OUTPUTS), float).T
    taps = np.array(_powers(TAPS), float)
    inputs = np.array(_inverse(_powers(PRODUCTS)), float).T
    scale = 2.0 ** np.round(np.log2(np.abs(inputs).max(1, keepdims=True)))
    return MinimalFilter(outputs, taps * scale, inputs / scale)


FILTER = _minimal_filter()
