"""Linear mixed models with crossed random effects, by restricted maximum likelihood (REML).

``score = X beta + sum of random effects + residual``. Each random effect has one variance; the groups may be
crossed in any way and be unbalanced. The deviance is profiled over beta and the residual variance and evaluated
through the Cholesky factor of the random effects' system (Bates et al., J. Stat. Software 67, 2015, eq. 33-41).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import linalg, optimize

from render.common.errors import InputError

MAX_RATIO = 1e6
"""Upper bound for the ratio of a random effect's variance to the residual variance."""

MAX_LEVELS = 1500
"""Largest number of levels of all random effects together (the Cholesky factors are dense)."""


@dataclass(frozen=True)
class MixedModel:
    """A fitted model: variances of the random effects (those of the residual apart), and its equations."""

    variances: dict[str, float]
    residual: float
    system: ProfiledDeviance


class NoFit(InputError):
    """The ratings are too few, or too regular, for the model."""


def _forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    # `solve_triangular` costs more in its checks than this; the diagonal of a Cholesky factor is never 0
    return np.asarray(linalg.lapack.dtrtrs(lower, right, lower=1)[0])


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

    def residual(self, ratios: Float64[np.ndarray, " effect"]) -> float:
        """Return the REML estimate of the residual variance at given ratios of variances to it."""
        scale = np.repeat(np.sqrt(ratios), self.sizes)
        lower = np.linalg.cholesky(scale[:, None] * self.zz * scale + np.eye(scale.size))
        into = _forward(lower, scale[:, None] * np.column_stack([self.zx, self.zy]))
        rx = np.linalg.cholesky(self.xx - into[:, :-1].T @ into[:, :-1])
        cb = _forward(rx, self.xy - into[:, :-1].T @ into[:, -1])
        return float(max(self.yy - into[:, -1] @ into[:, -1] - cb @ cb, 1e-300) / (self.n - self.p))

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
    residual = system.residual(ratios)
    variances = dict(zip(groups, (ratios * residual).tolist(), strict=True))
    return MixedModel(variances, residual, system)
