"""The mean of a table listener x item if both are samples: it extends to others of their kind."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from analysis.statistics.interval import Estimate, Interval
from analysis.statistics.mixed_inference import MixedInference
from analysis.statistics.mixed_models import NoFit, fit


def crossed_interval(scores: Float64[np.ndarray, "listener item"], level: float = 0.95) -> Interval:
    """Return the interval of `crossed_mean`."""
    return crossed_mean(scores).interval(level)


def crossed_mean(scores: Float64[np.ndarray, "listener item"]) -> Estimate:
    """Return a mean if listeners and items are both random, by REML of ``score ~ 1 + (1|listener) + (1|item)``.

    For a complete table with the mean squares of listeners, items and residual, ``var = (MS_L + MS_I - MS_E) /
    (L I)`` with Satterthwaite's degrees of freedom. If the estimated component of the items (listeners) is not
    positive, REML estimates it as zero: the factor is then pooled with the residual, and the t interval over the
    listener (item) means remains. If cells are missing (NaN), `crossed_mean_with_gaps` fits the model.

    There is no standard error (NaN) for a single listener, and no mean for an empty table.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946); Searle, Casella, McCulloch, Variance Components.
    """
    if np.isnan(scores).any():
        return crossed_mean_with_gaps(scores)
    number_listeners, number_items = scores.shape
    mean = float(scores.mean())
    if number_listeners < 2:
        return Estimate(mean, np.nan, np.nan)
    deviation = scores - mean
    by_listener, by_item = deviation.mean(axis=1), deviation.mean(axis=0)
    residual = deviation - by_listener[:, None] - by_item
    squares = {"listener": number_items * np.sum(by_listener**2)}
    freedom = {"listener": number_listeners - 1}
    square_error, freedom_error = 0.0, 0
    if number_items > 1:
        squares["item"], freedom["item"] = number_listeners * np.sum(by_item**2), number_items - 1
        square_error, freedom_error = np.sum(residual**2), (number_listeners - 1) * (number_items - 1)
        for factor in sorted(squares, key=lambda f: squares[f] / freedom[f]):
            if squares[factor] / freedom[factor] <= square_error / freedom_error:
                square_error += squares.pop(factor)
                freedom_error += freedom.pop(factor)
    squares_mean = [squares[f] / freedom[f] for f in squares]
    if len(squares) == 1:
        variance, df = squares_mean[0], float(freedom[next(iter(squares))])
    elif not squares:
        variance, df = square_error / freedom_error, float(freedom_error)
    else:
        error = square_error / freedom_error
        variance = sum(squares_mean) - error
        parts = [*zip(squares_mean, freedom.values(), strict=True), (error, freedom_error)]
        df = float(variance**2 / sum(square**2 / count for square, count in parts))
    return Estimate(mean, float(np.sqrt(variance / scores.size)), df)


def crossed_mean_with_gaps(scores: Float64[np.ndarray, "listener item"]) -> Estimate:
    """Return what `crossed_mean` does if some cells were not rated (NaN), by iteration.

    There is no standard error for a single listener and if the model cannot be fitted; scores that are all equal
    have the standard error 0.
    """
    listener, item = np.nonzero(~np.isnan(scores))
    y = scores[listener, item]
    if not y.size:
        return Estimate(np.nan, np.nan, np.nan)
    groups = {
        name: np.unique(codes, return_inverse=True)[1]
        for name, codes in (("listener", listener), ("item", item))
        if np.unique(codes).size > 1
    }
    if "listener" not in groups or np.ptp(y) == 0:
        alone = "listener" not in groups
        return Estimate(float(y.mean()), *((np.nan, np.nan) if alone else (0.0, len(scores) - 1.0)))
    groups = {name: codes for name, codes in groups.items() if codes.max() + 1 < y.size}
    if not groups:
        return Estimate(float(y.mean()), float(y.std(ddof=1) / y.size**0.5), y.size - 1.0)
    try:
        model = fit(y, np.ones((y.size, 1)), groups)
    except NoFit:
        return Estimate(float(y.mean()), np.nan, np.nan)
    return MixedInference(model).contrast(np.ones(1), "satterthwaite")
