"""The panel of a test: each listener, how far they agree, and what a repeated rating scatters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.statistics.listeners import listener_table, stimuli_of_systems
from analysis.statistics.reliability import Icc, agreement, consistency
from render.common.errors import InputError


@dataclass(frozen=True)
class Panel:
    """What the ratings say of the panel after post-screening.

    Attributes
    ----------
    listeners
        One row for each listener (`analysis.statistics.listeners.listener_table`).
    stimuli
        Number of the systems' stimuli that every listener rated, over which the correlations are.
    agreement, consistency
        Intraclass correlations with and without the listeners' levels; the reason if one cannot be computed.
    repeat_sd
        Standard deviation of repeated ratings of a stimulus by one listener, in points; NaN without any.
    """

    listeners: pd.DataFrame
    stimuli: int
    agreement: Icc | str
    consistency: Icc | str
    repeat_sd: float


def describe_panel(table: pd.DataFrame, cube: Cells) -> Panel:
    """Describe the panel; `table` and `cube` hold the same ratings."""
    listeners = listener_table(table, cube)
    scores = stimuli_of_systems(cube)
    rated = scores.reshape(len(scores), -1).T
    rated = rated[~np.isnan(rated).any(axis=1)]
    repeated = listeners.dropna(subset=["repeat_sd"])
    squares = repeated["df_error"] * repeated["repeat_sd"] ** 2
    repeat_sd = float(np.sqrt(squares.sum() / repeated["df_error"].sum())) if len(repeated) else float("nan")
    return Panel(listeners, len(rated), _or_reason(agreement, rated), _or_reason(consistency, rated), repeat_sd)


def _or_reason(coefficient: Callable[[np.ndarray], Icc], rated: np.ndarray) -> Icc | str:
    try:
        return coefficient(rated)
    except InputError as error:
        return str(error)
