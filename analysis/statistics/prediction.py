"""How well a measure predicts mean scores: mapping, errors and outliers of Recommendation ITU-T P.1401."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import optimize, special

MIN_FOR_CUBIC = 8
"""Smallest number of different values for which a third-order mapping is fitted; below it is a straight line."""


@dataclass(frozen=True)
class Mapping:
    """Scores as a measure predicts them, the name of the mapping, and the number of its coefficients."""

    predicted: Float64[np.ndarray, " stimulus"]
    name: str
    coefficients: int


def monotone_mapping(measure: Float64[np.ndarray, " n"], scores: Float64[np.ndarray, " n"]) -> Mapping:
    """Map a measure to scores by the least-squares polynomial of third order that is monotone over its values.

    P.1401 prescribes such a mapping before errors are computed, since measures have scales of their own. The
    direction is that of the better fit. For fewer than `MIN_FOR_CUBIC` different values it is a straight line.
    """
    span = np.ptp(measure)
    if span <= 0:
        return Mapping(np.full_like(scores, scores.mean()), "none", 1)
    u = (measure - measure.min()) / span
    if np.unique(u).size < MIN_FOR_CUBIC:
        return Mapping(np.polyval(np.polyfit(u, scores, 1), u), "linear", 2)
    rising, falling = _monotone_cubic(u, scores), -_monotone_cubic(u, -scores)
    errors = [float(np.sum((scores - fit) ** 2)) for fit in (rising, falling)]
    return Mapping(rising if errors[0] <= errors[1] else falling, "cubic", 4)


def _monotone_cubic(u: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return the fit of least squares among the third-order polynomials that rise on 0..1.

    If the free fit rises, it is that. Else the best one has a slope that touches zero: at an end, where the slope
    ``A (1-u)^2 + B u^2 + 2 C u (1-u)`` has A, B, C >= 0, or inside, where the polynomial is ``a + k (u - u0)^3``.
    """
    free = np.polyfit(u, y, 3)
    second, first, _ = slope = np.polyder(free)
    turn = -first / (2 * second) if second else 0.0
    if np.polyval(slope, [0.0, 1.0, np.clip(turn, 0.0, 1.0)]).min() >= 0:
        return np.asarray(np.polyval(free, u))
    centred = y - y.mean()
    basis = np.stack([1 - (1 - u) ** 3, u**3, 3 * u**2 - 2 * u**3], axis=1) / 3
    basis -= basis.mean(axis=0)
    weights, error = optimize.nnls(basis, centred)
    best = basis @ weights

    def inside(u0: float) -> np.ndarray:
        cubic = (u - u0) ** 3
        cubic = cubic - cubic.mean()
        return cubic * max(float(cubic @ centred / (cubic @ cubic)), 0.0)

    starts = np.linspace(0, 1, 21)
    errors = [float(np.sum((centred - inside(u0)) ** 2)) for u0 in starts]
    near = starts[int(np.argmin(errors))]
    found = optimize.minimize_scalar(
        lambda u0: float(np.sum((centred - inside(u0)) ** 2)),
        bounds=(max(near - 0.05, 0), min(near + 0.05, 1)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return y.mean() + (inside(float(found.x)) if found.fun < error**2 else best)


def rmse(error: Float64[np.ndarray, " n"], coefficients: int) -> float:
    """Return ``sqrt(sum(error^2) / (n - d))`` with d coefficients of the mapping (P.1401); NaN if n <= d."""
    free = error.size - coefficients
    return float(np.sqrt(np.sum(error**2) / free)) if free > 0 else float("nan")


def beyond_interval(
    error: Float64[np.ndarray, " n"], half: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return what of each error lies outside the 95 % interval of the score, whose half-width is `half`.

    The `rmse` of this is the epsilon-insensitive one of P.1401, the share above 0 its outlier ratio.
    """
    return np.maximum(np.abs(error) - half, 0.0)


def noise_ceiling(scores: Float64[np.ndarray, " n"], se: Float64[np.ndarray, " n"]) -> float:
    """Return the correlation that a measure of the true scores would have with scores that have errors.

    ``sqrt(1 - mean(se^2) / var(scores))``, the square root of the scores' reliability (Spearman 1904); 0 if their
    variance is not larger than that of their errors.
    """
    variance = float(np.var(scores, ddof=1))
    return float(np.sqrt(max(1 - float(np.mean(se**2)) / variance, 0.0))) if variance > 0 else float("nan")


def dependent_correlations(first: float, second: float, between: float, n: int) -> tuple[float, float]:
    """Test whether two measures correlate equally with the same scores: Williams's t and its two-sided p.

    ``t = (r1 - r2) sqrt((n - 1) (1 + r12) / (2 (n - 1) / (n - 3) |R| + r^2 (1 - r12)^3))`` with n - 3 degrees of
    freedom, r the mean of r1 and r2 and ``|R| = 1 - r1^2 - r2^2 - r12^2 + 2 r1 r2 r12`` (Steiger, Psychol. Bull.
    87, 1980, eq. 7). NaN for fewer than 4 pairs, and for measures that order the stimuli alike.

    Parameters
    ----------
    first, second
        Correlations of the measures with the scores.
    between
        Correlation of the measures.
    n
        Number of stimuli, taken as independent.
    """
    determinant = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    if n < 4 or between > 1 - 1e-12:
        return float("nan"), float("nan")
    mean = (first + second) / 2
    below = 2 * (n - 1) / (n - 3) * max(determinant, 0.0) + mean**2 * (1 - between) ** 3
    if below <= 0:
        return float("nan"), float("nan")
    t = float((first - second) * np.sqrt((n - 1) * (1 + between) / below))
    return t, float(2 * special.stdtr(n - 3, -abs(t)))
