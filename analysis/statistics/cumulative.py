"""A mixed model of scores as ordered categories, which knows the ends of the scale.

Scores are cut into K categories, and ``P(score <= category k) = 1 / (1 + exp(eta - tau_k))`` with increasing
thresholds tau and ``eta = condition + listener + item + listener:condition + item:condition``, all but the
conditions random (McCullagh 1980; cumulative link mixed model). It uses the order of scores alone, so that ratings
crowded at 0 or 100 need no assumption.

Given the variances, thresholds, conditions and random effects maximise the penalised likelihood together; the
variances maximise Laplace's approximation of the likelihood at that point (lme4's ``glmer(nAGQ = 0)``, which it
equals for two categories).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import optimize, sparse, special

from analysis.statistics.interval import Estimate, Interval, bounded_limits
from analysis.statistics.mixed_models import NoFit

MAX_CATEGORIES = 15
"""Largest number of categories; more change little and cost a threshold each."""

MAX_EFFECT = 12.0
"""Log odds beyond which a condition counts as separated from the others: its estimate has no limit."""


SEPARATED = "a cumulative model needs conditions whose ratings overlap; one is separated from the others"


@dataclass(frozen=True)
class CumulativeModel:
    """A fitted model.

    Attributes
    ----------
    thresholds
        Log odds tau between neighbouring categories, for the first condition.
    effects
        Log odds of each condition against the first, positive for better ones.
    covariance
        Of thresholds, then effects without the first.
    deviations
        Random effect -> its standard deviation, in log odds.
    values
        Mean score of each category.
    df
        Degrees of freedom of t: one less than the smaller number of listeners or items.
    """

    thresholds: Float64[np.ndarray, " threshold"]
    effects: Float64[np.ndarray, " condition"]
    covariance: Float64[np.ndarray, "fixed fixed"]
    deviations: dict[str, float]
    values: Float64[np.ndarray, " category"]
    df: float

    def difference(self, first: int, second: int) -> Estimate:
        """Return the log odds by which one condition is rated above another."""
        weights = np.zeros(len(self.covariance))
        for condition, sign in ((first, 1.0), (second, -1.0)):
            if condition:
                weights[len(self.thresholds) + condition - 1] = sign
        variance = float(weights @ self.covariance @ weights)
        return Estimate(float(self.effects[first] - self.effects[second]), variance**0.5, self.df)

    def mean(self, condition: int, level: float = 0.95) -> Interval:
        """Return the expected score over listeners and items with an interval that stays within 0 to 100."""
        fixed = np.concatenate([self.thresholds, self.effects[1:]])
        value = self._expected(fixed, condition)
        steps = 1e-5 * np.eye(fixed.size)
        slope = np.array([(self._expected(fixed + s, condition) - self._expected(fixed - s, condition)) / 2e-5
                          for s in steps])  # fmt: skip
        se = float(np.sqrt(slope @ self.covariance @ slope))
        symmetric = Estimate(value, se, self.df).interval(level)
        return Interval(value, *bounded_limits(value, symmetric.low, symmetric.high))

    def _expected(self, fixed: Float64[np.ndarray, " fixed"], condition: int) -> float:
        count = len(self.thresholds)
        effect = fixed[count + condition - 1] if condition else 0.0
        nodes, weights = np.polynomial.hermite_e.hermegauss(31)
        spread = nodes * np.sqrt(sum(sd**2 for sd in self.deviations.values()))
        below = special.expit(fixed[:count] - effect - spread[:, None]) @ -np.diff(self.values)
        return float(self.values[-1] + weights @ below / weights.sum())


def categories(scores: Float64[np.ndarray, " rating"]) -> Int64[np.ndarray, " rating"]:
    """Cut scores into at most `MAX_CATEGORIES` categories of about as many ratings, numbered from 0."""
    distinct, codes = np.unique(scores, return_inverse=True)
    if distinct.size <= MAX_CATEGORIES:
        return codes
    edges = np.unique(np.quantile(scores, np.arange(1, MAX_CATEGORIES) / MAX_CATEGORIES, method="higher"))
    return np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]


def fit_cumulative(
    scores: Float64[np.ndarray, " rating"],
    condition: Int64[np.ndarray, " rating"],
    groups: Mapping[str, Int64[np.ndarray, " rating"]],
    df: float,
) -> CumulativeModel:
    """Fit the model.

    Parameters
    ----------
    scores
    condition
        Number of each rating's condition, from 0.
    groups
        Random effect -> the level of each rating, from 0.
    df
        Degrees of freedom of t.

    Raises
    ------
    NoFit
        If all scores are alike, or a condition is separated from the others by the categories.
    """
    category = categories(scores)
    if category.max() == 0:
        raise NoFit("a cumulative model needs ratings that vary")
    problem = _Penalised(category, condition, list(groups.values()))
    result = optimize.minimize(
        problem.deviance, np.full(len(groups), -0.7), method="L-BFGS-B", bounds=[(-5.0, 2.5)] * len(groups),
        options={"ftol": 1e-9, "eps": 1e-4, "maxiter": 60},
    )  # fmt: skip
    problem.deviance(result.x)
    count = problem.thresholds
    effects = np.concatenate([[0.0], problem.at[count : problem.fixed]])
    if np.abs(effects - np.median(effects)).max() > MAX_EFFECT:
        raise NoFit(SEPARATED)
    covariance = np.linalg.inv(problem.hessian)[: problem.fixed, : problem.fixed]
    values = np.array([scores[category == k].mean() for k in range(count + 1)])
    deviations = dict(zip(groups, np.exp(result.x).tolist(), strict=True))
    return CumulativeModel(problem.at[:count], effects, covariance, deviations, values, df)


class _Penalised:
    """The penalised likelihood of thresholds, conditions and random effects (in units of their deviations)."""

    def __init__(self, category: np.ndarray, condition: np.ndarray, groups: list[np.ndarray]) -> None:
        n, self.thresholds = category.size, int(category.max())
        self.fixed = self.thresholds + int(condition.max())
        rows = np.arange(n)
        is_lower, is_upper = category > 0, category < self.thresholds
        self._bounded = is_upper, is_lower
        of_conditions = sparse.csr_array(np.eye(int(condition.max()) + 1)[condition][:, 1:])
        self._random = [
            sparse.csr_array((np.ones(n), (rows, group)), shape=(n, int(group.max()) + 1)) for group in groups
        ]
        self._sizes = [int(group.max()) + 1 for group in groups]

        def thresholds(at: np.ndarray, where: np.ndarray) -> sparse.csr_array:
            return sparse.csr_array((np.ones(int(where.sum())), (rows[where], at[where])), (n, self.thresholds))

        self._upper = sparse.hstack([thresholds(category, is_upper), -of_conditions])
        self._lower = sparse.hstack([thresholds(category - 1, is_lower), -of_conditions])
        shares = np.cumsum(np.bincount(category))[:-1] / n
        others = self.fixed - self.thresholds + sum(self._sizes)
        self.at = self._start = np.concatenate([special.logit(shares), np.zeros(others)])
        self.hessian = np.eye(self.at.size)

    def deviance(self, log_deviations: Float64[np.ndarray, " effect"]) -> float:
        """Return -2 log of Laplace's approximation, with `at` and `hessian` at the mode."""
        random = sparse.hstack(
            [-np.exp(s) * z for s, z in zip(log_deviations, self._random, strict=True)], format="csr"
        )
        a, b = (sparse.hstack([part, random], format="csr") for part in (self._upper, self._lower))
        penalty = np.r_[np.zeros(self.fixed), np.ones(sum(self._sizes))]
        value, slope, self.hessian = self._terms(self.at, a, b, penalty)
        if np.isinf(value):  # the last mode is no start for these deviations
            self.at = self._start
            value, slope, self.hessian = self._terms(self.at, a, b, penalty)
        for _ in range(100):
            try:
                step = np.linalg.solve(self.hessian, slope)
            except np.linalg.LinAlgError:
                raise NoFit(SEPARATED) from None
            size = 1.0
            while True:
                new = self._terms(self.at - size * step, a, b, penalty)
                if new[0] <= value + 1e-10 or size < 1e-6:
                    break
                size /= 2
            self.at = self.at - size * step
            fell = value - new[0]
            value, slope, self.hessian = new
            if abs(fell) < 1e-9 * (1 + abs(value)) or np.abs(self.at[: self.fixed]).max() > 4 * MAX_EFFECT:
                break
        return 2 * value + float(np.linalg.slogdet(self.hessian[self.fixed :, self.fixed :])[1])

    def _terms(
        self, at: np.ndarray, a: sparse.csr_array, b: sparse.csr_array, penalty: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the negative log likelihood with its penalty, its gradient and Hessian."""
        is_upper, is_lower = self._bounded
        upper = np.where(is_upper, special.expit(np.where(is_upper, a @ at, 0.0)), 1.0)
        lower = np.where(is_lower, special.expit(np.where(is_lower, b @ at, 0.0)), 0.0)
        p = upper - lower
        if not p.min() > 1e-300:
            return np.inf, np.zeros(at.size), np.eye(at.size)
        fa, fb = upper * (1 - upper), lower * (1 - lower)
        slope = -(a.T @ (fa / p) - b.T @ (fb / p)) + penalty * at
        waa = (fa / p) ** 2 - fa * (1 - 2 * upper) / p
        wbb = (fb / p) ** 2 + fb * (1 - 2 * lower) / p
        wab = -(fa / p) * (fb / p)
        cross = (a.T @ (b * wab[:, None])).toarray()
        hessian = (a.T @ (a * waa[:, None])).toarray() + (b.T @ (b * wbb[:, None])).toarray() + cross + cross.T
        value = -float(np.log(p).sum()) + 0.5 * float(penalty @ at**2)
        return value, slope, hessian + np.diag(penalty)
