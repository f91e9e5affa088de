"""Linear mixed models with crossed random effects, by restricted maximum likelihood (REML).

``score = X beta + sum of random effects + residual``. Each random effect has one variance; the groups may be
crossed in any way and be unbalanced. The deviance is profiled over beta and the residual variance and evaluated
through the Cholesky factor of the random effects' system (Bates et al., J. Stat. Software 67, 2015, eq. 33-41).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import linalg, optimize

from analysis.ratings.cells import Cells
from analysis.statistics.interval import Interval
from render.common.errors import InputError

MAX_RATIO = 1e6
"""Upper bound for the ratio of a random effect's variance to the residual variance."""

MAX_LEVELS = 1500
"""Largest number of levels of all random effects together (the Cholesky factors are dense)."""


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


class ProfiledDeviance:
    """The REML deviance of a model as a function of its variances, from cross-products computed once."""

    def __init__(
        self,
        y: Float64[np.ndarray, " rating"],
        x: Float64[np.ndarray, "rating fixed"],
        groups: Mapping[str, Int64[np.ndarray, " rating"]],
    ) -> None:
        self.sizes = [int(group.max()) + 1 for group in groups.values()]
        if sum(self.sizes) > MAX_LEVELS:
            raise InputError(f"mixed model: {sum(self.sizes)} levels of random effects > {MAX_LEVELS}")
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
        """Solve for beta at given ratios of the random effects' standard deviations to the residual's.

        Returns
        -------
        tuple
            The log determinants in the deviance, the residual sum of squares, beta, and the Cholesky factor of
            the fixed effects' system.
        """
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

    def profiled_gradient(
        self, ratios: Float64[np.ndarray, " effect"]
    ) -> tuple[float, Float64[np.ndarray, " effect"]]:
        """Return the deviance at given ratios of variances to the residual variance, and its gradient.

        With ``P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1`` and V in units of the residual variance the derivative
        by the ratio of effect i is ``tr(Z_i' P Z_i) - (n - p) |Z_i' P y|^2 / (y' P y)``.
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
        """Return the deviance at given variances, the residual variance last."""
        logdet, squares, _, _ = self.solve(np.sqrt(variances[:-1] / variances[-1]))
        return logdet + (self.n - self.p) * np.log(2 * np.pi * variances[-1]) + squares / variances[-1]

    def variance_of_first(self, variances: Float64[np.ndarray, " component"]) -> float:
        """Return the variance of the first fixed effect at given variances."""
        rx = self.solve(np.sqrt(variances[:-1] / variances[-1]))[3]
        return float(variances[-1] * np.linalg.inv(rx @ rx.T)[0, 0])


def fit(
    y: Float64[np.ndarray, " rating"],
    x: Float64[np.ndarray, "rating fixed"],
    groups: Mapping[str, Int64[np.ndarray, " rating"]],
) -> MixedModel:
    """Fit a model by REML; a variance that the data do not support is estimated as zero.

    Parameters
    ----------
    y
        Scores.
    x
        Fixed effects, of full column rank.
    groups
        For each random effect, the level of each rating, counted from 0.

    Raises
    ------
    InputError
        If the random effects have more than `MAX_LEVELS` levels.
    NoFit
        If there are not more ratings than fixed effects, or the optimisation does not converge.
    """
    if y.size <= x.shape[1]:
        raise NoFit(f"mixed model with {y.size} ratings for {x.shape[1]} fixed effects")
    system = ProfiledDeviance(y, x, groups)

    # By ratios of variances the deviance has a gradient at zero. By ratios of standard deviations every zero is a
    # stationary point, which a descent that steps onto the bound would never leave.
    result = min(
        (
            optimize.minimize(
                system.profiled_gradient,
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
    gradient = np.where(ratios > 0, system.profiled_gradient(ratios)[1] * ratios, 0.0)
    if np.abs(gradient).max() > 1e-3 or ratios.max() >= MAX_RATIO:
        raise NoFit(f"mixed model did not converge (deviance still falls by {np.abs(gradient).max():.2g})")
    theta = np.sqrt(ratios)
    _, squares, beta, rx = system.solve(theta)
    residual = squares / (y.size - x.shape[1])
    variances = dict(zip(groups, (theta**2 * residual).tolist(), strict=True))
    return MixedModel(variances, residual, beta, residual * np.linalg.inv(rx @ rx.T))


def condition_model(cube: Cells) -> MixedModel:
    """Fit ``score ~ condition + (1|listener) + (1|item) + (1|listener:condition) + (1|item:condition)``.

    For a complete design the analysis of variance gives the same estimates in closed form if all of them are
    positive; they are then computed so.

    Raises
    ------
    InputError
        If the design has more than `MAX_LEVELS` listeners, items and combinations of either with conditions.
    NoFit
        If the ratings are too few, or too regular, for the model.
    """
    k = len(cube.conditions)
    components = balanced_components(cube.scores) if cube.complete else None
    if components is not None:
        count_l, count_i, _ = cube.scores.shape
        residual = components.pop("residual")
        shared = components["listener"] / count_l + components["item"] / count_i
        own = (
            components["listener:condition"] / count_l
            + components["item:condition"] / count_i
            + residual / (count_l * count_i)
        )
        beta = cube.scores.mean(axis=(0, 1))
        return MixedModel(components, residual, beta, np.full((k, k), shared) + own * np.eye(k))
    listener, item, condition = np.nonzero(~np.isnan(cube.scores))
    y = cube.scores[listener, item, condition]
    return fit(y, np.eye(k)[condition], {
        "listener": listener,
        "item": item,
        "listener:condition": np.unique(listener * k + condition, return_inverse=True)[1],
        "item:condition": np.unique(item * k + condition, return_inverse=True)[1],
    })  # fmt: skip


def balanced_components(scores: Float64[np.ndarray, "listener item condition"]) -> dict[str, float] | None:
    """Return the variance components of a complete design from its mean squares.

    None if one of them is not positive, or if there are fewer than 2 listeners, items or conditions.
    """
    listeners, items, conditions = scores.shape
    if min(scores.shape) < 2:
        return None
    deviation = scores - scores.mean(axis=(0, 1))
    by_lc, by_ic = deviation.mean(axis=1), deviation.mean(axis=0)
    by_l, by_i = by_lc.mean(axis=1), by_ic.mean(axis=1)
    error = deviation - by_lc[:, None, :] - by_ic
    ms_l = items * conditions * np.sum(by_l**2) / (listeners - 1)
    ms_i = listeners * conditions * np.sum(by_i**2) / (items - 1)
    ms_lc = items * np.sum((by_lc - by_l[:, None]) ** 2) / ((listeners - 1) * (conditions - 1))
    ms_ic = listeners * np.sum((by_ic - by_i[:, None]) ** 2) / ((items - 1) * (conditions - 1))
    ms_e = np.sum(error**2) / ((listeners - 1) * (items - 1) * conditions)
    components = {
        "listener": (ms_l - ms_lc) / (items * conditions),
        "item": (ms_i - ms_ic) / (listeners * conditions),
        "listener:condition": (ms_lc - ms_e) / items,
        "item:condition": (ms_ic - ms_e) / listeners,
        "residual": ms_e,
    }
    return {k: float(v) for k, v in components.items()} if min(components.values()) > 0 else None


def crossed_interval_incomplete(scores: Float64[np.ndarray, "listener item"], level: float = 0.95) -> Interval:
    """Return the interval of a mean over random listeners and items if some cells were not rated (NaN).

    The model ``score ~ 1 + (1|listener) + (1|item)`` is fitted by REML. The degrees of freedom are
    Satterthwaite's, ``2 v^2 / (g' A g)`` with v the variance of the mean, g its gradient by the variances and A
    the covariance of the variances, from the curvature of the deviance. The limits are NaN for a single listener
    and if the model cannot be fitted.
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
        system = ProfiledDeviance(y, x, kept)
        curvature = _hessian(system.deviance, values)
        gradient = _gradient(system.variance_of_first, values)
        variance = system.variance_of_first(values)
        try:
            df = 2 * variance**2 / float(gradient @ np.linalg.solve(curvature / 2, gradient))
        except np.linalg.LinAlgError:
            return Interval(float(model.beta[0]), np.nan, np.nan)
    return Interval.by_t(float(model.beta[0]), variance, df, level)


def _gradient(
    function: Callable[[np.ndarray], float], at: Float64[np.ndarray, " n"], step: float = 1e-4
) -> Float64[np.ndarray, " n"]:
    """Return the gradient by central differences; `step` is relative to each variable."""
    moves = np.diag(step * at)
    return np.array([(function(at + m) - function(at - m)) / (2 * m.sum()) for m in moves])


def _hessian(
    function: Callable[[np.ndarray], float], at: Float64[np.ndarray, " n"], step: float = 1e-3
) -> Float64[np.ndarray, "n n"]:
    """Return the matrix of second derivatives by central differences; `step` is relative to each variable."""
    moves = np.diag(step * at)
    return np.array([
        [
            (function(at + a + b) - function(at + a - b) - function(at - a + b) + function(at - a - b))
            / (4 * a.sum() * b.sum())
            for b in moves
        ]
        for a in moves
    ])  # fmt: skip
