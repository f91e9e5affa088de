"""A test of all conditions together that does not pool their variances, for listeners and items that are samples.

It is to `analysis.statistics.crossed.crossed_mean` of two conditions' differences what the Greenhouse-Geisser test
is to the paired t test, and equals it for two conditions. With d the contrasts of the conditions (orthonormal, p
of them) in every cell, m their mean and M_L, M_I, M_E the mean squares *and products* of listeners, items and
residual, the covariance of m is ``V = (M_L + M_I - M_E) / (L I)``. Then ``F = m'm / tr V`` has by Box's
approximation (Ann. Math. Stat. 25, 1954) ``tr(V)^2 / tr(V^2)`` and, since tr V is estimated, Satterthwaite's
``tr(V)^2 / sum of tr(S^2) / df`` degrees of freedom, S the parts of V. Each condition has a variance of its own
in V.

A square ``tr(M^2)`` of an estimated matrix is too large on average; its estimate for a normal sample is
``n^2 / ((n + 2) (n - 1)) (tr(M^2) - tr(M)^2 / n)`` with n degrees of freedom (Huynh and Feldt 1976 correct epsilon
likewise), and it lies between ``tr(M)^2 / p`` and ``tr(M)^2``.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float64

from analysis.statistics.anova import f_tail, orthonormal_contrasts
from analysis.statistics.mixed_inference import OmnibusF
from render.common.errors import InputError


def crossed_omnibus(scores: Float64[np.ndarray, "listener item condition"]) -> OmnibusF:
    """Test whether all conditions have one mean over all listeners and items of their kind.

    If the trace of a factor's mean squares does not exceed the residual's, its components are estimated as zero
    and it is pooled with the residual, as in `crossed_mean`. All values are NaN if the
    differences of the conditions do not vary.

    Raises
    ------
    InputError
        If there are fewer than 2 listeners, items or conditions, or ratings are missing.
    """
    if np.isnan(scores).any() or min(scores.shape) < 2:
        raise InputError(
            "the test of all conditions over such material needs 2 listeners, items and conditions, all rated"
        )
    listeners, items, conditions = scores.shape
    d = scores @ orthonormal_contrasts(conditions)
    mean = d.mean(axis=(0, 1))
    deviation = d - mean
    by_listener, by_item = deviation.mean(axis=1), deviation.mean(axis=0)
    rest = (deviation - by_listener[:, None] - by_item).reshape(-1, conditions - 1)
    factors = [
        (items * by_listener.T @ by_listener, listeners - 1),
        (listeners * by_item.T @ by_item, items - 1),
    ]
    error = (rest.T @ rest, (listeners - 1) * (items - 1))
    left = []
    for squares, df in sorted(factors, key=_mean_square):
        if _mean_square((squares, df)) <= _mean_square(error):
            error = (error[0] + squares, error[1] + df)
        else:
            left.append((squares / df, df))
    residual = (error[0] / error[1], error[1])
    parts = left + [residual] * (len(left) != 1)
    signs = [1.0, 1.0, -1.0] if len(left) == 2 else [1.0]
    v = sum(sign * matrix for (matrix, _), sign in zip(parts, signs, strict=True))
    trace = float(np.trace(v))
    if trace <= 1e-12 * (1 + np.sum(d**2)):
        return OmnibusF(*[float("nan")] * 4)
    squares_of = [_square(matrix, df) for matrix, df in parts]
    products = sum(
        2 * signs[i] * signs[j] * float(np.sum(parts[i][0] * parts[j][0]))
        for i, j in combinations(range(len(parts)), 2)
    )
    square = np.clip(sum(squares_of) + products, trace**2 / (conditions - 1), trace**2)
    df = float(trace**2 / square)
    df_error = trace**2 / sum(own / df for own, (_, df) in zip(squares_of, parts, strict=True))
    f = float(scores[..., 0].size * mean @ mean / trace)
    return OmnibusF(f, df, float(df_error), f_tail(df, df_error, f))


def _mean_square(factor: tuple[np.ndarray, int]) -> float:
    return float(np.trace(factor[0])) / factor[1]


def _square(matrix: Float64[np.ndarray, "p p"], df: int) -> float:
    """Return the estimate of ``tr(M^2)`` from an estimate of M with `df` degrees of freedom."""
    trace, p = float(np.trace(matrix)), len(matrix)
    if df < 2:
        return trace**2
    square = df**2 / ((df + 2) * (df - 1)) * (float(np.sum(matrix**2)) - trace**2 / df)
    return float(np.clip(square, trace**2 / p, trace**2))
