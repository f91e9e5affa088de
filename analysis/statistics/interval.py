"""Estimates with their standard errors, and confidence intervals by Student's t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; the limits are NaN if the data are too few for one."""

    mean: float
    low: float
    high: float

    @classmethod
    def by_t(cls, mean: float, variance: float, df: float, level: float) -> Interval:
        """Construct the interval of a mean from the mean's own variance and its degrees of freedom."""
        half = special.stdtrit(df, 0.5 + level / 2) * np.sqrt(variance)
        return cls(float(mean), float(mean - half), float(mean + half))


@dataclass(frozen=True)
class Estimate:
    """An estimate, its standard error and the degrees of freedom of its t."""

    value: float
    se: float
    df: float

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that the true value is 0; NaN without a standard error."""
        return float(2 * special.stdtr(self.df, -abs(self.value) / self.se)) if self.se > 0 else float("nan")

    def interval(self, level: float = 0.95) -> Interval:
        """Return the t interval."""
        return Interval.by_t(self.value, self.se**2, self.df, level)

    def p_above(self, limit: float) -> float:
        """Return the one-sided p for the claim that the true value is above `limit`."""
        return float(special.stdtr(self.df, (limit - self.value) / self.se)) if self.se > 0 else float("nan")


def mean_estimate(values: Float64[np.ndarray, " n"]) -> Estimate:
    """Return the mean of independent values; NaN values are left out.

    Values that are all equal have the standard error 0; a single one has none (NaN).
    """
    values = values[~np.isnan(values)]
    if values.size < 2:
        return Estimate(float(values.mean()) if values.size else np.nan, np.nan, np.nan)
    deviation = float(values.std(ddof=1))
    return Estimate(
        float(values.mean()), 0.0 if deviation <= 1e-12 else deviation / values.size**0.5, values.size - 1.0
    )


def t_interval(values: Float64[np.ndarray, " n"], level: float = 0.95) -> Interval:
    """Return Student's interval for the mean of independent values.

    NaN values are left out. The limits are NaN for fewer than 2 values, the mean too for none.
    """
    values = values[~np.isnan(values)]
    if values.size < 2:
        return Interval(float(values.mean()) if values.size else np.nan, np.nan, np.nan)
    return Interval.by_t(values.mean(), values.var(ddof=1) / values.size, values.size - 1, level)


def bounded_limits(mean: float, low: float, high: float) -> tuple[float, float]:
    """Return limits within 0..100 for the interval ``low..high`` of a mean score, which is symmetric about it.

    The half-width is carried to the logistic scale ``log(m / (100 - m))`` by its slope at the mean, and its ends
    are carried back. For the convention `listener` this is the interval of a logistic regression of the scores
    on the condition with listeners as clusters. A mean of 0 or 100 has all its ratings there and keeps its
    limits.
    """
    if not 0 < mean < 100 or np.isnan(low):
        return low, high
    centre = special.logit(mean / 100)
    half = (high - low) / 2 / (mean * (1 - mean / 100))
    return float(100 * special.expit(centre - half)), float(100 * special.expit(centre + half))
