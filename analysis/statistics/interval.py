"""A mean with its confidence interval, by Student's t."""

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


def t_interval(values: Float64[np.ndarray, " n"], level: float = 0.95) -> Interval:
    """Return Student's interval for the mean of independent values.

    NaN values are left out. The limits are NaN for fewer than 2 values, the mean too for none.
    """
    values = values[~np.isnan(values)]
    if values.size < 2:
        return Interval(float(values.mean()) if values.size else np.nan, np.nan, np.nan)
    return Interval.by_t(values.mean(), values.var(ddof=1) / values.size, values.size - 1, level)
