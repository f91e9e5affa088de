"""What the ratings of a pilot test say about the power of the test that is planned."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ratings.cells import cells
from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.ratings.table import Ratings
from analysis.statistics.intervals import means_over_items
from analysis.statistics.mixed_models import condition_model
from analysis.statistics.paired_tests import compare_pairs
from render.common.errors import InputError


def pilot_name(ratings: Ratings) -> str:
    """Return ``pilot``, or ``SIMULATED pilot`` for simulated ratings."""
    return "SIMULATED pilot" if ratings.simulated else "pilot"


def pilot_sd(ratings: Ratings, pair: list[str] | None) -> float:
    """Return the standard deviation of the listeners' differences, in points.

    Parameters
    ----------
    ratings
        Ratings of the pilot.
    pair
        Two of its conditions; None for the median over all pairs of systems.

    Raises
    ------
    InputError
        If the pilot does not have these conditions, or no pair's differences vary.
    """
    _check_pair(ratings, pair)
    cube = cells(ratings.table)
    pairs = compare_pairs(means_over_items(cube.scores), cube.conditions)
    if pair:
        chosen = pairs[pairs["a"].isin(pair) & pairs["b"].isin(pair)]
    else:
        chosen = pairs[~pairs[["a", "b"]].isin(list(REFERENCE_AND_ANCHORS)).any(axis=1)]
    sds = (chosen["difference"] / chosen["dz"]).dropna()
    if not len(sds):
        raise InputError("the pilot has no pair of systems whose differences vary; name one with --pair A B")
    return float(np.median(sds))


def pilot_components(ratings: Ratings, pair: list[str] | None) -> dict[str, float]:
    """Return the variance components of a pilot and its residual, in points squared.

    Parameters
    ----------
    ratings
        Ratings of the pilot.
    pair
        Two of its conditions; None for all its systems.

    Raises
    ------
    InputError
        If the pilot does not have these conditions, or fewer than 2 listeners, 2 items and 2 systems.
    """
    _check_pair(ratings, pair)
    chosen = set(pair) if pair else set(ratings.table["condition"]) - REFERENCE_AND_ANCHORS.keys()
    cube = cells(ratings.table[ratings.table["condition"].isin(chosen)])
    if min(len(cube.listeners), len(cube.items), len(cube.conditions)) < 2:
        raise InputError(
            "variance components need 2 listeners, 2 items and 2 systems; name a pair with --pair A B"
        )
    model = condition_model(cube)
    return model.variances | {"residual": model.residual}


def _check_pair(ratings: Ratings, pair: list[str] | None) -> None:
    if pair and (unknown := set(pair) - set(ratings.table["condition"])):
        raise InputError(f"the pilot has no condition {', '.join(sorted(unknown))}")


def margin_tests(ratings: Ratings, pair: list[str], margin: float) -> pd.DataFrame:
    """Test the equivalence and non-inferiority of a pair within `margin` points, without post-screening.

    Returns
    -------
    DataFrame
        Two rows of `compare_pairs`: the pair as given, and the other way round.
    """
    _check_pair(ratings, pair)
    cube = cells(ratings.table)
    first, second = pair
    both_ways = [(first, second), (second, first)]
    return compare_pairs(means_over_items(cube.scores), cube.conditions, margin, both_ways)
