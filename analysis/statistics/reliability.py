"""Agreement of a panel: intraclass correlations of the listeners, and what a repeated rating scatters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special

from render.common.errors import InputError


@dataclass(frozen=True)
class Icc:
    """An intraclass correlation of one listener's ratings and of the panel's mean, each with its 95 % limits."""

    single: float
    single_low: float
    single_high: float
    panel: float
    panel_low: float
    panel_high: float


def consistency(scores: Float64[np.ndarray, "stimulus listener"]) -> Icc:
    """Return ICC(3,1) and ICC(3,k): how far listeners order and space the stimuli alike, whatever their level.

    With the mean squares of stimuli, listeners and residual these are ``(MS_S - MS_E) / (MS_S + (k - 1) MS_E)``
    and ``(MS_S - MS_E) / MS_S``, which is Cronbach's alpha (Shrout and Fleiss, Psychol. Bull. 86, 1979; limits
    by McGraw and Wong, Psychol. Methods 1, 1996).

    Raises
    ------
    InputError
        If there are fewer than 2 stimuli or listeners, ratings are missing, or nothing varies.
    """
    (n, k), of_stimuli, _, error = _mean_squares(scores)
    f, df, df_error = of_stimuli / error, n - 1, (n - 1) * (k - 1)
    low, high = f / special.fdtri(df, df_error, 0.975), f * special.fdtri(df_error, df, 0.975)
    ratios = np.array([f, low, high])
    coefficients = (ratios - 1) / (ratios + k - 1)
    return Icc(*coefficients.tolist(), *_of_panel(coefficients, k))


def agreement(scores: Float64[np.ndarray, "stimulus listener"]) -> Icc:
    """Return ICC(2,1) and ICC(2,k): how far listeners give the same scores, their level included.

    With n stimuli this is ``(MS_S - MS_E) / (MS_S + (k - 1) MS_E + k (MS_L - MS_E) / n)`` for a listener.
    Sources and errors as for `consistency`; another error where two listeners only exchange the scores of two
    stimuli, so that the denominator is 0.
    """
    (n, k), of_stimuli, of_listeners, error = _mean_squares(scores)
    total = of_stimuli + (k - 1) * error + k * (of_listeners - error) / n
    if total <= 1e-12 * error:
        raise InputError("ICC(2,1) needs means that differ, of stimuli or of listeners")
    single = (of_stimuli - error) / total
    # Satterthwaite's degrees of freedom of what is not the stimuli's (Shrout and Fleiss 1979, p. 424)
    a, b = k * single * of_listeners / error, n * (1 + (k - 1) * single) - k * single
    df = (k - 1) * (n - 1) * (a + b) ** 2 / ((n - 1) * a**2 + b**2)
    upper, lower = special.fdtri(n - 1, df, 0.975), special.fdtri(df, n - 1, 0.975)
    others = k * of_listeners + (k * n - k - n) * error
    low = n * (of_stimuli / upper - error) / (others + n * of_stimuli / upper)  # upper may be infinite
    high = n * (lower * of_stimuli - error) / (others + n * lower * of_stimuli)
    coefficients = np.array([single, low, high])
    return Icc(*coefficients.tolist(), *_of_panel(coefficients, k))


def _of_panel(single: Float64[np.ndarray, " 3"], k: int) -> list[float]:
    """Return the coefficients of the mean of k listeners, ``k r / (1 + (k - 1) r)`` (Spearman and Brown)."""
    with np.errstate(divide="ignore"):  # stimuli whose means do not differ at all
        return (k * single / (1 + (k - 1) * single)).tolist()


def _mean_squares(scores: np.ndarray) -> tuple[tuple[int, int], float, float, float]:
    """Return the numbers of stimuli and listeners, and the mean squares of stimuli, listeners and residual."""
    n, k = scores.shape
    if min(n, k) < 2 or np.isnan(scores).any():
        raise InputError("an intraclass correlation needs 2 stimuli that the same 2 listeners rated")
    mean, of_stimuli, of_listeners = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - of_stimuli[:, None] - of_listeners + mean
    error = float(np.sum(rest**2)) / ((n - 1) * (k - 1))
    if error <= 1e-12:
        raise InputError("an intraclass correlation needs listeners who do not all rate alike")
    return (n, k), k * float(of_stimuli.var(ddof=1)), n * float(of_listeners.var(ddof=1)), error
