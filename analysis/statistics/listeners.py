"""What each listener's ratings say of the listener: use of the scale, agreement, repeatability and discrimination.

The measures are those for which Report ITU-R BS.2300 (eGauge) asks, agreement, reliability and discrimination, as
plain statistics of one listener's ratings. Reference and anchors are left out where two systems are left:
anybody tells them from the rest, so that they say little of a listener.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells
from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.statistics.anova import f_tail

COLUMNS = (
    "listener", "n", "mean", "sd", "min", "max", "at_ends", "offset", "stretch", "agreement", "repeated",
    "repeat_sd", "reliability", "discrimination", "df", "df_error", "p_discrimination",
)  # fmt: skip


def stimuli_of_systems(cube: Cells) -> Float64[np.ndarray, "listener item condition"]:
    """Return the scores of the systems alone, or of all conditions if fewer than two are systems."""
    systems = [k for k, name in enumerate(cube.conditions) if name not in REFERENCE_AND_ANCHORS]
    return cube.scores[:, :, systems] if len(systems) > 1 else cube.scores


def listener_table(table: pd.DataFrame, cube: Cells) -> pd.DataFrame:
    """Describe every listener.

    Parameters
    ----------
    table
        Tidy table of ratings.
    cube
        The same ratings as an array.

    Returns
    -------
    DataFrame
        All ratings: their number ``n``, ``mean, sd, min, max`` and the share ``at_ends`` that are 0 or 100.

        Stimuli of the systems (`stimuli_of_systems`), against the mean of the other listeners over the stimuli
        that the listener rated: ``offset`` of the mean in points, ``stretch`` (slope of the listener's scores on
        that mean; 1 is the panel's use of the scale, less is a narrower one) and ``agreement`` (Pearson's
        correlation).

        Where a listener rated stimuli repeatedly, their number ``repeated``; ``repeat_sd``, the standard deviation
        of repeated ratings of a stimulus, in points; ``reliability``, ICC(1,1) of the repeated ratings, 1 if they
        are the same; and ``discrimination``, the F by which the stimuli differ against that scatter. Else
        ``discrimination`` is the F of the systems against their interaction with the items. ``p_discrimination``
        is the p of F with ``df`` and ``df_error`` degrees of freedom; it is small for a listener who tells the
        stimuli (systems) apart. What cannot be computed is NaN.
    """
    scores = stimuli_of_systems(cube)
    of_systems = table["condition"].isin([c for c in cube.conditions if c not in REFERENCE_AND_ANCHORS])
    if scores.shape == cube.scores.shape:
        of_systems |= True
    everybody = dict(iter(table.groupby("listener")["score"]))
    repeated = {
        listener: [cell.to_numpy(float) for _, cell in own.groupby(["item", "condition"])["score"]]
        for listener, own in table[of_systems].groupby("listener")
    }
    rows = []
    for i, listener in enumerate(cube.listeners):
        own = everybody[listener].to_numpy(float)
        spread = own.std(ddof=1) if own.size > 1 else np.nan
        at_ends = float(np.mean((own == 0) | (own == 100)))
        rows.append((
            listener, own.size, own.mean(), spread, own.min(), own.max(), at_ends,
            *_against_the_others(scores, i), *_repeatability(repeated.get(listener, []), scores[i]),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _against_the_others(
    scores: Float64[np.ndarray, "listener item condition"], i: int
) -> tuple[float, float, float]:
    """Return offset, slope and correlation of a listener's scores against the mean of the others'."""
    others = np.delete(scores, i, axis=0)
    count = np.sum(~np.isnan(others), axis=0)
    both = ~np.isnan(scores[i]) & (count > 0)
    own, panel = scores[i][both], (np.nansum(others, axis=0)[both] / count[both])
    if own.size < 3:
        return np.nan, np.nan, np.nan
    offset = float(np.mean(own - panel))
    x, y = panel - panel.mean(), own - own.mean()
    if min(x @ x, y @ y) <= 1e-12:
        return offset, np.nan, np.nan
    return offset, float(x @ y / (x @ x)), float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _repeatability(
    stimuli: list[np.ndarray], scores: Float64[np.ndarray, "item condition"]
) -> tuple[int, float, float, float, float, float, float]:
    """Return how many stimuli were rated repeatedly, their scatter, ICC(1,1), and F, its degrees of freedom, p."""
    repeated = [values for values in stimuli if len(values) > 1]
    if len(repeated) > 1:
        sizes = np.array([len(values) for values in repeated])
        means, mean = np.array([values.mean() for values in repeated]), np.concatenate(repeated).mean()
        df, df_error = len(repeated) - 1, int(sizes.sum()) - len(repeated)
        between = float(sizes @ (means - mean) ** 2) / df
        within = sum(float(np.sum((values - values.mean()) ** 2)) for values in repeated) / df_error
        # the mean number of ratings of a stimulus where they differ (Searle, Casella, McCulloch, 3.6)
        each = (sizes.sum() - (sizes @ sizes) / sizes.sum()) / df
        total = between + (each - 1) * within
        reliability = (between - within) / total if total > 1e-12 else np.nan
        return (len(repeated), float(np.sqrt(within)), float(reliability), *_f(between, within, df, df_error))
    complete = scores[~np.isnan(scores).any(axis=1)]
    items, conditions = complete.shape
    if min(items, conditions) < 2:
        return len(repeated), np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
    of_conditions = complete.mean(axis=0)
    rest = complete - complete.mean(axis=1, keepdims=True) - of_conditions + complete.mean()
    df, df_error = conditions - 1, (conditions - 1) * (items - 1)
    between = items * float(of_conditions.var(ddof=1))
    return (len(repeated), np.nan, np.nan, *_f(between, float(np.sum(rest**2)) / df_error, df, df_error))


def _f(between: float, within: float, df: int, df_error: int) -> tuple[float, float, float, float]:
    if within <= 1e-12:
        return np.nan, float(df), float(df_error), np.nan
    return between / within, float(df), float(df_error), f_tail(df, df_error, between / within)
