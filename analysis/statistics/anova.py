"""Analysis of variance for repeated measures: every listener rates every condition (of every item).

The module computes univariate F tests with the sphericity corrections of Greenhouse and Geisser and of Huynh and
Feldt, Mauchly's test, the multivariate alternative, and the rule by which BS.1534-3 (attachment 4) chooses
between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special

from render.common.errors import InputError


@dataclass(frozen=True)
class Multivariate:
    """Hotelling's T squared on the contrasts of the conditions, as F.

    With a single group of listeners the four usual multivariate tests agree.
    """

    wilks: float
    pillai: float
    f: float
    df: int
    df_error: int
    p: float


@dataclass(frozen=True)
class Effect:
    """One line of the analysis: sums of squares, F, and p without and with correction for lack of sphericity.

    `gg` and `hf` are the epsilons of Greenhouse-Geisser and Huynh-Feldt (the latter at most 1), `w` and
    `p_sphericity` are Mauchly's test (NaN for too few listeners). Everything from `f` on is NaN, and
    `multivariate` is None, if the contrasts do not vary over the listeners. The names are those of summary.json.
    """

    name: str
    ss: float
    df: int
    ss_error: float
    df_error: int
    f: float
    p: float
    gg: float
    p_gg: float
    hf: float
    p_hf: float
    w: float
    p_sphericity: float
    partial_eta2: float
    multivariate: Multivariate | None

    def quoted(self, chosen: str) -> float:
        """Return p of the result that `chosen_test` names."""
        if chosen == "multivariate" and self.multivariate:
            return self.multivariate.p
        return self.p_hf if chosen == "huynh-feldt" else self.p_gg


def one_way(scores: Float64[np.ndarray, "listener condition"], name: str = "condition") -> Effect:
    """Analyse one factor.

    Parameters
    ----------
    scores
        One complete row for each listener, usually means over the items.
    name
        Name of the factor.

    Raises
    ------
    InputError
        If there are fewer than 2 listeners or 2 levels, or ratings are missing.
    """
    _check(scores)
    return _effect(name, scores @ orthonormal_contrasts(scores.shape[1]))


def two_way(scores: Float64[np.ndarray, "listener item condition"]) -> tuple[Effect, Effect, Effect]:
    """Analyse condition, item and their interaction, each tested against its own error term.

    Raises
    ------
    InputError
        If there are fewer than 2 listeners or 2 cells, or ratings are missing.
    """
    listeners, items, conditions = scores.shape
    _check(scores.reshape(listeners, -1))
    of_items, of_conditions = orthonormal_contrasts(items), orthonormal_contrasts(conditions)
    flat_item, flat_condition = np.full(items, items**-0.5), np.full(conditions, conditions**-0.5)
    return (
        _effect("condition", np.einsum("lic,i,ck->lk", scores, flat_item, of_conditions)),
        _effect("item", np.einsum("lic,ij,c->lj", scores, of_items, flat_condition)),
        _effect("condition:item", (of_items.T @ scores @ of_conditions).reshape(listeners, -1)),
    )


def residuals(scores: Float64[np.ndarray, "listener item condition"]) -> Float64[np.ndarray, " cell"]:
    """Return the residuals of the additive model, ``y_lic - mean_l - mean_ic + mean``.

    BS.1534-3 (attachment 4) checks these for normality, not the scores.
    """
    deviation = scores - scores.mean(axis=0)
    return (deviation - deviation.mean(axis=(1, 2), keepdims=True)).ravel()


def _check(scores: Float64[np.ndarray, "listener cell"]) -> None:
    if np.isnan(scores).any():
        raise InputError("analysis of variance needs every listener's rating of every cell; some are missing")
    if min(scores.shape) < 2:
        raise InputError("analysis of variance needs at least 2 listeners and 2 levels")


def orthonormal_contrasts(levels: int) -> Float64[np.ndarray, "level contrast"]:
    """Return orthonormal (Helmert) contrasts: the columns are orthogonal to the mean and to one another."""
    matrix = np.zeros((levels, levels - 1))
    for k in range(1, levels):
        matrix[:k, k - 1] = 1.0
        matrix[k, k - 1] = -k
        matrix[:, k - 1] /= np.sqrt(k * (k + 1))
    return matrix


def _effect(name: str, contrasts: Float64[np.ndarray, "listener contrast"]) -> Effect:
    """Test whether the mean of orthonormal contrasts is zero, from their scatter over the listeners."""
    n, p = contrasts.shape
    mean = contrasts.mean(axis=0)
    squares = float(n * mean @ mean)
    return effect_of_contrasts(name, squares, p, contrasts - mean, n - 1, _multivariate(contrasts))


def effect_of_contrasts(
    name: str,
    ss: float,
    df: int,
    rest: Float64[np.ndarray, "listener contrast"],
    freedom: int,
    multivariate: Multivariate | None = None,
) -> Effect:
    """Test a sum of squares of orthonormal contrasts against their residuals.

    With S the covariance of the p contrasts, from residuals of v degrees of freedom each, epsilon GG is
    ``tr(S)^2 / (p tr(S S))`` and epsilon HF is ``((v + 1) p GG - 2) / (p (v - p GG))`` (Huynh and Feldt 1976, as
    R's car and anova.mlm print it). For v = 1 the latter is 0 / 0, and GG is used in its place.

    Parameters
    ----------
    name
        Name of the effect.
    ss, df
        Its sum of squares over all contrasts, and its degrees of freedom.
    rest
        Residuals of the contrasts.
    freedom
        Degrees of freedom v of the residuals of one contrast.
    multivariate
        The multivariate test, if there is one.
    """
    n, p = rest.shape
    ss_error, df_error = float(np.sum(rest**2)), p * freedom
    gram = rest @ rest.T if n < p else rest.T @ rest
    squares = float(np.sum(gram**2))
    if ss_error <= 1e-12 * max(1.0, ss):
        undefined = dict.fromkeys(
            ("f", "p", "gg", "p_gg", "hf", "p_hf", "w", "p_sphericity", "partial_eta2"), np.nan
        )
        return Effect(name, ss, df, 0.0, df_error, **undefined, multivariate=None)
    f = (ss / df) / (ss_error / df_error)
    gg = ss_error**2 / (p * squares)
    denominator = p * (freedom - p * gg)
    hf = gg if freedom == 1 else 1.0
    if denominator > 1e-9:
        hf = min(1.0, ((freedom + 1) * p * gg - 2) / denominator)
    hf = max(hf, gg)  # against rounding errors
    w, p_sphericity = (
        _mauchly(rest.T @ rest / freedom, freedom + 1) if p <= freedom else (float("nan"), float("nan"))
    )
    return Effect(
        name=name,
        ss=ss,
        df=df,
        ss_error=ss_error,
        df_error=df_error,
        f=f,
        p=f_tail(df, df_error, f),
        gg=gg,
        p_gg=f_tail(gg * df, gg * df_error, f),
        hf=hf,
        p_hf=f_tail(hf * df, hf * df_error, f),
        w=w,
        p_sphericity=p_sphericity,
        partial_eta2=ss / (ss + ss_error),
        multivariate=multivariate,
    )


def f_tail(df: float, df_error: float, f: float) -> float:
    """Return the probability of an F at least this large."""
    return float(special.fdtrc(df, df_error, f))


def _mauchly(covariance: Float64[np.ndarray, "contrast contrast"], n: int) -> tuple[float, float]:
    """Return Mauchly's W and its p by Box's chi-squared series to second order (Muirhead 1982, 8.3.7).

    At one place in omega R's ``mauchly.test`` uses the number of levels where the series has p, which is one
    less: its p-values differ in the third digit.
    """
    p = covariance.shape[0]
    sign, logdet = np.linalg.slogdet(covariance)
    if p < 2 or sign <= 0:
        return float("nan"), float("nan")
    log_w = logdet - p * np.log(np.trace(covariance) / p)
    f = n - 1
    rho = 1 - (2 * p**2 + p + 2) / (6 * p * f)
    omega = (p + 2) * (p - 1) * (p - 2) * (2 * p**3 + 6 * p**2 + 3 * p + 2) / (288 * (f * p * rho) ** 2)
    statistic = -f * rho * log_w
    df = p * (p + 1) / 2 - 1
    first = special.chdtrc(df, statistic)
    return float(np.exp(log_w)), float(first + omega * (special.chdtrc(df + 4, statistic) - first))


def _multivariate(contrasts: Float64[np.ndarray, "listener contrast"]) -> Multivariate | None:
    """Test the contrasts' means without assuming sphericity; None for too few listeners.

    ``T^2 = n m' S^-1 m`` over the p contrasts, and ``F = T^2 (n - p) / (p (n - 1))`` with p and n - p degrees of
    freedom.
    """
    n, p = contrasts.shape
    if n <= p:
        return None
    mean = contrasts.mean(axis=0)
    covariance = np.cov(contrasts, rowvar=False).reshape(p, p)
    if np.linalg.matrix_rank(covariance) < p:
        return None
    t2 = float(n * mean @ np.linalg.solve(covariance, mean))
    f = t2 * (n - p) / (p * (n - 1))
    wilks = 1 / (1 + t2 / (n - 1))
    return Multivariate(wilks, 1 - wilks, f, p, n - p, f_tail(p, n - p, f))


def chosen_test(effect: Effect, listeners: int, pooling: bool = True) -> str:
    """Choose the result to be quoted: ``huynh-feldt``, ``multivariate`` or ``greenhouse-geisser``.

    BS.1534-3, attachment 4, asks for the univariate test with the Huynh-Feldt correction if its epsilon is above
    0.85 and there are fewer listeners than levels + 30, else for the multivariate test, which needs at least as
    many listeners as levels. With fewer, only the more conservative univariate correction is left. Without
    `pooling` the Huynh-Feldt correction is not chosen: it allows too much where the variances of the conditions
    differ.
    """
    levels = effect.df + 1
    if pooling and effect.hf > 0.85 and listeners < levels + 30:
        return "huynh-feldt"
    return "multivariate" if effect.multivariate else "greenhouse-geisser"
