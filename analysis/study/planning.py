"""What the power of a planned test is computed from: the ratings of a pilot, or published tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from analysis.ratings.cells import cells
from analysis.ratings.conditions import REFERENCE_AND_ANCHORS
from analysis.ratings.table import Ratings
from analysis.statistics.condition_models import fit_condition_model
from analysis.statistics.paired_tests import compare_pairs, every_pair
from analysis.statistics.power import (
    Sampling,
    excess_of_items,
    of_listeners,
    of_listeners_and_items,
    sd_of_items,
)
from analysis.study.simulation import VARIANCES
from render.common.errors import InputError

PUBLISHED_SD = (8.0, 10.9)
"""Median standard deviation of the listeners' differences between systems, in two published tests of codecs."""


@dataclass(frozen=True)
class PlannedTest:
    """Where the power of a planned test comes from.

    Attributes
    ----------
    origin
        Where the standard deviation or the components come from, in words.
    described
        The standard deviation or the components, in words.
    sampling
        Maps a number of listeners to the sampling of the difference of two conditions.
    """

    origin: str
    described: str
    sampling: Callable[[int], Sampling]


def planned_tests(
    pilot: Ratings | None,
    pair: list[str] | None,
    items: int | None,
    rated: int | None = None,
    claim: str = "items",
    sd: float | None = None,
) -> list[PlannedTest]:
    """Return what the power is computed from.

    Parameters
    ----------
    pilot
        Ratings of a pilot; None for published values.
    pair
        Two of its conditions; None for all its systems.
    items
        Number of items of the planned test, for which the standard deviation follows from variance components;
        None for that of the pilot or the published tests.
    rated
        Number of items that each listener rates; None for all.
    claim
        What the result is to hold for, one of `analysis.study.options.CLAIMS`.
    sd
        Standard deviation of the listeners' differences, if it is given.

    Raises
    ------
    InputError
        If the pilot does not have these conditions or is too small.
    """
    if items is None:
        sds = {"given": sd} if sd else difference_sds(pilot, pair)
        return [PlannedTest(origin, f"standard deviation of the listeners' differences {value:.1f} points",
                            partial(of_listeners, sd=value)) for origin, value in sds.items()]  # fmt: skip
    rated = rated or items
    if pilot:
        name = "SIMULATED pilot" if pilot.simulated else "pilot"
        origin, components = f"components of the {name}, {items} items", pilot_components(pilot, pair)
    else:
        origin = f"published components, {items} items"
        components = {component.replace("_", ":"): value for component, value in VARIANCES.items()}
    if rated < items:
        origin += f", {rated} of them each"
    if claim == "material":
        described = ", ".join(
            f"{k} {components[k]:.1f}" for k in ("listener:condition", "item:condition", "residual")
        )
        sampling = partial(of_listeners_and_items, items=items, components=components, rated=rated)
        return [PlannedTest(origin, f"variances {described}", sampling)]
    value = sd_of_items(components, rated)
    excess = excess_of_items(components, items, rated)
    return [PlannedTest(origin, f"standard deviation of the listeners' differences {value:.1f} points",
                        partial(of_listeners, sd=value, excess=excess))]  # fmt: skip


def difference_sds(pilot: Ratings | None, pair: list[str] | None) -> dict[str, float]:
    """Return standard deviations of the listeners' differences, in points, by where they come from.

    Raises
    ------
    InputError
        If the pilot does not have these conditions or is too small.
    """
    if pilot:
        name = "SIMULATED pilot" if pilot.simulated else "pilot"
        design = f"{pilot.table['listener'].nunique()} listeners x {pilot.table['item'].nunique()} items"
        return {f"{name}, {design}": pilot_sd(pilot, pair)}
    return {f"published, test {i}": sd for i, sd in enumerate(PUBLISHED_SD, start=1)}


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
    if pair:
        pairs = [(pair[0], pair[1])]
    else:
        pairs, too_many = every_pair([c for c in cube.conditions if c not in REFERENCE_AND_ANCHORS])
        if too_many:
            raise InputError(f"the pilot's {too_many}, or one with --pair A B")
    chosen = compare_pairs(cube.scores, cube.conditions, pairs=pairs)
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
    model = fit_condition_model(cube).model
    return model.variances | {"residual": model.residual}


def _check_pair(ratings: Ratings, pair: list[str] | None) -> None:
    if pair and (unknown := set(pair) - set(ratings.table["condition"])):
        raise InputError(f"the pilot has no condition {', '.join(sorted(unknown))}")


def margin_tests(ratings: Ratings, pair: list[str], margin: float, claim: str = "items") -> pd.DataFrame:
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
    return compare_pairs(cube.scores, cube.conditions, margin, both_ways, claim)
