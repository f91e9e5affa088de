"""Means and confidence intervals of ratings in a DataFrame, whatever its columns are called."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ratings.cells import cells
from analysis.ratings.record import canonical
from analysis.statistics.intervals import CONVENTIONS
from analysis.statistics.intervals import summarise as summarise_cells
from render.common.errors import InputError, did_you_mean

DESIGN = ("listener", "item", "condition")


def summarise(
    ratings: pd.DataFrame,
    listener: str = "listener",
    item: str | None = "item",
    condition: str = "condition",
    score: str = "score",
    ci: str = "listener",
    level: float = 0.95,
) -> pd.DataFrame:
    """Summarise every condition of a table with one rating in a row. No listener is screened out.

    Parameters
    ----------
    ratings : DataFrame
    listener, condition, score : str
        Names of its columns; scores are 0 to 100, and rows without a score count as not rated.
    item : str, optional
        Likewise; None if there was one item.
    ci : {"listener", "crossed", "paper"}
        What the interval is to hold for: other listeners and these items; other items, too; or, as often
        published, all ratings taken as independent.
    level : float
        Probability that the interval holds the true mean.

    Returns
    -------
    DataFrame
        ``condition, n`` (ratings), ``mean, ci_low, ci_high, median``; reference and anchors are ordered by the
        names href, la and ma.

    Raises
    ------
    InputError
        If a column is missing, a score is no number from 0 to 100, or a cell of the design is rated twice.

    Examples
    --------
    >>> ratings = pd.DataFrame({
    ...     "subject": ["a", "b", "c"] * 2, "item": "Park", "condition": ["prop"] * 3 + ["la"] * 3,
    ...     "score": [70, 80, 90, 20, 30, 10],
    ... })
    >>> summarise(ratings, listener="subject").round(2).to_dict("records")[0]
    {'condition': 'la', 'n': 3, 'mean': 20.0, 'ci_low': -4.84, 'ci_high': 44.84, 'median': 20.0}
    >>> summarise(ratings)
    Traceback (most recent call last):
    ...
    render.common.errors.InputError: the table has no column 'listener' but subject, item, condition, score; ...
    """
    if ci not in CONVENTIONS:
        raise InputError(
            f"ci {ci!r} is unknown{did_you_mean(ci, CONVENTIONS)}; known are {', '.join(CONVENTIONS)}"
        )
    if not 0 < level < 1:
        raise InputError(f"level {level}; a probability between 0 and 1 is needed, such as 0.95")
    named = {"listener": listener, "item": item, "condition": condition, "score": score}
    for role, column in named.items():
        if column is not None and column not in ratings.columns:
            known = [str(name) for name in ratings.columns]
            suggestion = "" if column == role else did_you_mean(str(column), known)
            raise InputError(
                f"the table has no column {column!r} but {', '.join(known)}; "
                f"say which it is with {role}=...{suggestion}"
            )
    scores = pd.to_numeric(ratings[score], errors="coerce").to_numpy(float)
    bad = ~((scores >= 0) & (scores <= 100)) & ratings[score].notna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"row {row}: score {ratings[score].iloc[row]!r} is no number from 0 to 100")
    table = pd.DataFrame({"score": scores})
    for role in DESIGN:
        column = named[role]
        values = ["all"] * len(ratings) if column is None else ratings[column].tolist()
        if any(pd.isna(value) for value in values):
            raise InputError(f"column {column!r}: some rows have no {role}")
        table[role] = [canonical(str(value)) for value in values]
    table = table[table["score"].notna()].reset_index(drop=True)
    if table.empty:
        raise InputError("the table holds no rating")
    twice = table.duplicated(list(DESIGN))
    if twice.any():
        cell = ", ".join(f"{role} {table[role].iloc[int(np.argmax(twice))]!r}" for role in DESIGN)
        raise InputError(
            f"{cell}: rated more than once; average repeated ratings first, or name the column of items"
        )
    return summarise_cells(table, cells(table), ci, level)
