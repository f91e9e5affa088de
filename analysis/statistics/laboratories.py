"""Tests of ratings from several laboratories: whether they rate alike, and rank the conditions alike.

A listener belongs to one laboratory, a condition is rated in all of them: a split-plot design. Laboratories are
fixed: results hold for other listeners of these laboratories.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from analysis.statistics.anova import Effect, effect_of_contrasts, orthonormal_contrasts
from render.common.errors import InputError


def split_plot(
    means: Float64[np.ndarray, "listener condition"], laboratory: Int64[np.ndarray, " listener"]
) -> tuple[Effect, Effect, Effect]:
    """Test the factors laboratory and condition, and their interaction.

    The means of the laboratories differ against the scatter of the listeners within them. Condition and
    interaction are tested on orthonormal contrasts of the conditions against the same scatter, with epsilons as
    in `analysis.statistics.anova.effect_of_contrasts`. The conditions' means are the unweighted means of the
    laboratories (type III), so that a large laboratory does not outvote a small one.

    Parameters
    ----------
    means
        Each listener's mean of each condition, complete.
    laboratory
        The number of each listener's laboratory, from 0 without gaps.

    Raises
    ------
    InputError
        If there are fewer than 2 laboratories or conditions, a laboratory has fewer than 2 listeners, or means are
        missing.
    """
    sizes = np.bincount(laboratory)
    if len(sizes) < 2 or means.shape[1] < 2 or sizes.min() < 2 or np.isnan(means).any():
        raise InputError(
            "a comparison of laboratories needs 2 of them with 2 listeners each who rated every cell, "
            "and 2 conditions"
        )
    groups, freedom, conditions = len(sizes), len(means) - len(sizes), means.shape[1]

    def between_and_within(values: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        of_groups = np.stack([values[laboratory == g].mean(axis=0) for g in range(groups)])
        squares = float(np.sum(sizes[:, None] * (of_groups - values.mean(axis=0)) ** 2))
        return of_groups, squares, values - of_groups[laboratory]

    # The mean over the conditions is the contrast 1 / sqrt(K), which gives the usual sums of squares
    _, squares, rest = between_and_within(means.sum(axis=1, keepdims=True) / np.sqrt(conditions))
    of_laboratory = effect_of_contrasts("laboratory", squares, groups - 1, rest, freedom)
    of_groups, interaction, rest = between_and_within(means @ orthonormal_contrasts(conditions))
    unweighted = of_groups.mean(axis=0)
    squares = float(unweighted @ unweighted) * groups**2 / float(np.sum(1 / sizes))
    return (
        of_laboratory,
        effect_of_contrasts("condition", squares, conditions - 1, rest, freedom),
        effect_of_contrasts("laboratory:condition", interaction, (groups - 1) * (conditions - 1), rest, freedom),
    )
