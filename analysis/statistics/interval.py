"""A mean with its confidence interval, by Student's t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; the limits are NaN where the data cannot give one."""

    mean: float
    low: float
    high: float


def t_interval(values: Float64[np.ndarray, " rating"], level: float = 0.95) -> Interval:
    """Student's interval of the mean of independent values."""
    values = values[~np.isnan(values)]
    if values.size < 2:
        return Interval(float(values.mean()) if values.size else np.nan, np.nan, np.nan)
    return interval_from(values.mean(), values.var(ddof=1) / values.size, values.size - 1, level)


def interval_from(mean: float, variance: float, df: float, level: float) -> Interval:
    """Interval of a mean from its variance and degrees of freedom."""
    half = special.stdtrit(df, 0.5 + level / 2) * np.sqrt(variance)
    return Interval(float(mean), float(mean - half), float(mean + half))
