"""Tests of all conditions together, and of each item by itself where conditions and items interact."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells
from analysis.ratings.conditions import ANCHORS
from analysis.ratings.record import listed
from analysis.statistics import anova, paired_tests
from analysis.statistics.aligned_ranks import aligned_rank_tests
from analysis.statistics.distribution import skewness_and_kurtosis
from analysis.statistics.item_pairs import compare_on_items
from analysis.study.results import OmnibusTests


def omnibus_tests(
    scores: Float64[np.ndarray, "listener item condition"], means: Float64[np.ndarray, "listener condition"]
) -> tuple[OmnibusTests, list[str]]:
    """Test all conditions together on complete scores and the means over their items; also return warnings."""
    listeners, items, conditions = scores.shape
    if listeners < 2 or conditions < 2:
        return OmnibusTests(), [
            "analysis of variance and Friedman's test need 2 listeners who rated every cell, and 2 conditions"
        ]
    warnings = []
    if items > 1:
        effects: tuple[anova.Effect, ...] = anova.two_way(scores)
        interaction = effects[2]
        if interaction.p_gg < 0.05:
            warnings.append(
                f"conditions and items interact (p = {interaction.p_gg:.2g}, Greenhouse-Geisser): "
                "differences depend on the item, so look at each item before trusting the means over items"
            )
    else:
        effects = (anova.one_way(means),)
    chosen = {effect.name: anova.chosen_test(effect, listeners) for effect in effects}
    residuals = skewness_and_kurtosis(anova.residuals(scores))
    if (worst := max(map(abs, residuals))) > 0.5:
        degree = "severely " if worst > 1 else ""
        warnings.append(
            f"residuals are {degree}off the normal distribution (skewness {residuals[0]:.2f}, excess kurtosis "
            f"{residuals[1]:.2f}; BS.1534-3 flags 0.5, and 1.0 as severe)"
        )
    friedman = paired_tests.friedman(means.round(9))
    quoted = effects[0].quoted(chosen[effects[0].name])
    if (quoted < 0.05) != (friedman.p < 0.05):
        warnings.append(
            f"analysis of variance (p = {quoted:.2g}) and Friedman's test (p = {friedman.p:.2g}) disagree at 5 %"
        )
    aligned = aligned_rank_tests(scores) if items > 1 else ()
    return OmnibusTests(effects, chosen, friedman, residuals, aligned), warnings


def differences_on_items(cube: Cells, omnibus: OmnibusTests) -> pd.DataFrame | None:
    """Compare the pairs without anchors on each item if conditions and items interact; else None.

    They are not compared either if they are more than `analysis.statistics.paired_tests.MAX_PAIRS`.
    """
    interaction = next((effect for effect in omnibus.effects if effect.name == "condition:item"), None)
    pairs = paired_tests.every_pair([c for c in cube.conditions if c not in ANCHORS])[0]
    if interaction is None or not interaction.p_gg < 0.05 or len(pairs) * len(cube.items) > paired_tests.MAX_PAIRS:
        return None
    return compare_on_items(cube.scores, cube.items, cube.conditions, pairs)


def item_pair_warnings(item_pairs: pd.DataFrame | None) -> list[str]:
    """Say on how many items which pairs differ in which direction, if that depends on the item."""
    if item_pairs is None:
        return []
    found = item_pairs[item_pairs["p_adjusted"] < 0.05]
    both = [
        f"{a} - {b}"
        for (a, b), own in found.groupby(["a", "b"], sort=False)["difference"]
        if own.min() < 0 < own.max()
    ]
    reversed_ = f"; {listed(both)} in both directions" if both else "; none in both directions"
    return [
        f"of {len(item_pairs)} differences on single items (item_pairs.csv), {len(found)} are significant at 5 % "
        f"after Holm{reversed_}"
    ]
