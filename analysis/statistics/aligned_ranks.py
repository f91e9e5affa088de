"""Analysis of variance on aligned ranks: a track by ranks that tests the interaction of conditions and items too.

Ranks of raw scores mix the effects of a factorial design. The aligned rank transform (Higgins and Tashtoush 1994;
Wobbrock et al., CHI 2011) strips the scores of all effects but one, ranks what is left, and analyses the ranks
by the full factorial model, of which only that effect is read.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from analysis.statistics.anova import Effect, two_way
from analysis.statistics.paired_tests import midranks


def aligned_ranks(
    scores: Float64[np.ndarray, "listener item condition"], effect: str
) -> Float64[np.ndarray, "listener item condition"]:
    """Return the ranks (1 is lowest, ties share their mean) of the scores aligned for one effect.

    Aligned are the residuals about the means of the cells item x condition plus the estimated effect: ``m_c -
    m`` for ``condition``, ``m_i - m`` for ``item``, ``m_ic - m_i - m_c + m`` for ``condition:item``.
    """
    cells = scores.mean(axis=0)
    mean, of_items, of_conditions = cells.mean(), cells.mean(axis=1, keepdims=True), cells.mean(axis=0)
    estimated = {
        "condition": of_conditions - mean,
        "item": of_items - mean,
        "condition:item": cells - of_items - of_conditions + mean,
    }[effect]
    aligned = np.round(scores - cells + estimated, 9)  # rounding errors would break ties
    return midranks(aligned.ravel()).reshape(scores.shape)


def aligned_rank_tests(scores: Float64[np.ndarray, "listener item condition"]) -> tuple[Effect, Effect, Effect]:
    """Test condition, item and their interaction on aligned ranks, each by its own repeated-measures analysis.

    Raises
    ------
    InputError
        If there are fewer than 2 listeners or 2 cells, or ratings are missing.
    """
    names = ("condition", "item", "condition:item")
    condition, item, interaction = (
        two_way(aligned_ranks(scores, name))[number] for number, name in enumerate(names)
    )
    return condition, item, interaction
