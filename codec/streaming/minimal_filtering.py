"""Minimal filtering (Toom and Cook; Winograd 1980): fewer products for the outputs of a filter of a few taps.

A filter of 7 taps takes 12 products for 6 outputs, not 42, and one of 2 taps takes 6 for 5, not 10. The products
are those of two polynomials, evaluated at some points and at infinity. Transposed, that is a convolution:
y_i = Σ_k w_k x_{i+k} is y = outputs · ((taps · w) ∘ (inputs · x)) with the matrices of a `MinimalFilter`, where ∘
multiplies element by element. Over many channels each product becomes a matrix product of its own.

The constants are compiled into `codec.streaming.vector_kernels`. Numba notices a change of that file only, so
whoever changes them here must change something there.

Of all small fractions, those here give the smallest rounding errors: a relative error of a convolution of 256
channels in float32 of 7e-6 with 7 taps, and of 1e-6 with 2.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


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


def _powers(points: list[Fraction], count: int) -> list[list[Fraction]]:
    """Powers 0 to count - 1 of every point; at infinity only the highest one counts."""
    return [[point**power for power in range(count)] for point in points] + [
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


def _minimal_filter(taps: int, half: list[Fraction]) -> MinimalFilter:
    """Return the matrices for the points 0, ±`half` and infinity.

    Powers of two move from `inputs` to `taps`, so that the inputs keep their magnitude.
    """
    points = [Fraction(0), *(sign * point for point in half for sign in (1, -1))]
    products = len(points) + 1
    outputs = np.array(_powers(points, products - taps + 1), float).T
    inputs = np.array(_inverse(_powers(points, products)), float).T
    scale = 2.0 ** np.round(np.log2(np.abs(inputs).max(1, keepdims=True)))
    return MinimalFilter(outputs, np.array(_powers(points, taps), float) * scale, inputs / scale)


SEVEN_TAPS = _minimal_filter(7, [Fraction(1), Fraction(2, 3), Fraction(3, 2), Fraction(3, 8), Fraction(8, 3)])
TWO_TAPS = _minimal_filter(2, [Fraction(1), Fraction(2)])
