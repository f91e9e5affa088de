"""What a design cannot tell: conditions rated on different items, and p that a small panel cannot attain."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.ratings.cells import Cells
from analysis.ratings.record import listed
from analysis.statistics.distribution import residual_deviations, spreads_differ
from analysis.statistics.paired_tests import MAX_EXACT, listeners_for, smallest_p
from analysis.study.preregistration import Plan
from analysis.study.results import OmnibusTests

MAX_RESIDUAL_SHAPE = 0.5
"""Skewness or excess kurtosis of the residuals that BS.1534-3 (attachment 4) flags."""


def item_set_warnings(cube: Cells) -> list[str]:
    """Warn of conditions that were not rated on the items of the others, whose means are no fair comparison."""
    rated = np.any(~np.isnan(cube.scores), axis=0)
    count = rated.sum(axis=0)
    partial = [f"{c} on {count[k]}" for k, c in enumerate(cube.conditions) if count[k] < len(cube.items)]
    if not partial:
        return []
    common = int(np.sum(rated.all(axis=1)))
    return [
        f"conditions were rated on different items: of {len(cube.items)}, {listed(partial)}; {common} are common "
        "to all. Plain means compare different items; pairs compare what was rated under both, and marginal means "
        "of these items are over the common ones"
    ]


def balance_warnings(cube: Cells) -> list[str]:
    """Warn of a design in which listeners rate part of the items, if it is not balanced.

    In a balanced one the numbers of listeners that rated two items differ by at most one, and so do the numbers
    of items that two listeners rated.
    """
    pages = np.any(~np.isnan(cube.scores), axis=2)
    if pages.all():
        return []
    warnings = []
    by_item, by_listener = pages.sum(axis=0), pages.sum(axis=1)
    if np.ptp(by_item) > 1:
        fewest = listed([cube.items[i] for i in np.flatnonzero(by_item == by_item.min())])
        warnings.append(
            f"unbalanced: an item was rated by {by_item.min()} to {by_item.max()} listeners, the fewest {fewest}; "
            "marginal means allow for it, plain means do not"
        )
    if np.ptp(by_listener) > 1:
        fewest = listed([cube.listeners[i] for i in np.flatnonzero(by_listener == by_listener.min())])
        warnings.append(
            f"unbalanced: a listener rated {by_listener.min()} to {by_listener.max()} items, the fewest {fewest}"
        )
    return warnings


def spread_warnings(cube: Cells) -> list[str]:
    """Warn of conditions whose residuals scatter so differently that tests which pool them err."""
    if not spreads_differ(cube):
        return []
    deviations = residual_deviations(cube)
    low, high = int(np.argmin(deviations)), int(np.argmax(deviations))
    quoted = (
        "the test of all conditions that is quoted here does not pool them"
        if cube.complete
        else "that is quoted here, as the design is incomplete: rest on the tests of pairs"
    )
    return [
        f"the residuals of the conditions scatter differently (standard deviation {deviations[low]:.1f} for "
        f"{cube.conditions[low]}, {deviations[high]:.1f} for {cube.conditions[high]}). A mixed model, which pools "
        f"them, rejects up to 8 % of true hypotheses at 5 %; {quoted}. The tests of pairs do not pool"
    ]


def residuals_warned(omnibus: OmnibusTests) -> bool:
    """Return whether the residuals are off the normal distribution by BS.1534-3."""
    return bool(np.nanmax(np.abs([*omnibus.residuals, 0.0])) > MAX_RESIDUAL_SHAPE)


def attainable_warnings(
    pairs: pd.DataFrame, planned: pd.DataFrame | None, plan: Plan | None, off_normal: bool, claim: str = "items"
) -> list[str]:
    """Say which tests of pairs can reject at all, and what to prefer where the residuals are not normal.

    Parameters
    ----------
    pairs, planned
        Tables of pairs, as `analysis.statistics.paired_tests.compare_pairs` returns them.
    plan
        The plan, whose test and level apply to `planned`.
    off_normal
        Whether the residuals are off the normal distribution.
    claim
        What the quoted tests are to hold for.
    """
    warnings = []
    can_reject = True
    if len(pairs):
        listeners, count = int(pairs["n"].max()), len(pairs)
        least = smallest_p(listeners)
        can_reject = listeners > MAX_EXACT or count * least < 0.05
        if not can_reject:
            warnings.append(
                f"tests by ranks and sign flips cannot reject: with {listeners} listeners p is at least "
                f"{least:.2g}, after Holm over {count} pairs at least {min(1.0, count * least):.2g}; "
                f"{listeners_for(count)} listeners, or a plan of at most {max(int(np.ceil(0.05 / least)) - 1, 0)} "
                "comparisons, would do"
            )
    if plan and planned is not None and len(planned) and plan.test in ("wilcoxon", "sign-flip"):
        least = smallest_p(int(planned["n"].max()))
        family = 1 if plan.correction == "none" else len(planned)
        if planned["n"].max() <= MAX_EXACT and family * least >= plan.alpha:
            warnings.append(
                f"the planned {plan.test} test cannot reject: p is at least {least:.2g}, adjusted over {family} "
                f"comparisons {min(1.0, family * least):.2g}; {listeners_for(family, plan.alpha)} listeners "
                "would do"
            )
    if off_normal and claim == "material":
        warnings.append(
            "the residuals are not normal, and the tests by ranks and sign flips hold for these items only: read "
            "p of such material near 5 % with care"
        )
    elif off_normal and can_reject:
        warnings.append("prefer the tests by ranks or sign flips to t, as the residuals are not normal")
    elif off_normal:
        warnings.append(
            "the residuals are not normal, and the tests by ranks cannot reject here: Friedman's test of all "
            "conditions can; t rests on means over items, which are nearer to normal, so read p near 5 % with care"
        )
    return warnings
