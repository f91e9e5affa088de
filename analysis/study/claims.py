"""What a result is to hold for, in words, and the omnibus test that supports it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.ratings.cells import Cells
from analysis.statistics.anova import Effect, chosen_test
from analysis.statistics.condition_models import ConditionModel
from analysis.statistics.crossed_omnibus import crossed_omnibus
from analysis.statistics.distribution import spreads_differ


def sentence(claim: str, items: int) -> str:
    """Say for what the intervals and tests of one of `analysis.study.options.CLAIMS` hold."""
    these = "this item" if items == 1 else f"these {items} items"
    if claim == "items":
        return f"holds for other listeners and {these}; says nothing of other items"
    return f"holds for other listeners and other items of the kind of which {these} are a sample"


@dataclass(frozen=True)
class QuotedTest:
    """The test of all conditions together that supports the claim: F, its degrees of freedom, p, and its name."""

    name: str
    f: float
    df: float
    df_error: float
    p: float


def quoted_test(cube: Cells, claim: str, effect: Effect | None, model: ConditionModel | None) -> QuotedTest | None:
    """Return the test of all conditions together that is to be quoted; None if none can be made.

    Of a complete design that is for these items the choice of BS.1534-3 from the analysis of variance, except that
    where the spreads of the conditions differ (`analysis.statistics.distribution.spreads_differ`) only results
    that do not pool them are chosen from; and for such material `crossed_omnibus`. Of an incomplete design it is
    the mixed model.

    Parameters
    ----------
    cube
        The scores.
    claim
        What the test is to hold for.
    effect
        The effect of the conditions in the analysis of variance, if it could be made.
    model
        The mixed model for the claim, if it could be fitted.
    """
    if cube.complete and claim == "items" and effect is not None:
        listeners = len(cube.listeners)
        chosen = chosen_test(effect, listeners, pooling=not spreads_differ(cube))
        if chosen == "multivariate" and (m := effect.multivariate):
            return QuotedTest("repeated measures, multivariate", m.f, m.df, m.df_error, m.p)
        epsilon, p = (effect.hf, effect.p_hf) if chosen == "huynh-feldt" else (effect.gg, effect.p_gg)
        return QuotedTest(
            f"repeated measures, {chosen}", effect.f, epsilon * effect.df, epsilon * effect.df_error, p
        )
    if cube.complete and claim == "material" and len(cube.items) > 1 and model is not None:
        found = crossed_omnibus(cube.scores)
        return QuotedTest("crossed, not pooled", found.f, found.df, found.df_error, found.p)
    if model is None:
        return None
    found = model.omnibus()
    return QuotedTest("mixed model, Kenward-Roger", found.f, found.df, found.df_error, found.p)
