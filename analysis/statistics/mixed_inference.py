"""Tests and intervals of the fixed effects of a mixed model, by Satterthwaite and by Kenward and Roger.

With ``V = sum of v_i Z_i Z_i' + v_e I`` and ``C = (X' V^-1 X)^-1`` the variance of a contrast l of the fixed
effects is ``l' C l``. Both methods ask how well the ratings determine it:

``satterthwaite``  degrees of freedom ``2 (l'Cl)^2 / (g' A g)``, g the gradient of l'Cl by the variances and A the
                   inverse of the observed information; variances that are estimated as zero are left out (as
                   lmerTest)
``kenward-roger``  the variance is corrected for the bias that estimated variances cause, and the degrees of
                   freedom follow from the expected information of all variances (Biometrics 53, 1997; as
                   pbkrtest)

All products are of the size of the random effects, never of the ratings: powers of V^-1 that a derivative by v_e
needs follow from ``v_e V^-1 = I - sum of v_i V^-1 Z_i Z_i'``, and likewise for P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import linalg, special

from analysis.statistics.interval import Estimate
from analysis.statistics.mixed_models import MixedModel

METHODS = ("satterthwaite", "kenward-roger")


@dataclass(frozen=True)
class OmnibusF:
    """An F test of several contrasts: F, its degrees of freedom, p."""

    f: float
    df: float
    df_error: float
    p: float


class MixedInference:
    """The fixed effects of a fitted model with what their tests need, computed once."""

    def __init__(self, model: MixedModel) -> None:
        system = model.system
        self._variances = np.array([*model.variances.values(), model.residual])
        self._effects = len(self._variances) - 1
        residual = model.residual
        scale = np.repeat(np.sqrt(self._variances[:-1] / residual), system.sizes)
        lower = np.linalg.cholesky(scale[:, None] * system.zz * scale + np.eye(scale.size))
        right = scale[:, None] * np.column_stack([system.zz, system.zx, system.zy])
        into = np.asarray(linalg.solve_triangular(lower, right, lower=True))
        q, p = scale.size, system.p
        wz, wx, wy = into[:, :q], into[:, q : q + p], into[:, -1]
        zvz, zvx = (system.zz - wz.T @ wz) / residual, (system.zx - wz.T @ wx) / residual
        zvy, xvy = (system.zy - wz.T @ wy) / residual, (system.xy - wx.T @ wy) / residual
        self._xvx = (system.xx - wx.T @ wx) / residual
        self._covariance = np.linalg.inv(self._xvx)
        self.beta = self._covariance @ xvy
        ends = np.cumsum(system.sizes)
        self._parts = [slice(end - size, end) for end, size in zip(ends, system.sizes, strict=True)]
        self._count = system.n
        self._zvz, self._zvx = zvz, zvx
        self._zpz = zvz - zvx @ self._covariance @ zvx.T
        self._zpy = zvy - zvx @ self.beta
        self._ypy = float((system.yy - wy @ wy) / residual - self.beta @ xvy)
        self._derivatives = self._derivatives_of_information()
        self._by_satterthwaite = self._inverse_observed_information()
        self._by_kenward_roger, self._corrected = self._kenward_roger()

    def _with_residual(self, of_effects: np.ndarray, once: np.ndarray, last: np.ndarray | float) -> np.ndarray:
        """Complete an array over pairs of variances by the residual variance, by the identity of the module.

        Parameters
        ----------
        of_effects
            Values for each pair of effects, e.g. ``tr(V^-1 G_i V^-1 G_j)``, G_i = Z_i Z_i'.
        once, last
            The values with one V^-1 less and the second G left out (``tr(V^-1 G_i)``), and with both left out and
            one V^-1 more (``tr(V^-1 V^-1)`` is `last` less what the effects explain).
        """
        v, residual, r = self._variances[:-1], self._variances[-1], self._effects
        full = np.zeros((r + 1, r + 1, *of_effects.shape[2:]))
        full[:r, :r] = of_effects
        for i in range(r):
            full[i, r] = (once[i] - np.tensordot(v, of_effects[i], axes=1)) / residual
            full[r, i] = np.swapaxes(full[i, r], -1, -2) if full[i, r].ndim else full[i, r]
        full[r, r] = (last - np.tensordot(v, full[:r, r], axes=1)) / residual
        return full

    def _derivatives_of_information(self) -> Float64[np.ndarray, "component fixed fixed"]:
        """Return ``X' V^-1 G_i V^-1 X`` for each variance, the residual's last."""
        of_effects = [self._zvx[part].T @ self._zvx[part] for part in self._parts]
        v, residual = self._variances[:-1], self._variances[-1]
        explained = np.tensordot(v, np.array(of_effects), axes=1) if of_effects else 0.0
        return np.array([*of_effects, (self._xvx - explained) / residual])

    def _inverse_observed_information(self) -> Float64[np.ndarray, "component component"]:
        """Return the covariance of the estimated variances from the curvature of the REML deviance.

        The second derivatives are ``-tr(P G_i P G_j) + 2 y' P G_i P G_j P y``. Variances estimated as zero, and
        directions in which the deviance does not rise, have none.
        """
        v, residual, parts = self._variances[:-1], self._variances[-1], self._parts
        u = [self._zpy[part] for part in parts]
        traces = np.array([[np.sum(self._zpz[a, b] ** 2) for b in parts] for a in parts]).reshape(
            self._effects, -1
        )
        forms = np.array([[u[i] @ self._zpz[a, b] @ u[j] for j, b in enumerate(parts)]
                          for i, a in enumerate(parts)]).reshape(self._effects, -1)  # fmt: skip
        trace, form = np.array([np.trace(self._zpz[a, a]) for a in parts]), np.array([x @ x for x in u])
        free = self._count - self._xvx.shape[0]
        traces = self._with_residual(traces, trace, (free - v @ trace) / residual)
        forms = self._with_residual(forms, form, (self._ypy - v @ form) / residual)
        scale = self._variances
        curvature = scale[:, None] * (2 * forms - traces) * scale
        values, vectors = np.linalg.eigh(curvature)
        kept = values > 1e-8 * max(values.max(), 1e-300)
        inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        return 2 * scale[:, None] * inverse * scale

    def _kenward_roger(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the variances by expected information, and the corrected covariance."""
        v, residual, parts, c = self._variances[:-1], self._variances[-1], self._parts, self._covariance
        r, d = self._effects, self._derivatives
        fixed = self._xvx.shape[0]
        q = np.array([[self._zvx[a].T @ self._zvz[a, b] @ self._zvx[b] for b in parts] for a in parts])
        traces = np.array([[np.sum(self._zvz[a, b] ** 2) for b in parts] for a in parts])
        trace = np.array([np.trace(self._zvz[a, a]) for a in parts])
        q = self._with_residual(q.reshape(r, r, fixed, fixed), d[:r], d[r])
        traces = self._with_residual(traces.reshape(r, r), trace, (self._count - v @ trace) / residual)
        dc = d @ c
        information = traces - 2 * np.einsum("ijab,ba->ij", q, c) + np.einsum("iab,jba->ij", dc, dc)
        scale = np.sqrt(np.diag(information))
        values, vectors = np.linalg.eigh(information / scale[:, None] / scale)
        kept = values > 1e-10
        w = 2 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T / scale[:, None] / scale
        bias = np.einsum("ij,ijab->ab", w, q) - (dc @ np.tensordot(w, d, axes=1)).sum(axis=0)
        return w, c + 2 * c @ ((bias + bias.T) / 2) @ c

    def contrast(self, weights: Float64[np.ndarray, " fixed"], method: str = "kenward-roger") -> Estimate:
        """Return the estimate of ``weights @ beta`` by one of `METHODS`."""
        value, c = float(weights @ self.beta), self._covariance
        if method == "kenward-roger":
            se = float(np.sqrt(max(weights @ self._corrected @ weights, 0.0)))
            return Estimate(value, se, self._f_by_kenward_roger(weights[None, :])[0])
        return Estimate(value, float(np.sqrt(weights @ c @ weights)), self._df_by_satterthwaite(weights))

    def f_test(self, contrasts: Float64[np.ndarray, "contrast fixed"], method: str = "kenward-roger") -> OmnibusF:
        """Test whether all contrasts are 0; they have to be linearly independent."""
        estimate, count = contrasts @ self.beta, len(contrasts)
        if method == "kenward-roger":
            df, scale = self._f_by_kenward_roger(contrasts)
            covariance = contrasts @ self._corrected @ contrasts.T
            f = scale * float(estimate @ np.linalg.solve(covariance, estimate)) / count
        else:
            # Independent directions, each with its own degrees of freedom (Fai and Cornelius 1996)
            values, vectors = np.linalg.eigh(contrasts @ self._covariance @ contrasts.T)
            f = float(np.sum((vectors.T @ estimate) ** 2 / values) / count)
            each = np.array([self._df_by_satterthwaite(direction @ contrasts) for direction in vectors.T])
            if count == 1 or np.ptp(each) < 1e-8 * each.max():
                df = float(each.mean())
            elif each.min() <= 2:
                df = 2.0
            else:
                expected = np.sum(each / (each - 2))
                df = float(2 * expected / (expected - count))
        return OmnibusF(f, count, df, float(special.fdtrc(count, df, f)))

    def _df_by_satterthwaite(self, weights: Float64[np.ndarray, " fixed"]) -> float:
        along = self._covariance @ weights
        gradient = np.einsum("a,iab,b->i", along, self._derivatives, along)
        return float(2 * (weights @ along) ** 2 / (gradient @ self._by_satterthwaite @ gradient))

    def _f_by_kenward_roger(self, contrasts: Float64[np.ndarray, "contrast fixed"]) -> tuple[float, float]:
        """Return the error degrees of freedom and the factor of F; the symbols are those of the paper."""
        c, w, count = self._covariance, self._by_kenward_roger, len(contrasts)
        theta = contrasts.T @ np.linalg.solve(contrasts @ c @ contrasts.T, contrasts)
        tcdc = -(theta @ c @ self._derivatives @ c)
        traces = np.trace(tcdc, axis1=1, axis2=2)
        a1 = traces @ w @ traces
        a2 = np.einsum("ij,iab,jba->", w, tcdc, tcdc)
        with np.errstate(divide="ignore", invalid="ignore"):  # degrees of freedom may have no bound
            return self._kenward_roger_df(a1, a2, count)

    @staticmethod
    def _kenward_roger_df(a1: np.float64, a2: np.float64, count: int) -> tuple[float, float]:
        b = (a1 + 6 * a2) / (2 * count)
        g = ((count + 1) * a1 - (count + 4) * a2) / ((count + 2) * a2)
        below = 3 * count + 2 * (1 - g)
        c1, c2, c3 = g / below, (count - g) / below, (count + 2 - g) / below
        v0, v1, v2 = 1 + c1 * b, 1 - c2 * b, 1 - c3 * b
        v0 = v0 if abs(v0) >= 1e-10 else np.float64(0)
        mean = 1 - a2 / count
        ratio = np.float64(1) if abs(mean) < 1e-14 and abs(v1) < 1e-14 else mean / v1
        rho = ratio**2 * v0 / v2 / count
        df = 4 + (count + 2) / (count * rho - 1)
        return float(df), 1.0 if abs(df - 2) < 1e-2 or np.isinf(df) else float(df * mean / (df - 2))
