"""Linear mixed models with crossed random effects, by restricted maximum likelihood (REML).

``score = X beta + sum of random effects + residual``, each random effect with one variance, the groups
crossed in any way and as unbalanced as may be. The deviance is profiled over beta and the residual variance
and evaluated through the Cholesky factor of the random effects' system (Bates et al., J. Stat. Software 67,
2015, eq. 33-41).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import linalg, optimize, special

from analysis.statistics.interval import Interval
from render.common.errors import InputError

MAX_RATIO = 1e6
"""Largest ratio of a random effect's variance to the residual's that is sought."""

MAX_SYSTEM = 1500
"""Levels of all random effects together up to which a model is fitted (dense Cholesky factors)."""


@dataclass(frozen=True)
class MixedModel:
    """A fitted model: variances of the random effects and residual, fixed effects and their covariance."""

    variances: dict[str, float]
    residual: float
    beta: Float64[np.ndarray, " fixed"]
    covariance: Float64[np.ndarray, "fixed fixed"]


class NoFit(InputError):
    """The ratings are too few, or too regular, for the model."""


def _forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(linalg.solve_triangular(lower, right, lower=True))


class _System:
    """Cross-products of a model, from which its deviance at any variances follows."""

    def __init__(
        self,
        y: Float64[np.ndarray, " rating"],
        x: Float64[np.ndarray, "rating fixed"],
        groups: Mapping[str, Int64[np.ndarray, " rating"]],
    ) -> None:
        self.sizes = [int(group.max()) + 1 for group in groups.values()]
        if sum(self.sizes) > MAX_SYSTEM:
            raise InputError(f"mixed model: {sum(self.sizes)} levels of random effects > {MAX_SYSTEM}")
        self.n, self.p = x.shape
        starts = np.cumsum([0, *self.sizes[:-1]])
        columns = np.stack([group + start for group, start in zip(groups.values(), starts, strict=True)], axis=1)
        q = sum(self.sizes)
        self.zz = np.zeros((q, q))
        self.zx = np.zeros((q, self.p))
        self.zy = np.zeros(q)
        for i in range(columns.shape[1]):
            np.add.at(self.zx, columns[:, i], x)
            np.add.at(self.zy, columns[:, i], y)
            for j in range(columns.shape[1]):
                np.add.at(self.zz, (columns[:, i], columns[:, j]), 1.0)
        self.xx, self.xy, self.yy = x.T @ x, x.T @ y, float(y @ y)

    def solve(self, theta: Float64[np.ndarray, " effect"]) -> tuple[float, float, np.ndarray, np.ndarray]:
        """At given ratios of standard deviations: log determinants, residual squares, beta, factor of X."""
        scale = np.repeat(theta, self.sizes)
        lower = np.linalg.cholesky(scale[:, None] * self.zz * scale + np.eye(scale.size))
        cu = _forward(lower, scale * self.zy)
        rzx = _forward(lower, scale[:, None] * self.zx)
        rx = np.linalg.cholesky(self.xx - rzx.T @ rzx)
        cb = _forward(rx, self.xy - rzx.T @ cu)
        squares = self.yy - cu @ cu - cb @ cb
        beta = np.linalg.solve(rx.T, cb)
        logdet = 2 * np.sum(np.log(np.diag(lower))) + 2 * np.sum(np.log(np.diag(rx)))
        return float(logdet), float(max(squares, 1e-300)), beta, rx

    def profiled_slope(
        self, ratios: Float64[np.ndarray, " effect"]
    ) -> tuple[float, Float64[np.ndarray, " effect"]]:
        """REML deviance by ratios of variances to the residual's, and its slope.

        With ``P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1`` and V in units of the residual variance the slope by the
        ratio of effect i is ``tr(Z_i' P Z_i) - (n - p) |Z_i' P y|^2 / (y' P y)``.
        """
        scale = np.repeat(np.sqrt(ratios), self.sizes)
        lower = np.linalg.cholesky(scale[:, None] * self.zz * scale + np.eye(scale.size))
        into = _forward(lower, scale[:, None] * np.column_stack([self.zz, self.zx, self.zy]))
        q = scale.size
        wz, wx, wy = into[:, :q], into[:, q:-1], into[:, -1]
        rx = np.linalg.cholesky(self.xx - wx.T @ wx)
        vzx = self.zx - wz.T @ wx  # Z' V^-1 X
        fixed = _forward(rx, np.column_stack([vzx.T, self.xy - wx.T @ wy]))
        squares = max(self.yy - wy @ wy - fixed[:, -1] @ fixed[:, -1], 1e-300)
        diagonal = np.diag(self.zz) - np.sum(wz**2, axis=0) - np.sum(fixed[:, :-1] ** 2, axis=0)
        zpy = self.zy - wz.T @ wy - fixed[:, :-1].T @ fixed[:, -1]
        free = self.n - self.p
        logdet = 2 * np.sum(np.log(np.diag(lower))) + 2 * np.sum(np.log(np.diag(rx)))
        each = diagonal - free * zpy**2 / squares
        starts = np.cumsum([0, *self.sizes[:-1]])
        return float(logdet + free * (1 + np.log(2 * np.pi * squares / free))), np.add.reduceat(each, starts)

    def deviance(self, variances: Float64[np.ndarray, " component"]) -> float:
        """REML deviance at given variances, the residual's last."""
        logdet, squares, _, _ = self.solve(np.sqrt(variances[:-1] / variances[-1]))
        return logdet + (self.n - self.p) * np.log(2 * np.pi * variances[-1]) + squares / variances[-1]

    def variance_of_first(self, variances: Float64[np.ndarray, " component"]) -> float:
        """Variance of the first fixed effect at given variances."""
        rx = self.solve(np.sqrt(variances[:-1] / variances[-1]))[3]
        return float(variances[-1] * np.linalg.inv(rx @ rx.T)[0, 0])


def fit(
    y: Float64[np.ndarray, " rating"],
    x: Float64[np.ndarray, "rating fixed"],
    groups: Mapping[str, Int64[np.ndarray, " rating"]],
) -> MixedModel:
    """Fit by REML; a variance that the data do not support is zero.

    Parameters
    ----------
    y
        Scores.
    x
        Fixed effects, of full column rank.
    groups
        For each random effect the number of each rating's level, from 0.

    Raises
    ------
    InputError
        The system is too large; as `NoFit`, there are no more ratings than fixed effects, or no optimum.
    """
    if y.size <= x.shape[1]:
        raise NoFit(f"mixed model with {y.size} ratings for {x.shape[1]} fixed effects")
    system = _System(y, x, groups)

    # In ratios of variances the deviance has a slope at zero; in ratios of standard deviations every zero is a
    # stationary point, where a descent that steps onto the bound would stay for good.
    result = min(
        (
            optimize.minimize(
                system.profiled_slope,
                np.full(len(groups), start),
                method="L-BFGS-B",
                jac=True,
                bounds=[(0.0, MAX_RATIO)] * len(groups),
                options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 300},
            )
            for start in (0.1, 2.0)
        ),
        key=lambda found: found.fun,
    )
    ratios = result.x
    slope = np.where(ratios > 0, system.profiled_slope(ratios)[1] * ratios, 0.0)
    if np.abs(slope).max() > 1e-3 or ratios.max() >= MAX_RATIO:
        raise NoFit(f"mixed model did not converge (deviance still falls by {np.abs(slope).max():.2g})")
    theta = np.sqrt(ratios)
    _, squares, beta, rx = system.solve(theta)
    residual = squares / (y.size - x.shape[1])
    variances = dict(zip(groups, (theta**2 * residual).tolist(), strict=True))
    return MixedModel(variances, residual, beta, residual * np.linalg.inv(rx @ rx.T))


def crossed_interval_incomplete(scores: Float64[np.ndarray, "listener item"], level: float = 0.95) -> Interval:
    """Interval of a mean over random listeners and items where some cells were not rated (NaN).

    REML of ``score ~ 1 + (1|listener) + (1|item)`` with Satterthwaite's degrees of freedom,
    ``2 v^2 / (g' A g)``: v the variance of the mean, g its gradient by the variances, A their covariance from
    the deviance's curvature.
    """
    listener, item = np.nonzero(~np.isnan(scores))
    y = scores[listener, item]
    groups = {
        name: np.unique(codes, return_inverse=True)[1]
        for name, codes in (("listener", listener), ("item", item))
        if np.unique(codes).size > 1
    }
    x = np.ones((y.size, 1))
    if "listener" not in groups or np.ptp(y) == 0:
        return Interval(float(y.mean()), *([float(y.mean())] * 2 if "listener" in groups else [np.nan] * 2))
    try:
        model = fit(y, x, groups)
    except NoFit:
        return Interval(float(y.mean()), np.nan, np.nan)
    kept = {name: groups[name] for name, variance in model.variances.items() if variance > 1e-9 * model.residual}
    values = np.array([model.variances[name] for name in kept] + [model.residual])
    if not kept:
        variance, df = model.residual / y.size, y.size - 1.0
    else:
        system = _System(y, x, kept)
        curvature = _hessian(system.deviance, values)
        gradient = _gradient(system.variance_of_first, values)
        variance = system.variance_of_first(values)
        try:
            df = 2 * variance**2 / float(gradient @ np.linalg.solve(curvature / 2, gradient))
        except np.linalg.LinAlgError:
            return Interval(float(model.beta[0]), np.nan, np.nan)
    half = special.stdtrit(df, 0.5 + level / 2) * np.sqrt(variance)
    mean = float(model.beta[0])
    return Interval(mean, float(mean - half), float(mean + half))


def _gradient(
    function: Callable[[np.ndarray], float], at: Float64[np.ndarray, " n"], step: float = 1e-4
) -> Float64[np.ndarray, " n"]:
    moves = np.diag(step * at)
    return np.array([(function(at + m) - function(at - m)) / (2 * m.sum()) for m in moves])


def _hessian(
    function: Callable[[np.ndarray], float], at: Float64[np.ndarray, " n"], step: float = 1e-3
) -> Float64[np.ndarray, "n n"]:
    moves = np.diag(step * at)
    return np.array([
        [
            (function(at + a + b) - function(at + a - b) - function(at - a + b) + function(at - a - b))
            / (4 * a.sum() * b.sum())
            for b in moves
        ]
        for a in moves
    ])  # fmt: skip
