"""What a result is to hold for, in words, and the omnibus test that supports it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.statistics.anova import Effect
from analysis.statistics.condition_models import ConditionModel


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


def quoted_test(effect: Effect | None, chosen: str, model: ConditionModel | None) -> QuotedTest | None:
    """Return the test to be quoted.

    Parameters
    ----------
    effect
        The effect of the conditions in the analysis of variance of a complete design with fixed items; None if the
        items are random or the design is incomplete.
    chosen
        Which of its results is to be quoted (`analysis.statistics.anova.chosen_test`).
    model
        The mixed model for the claim, which is quoted if there is no `effect`; None if it could not be fitted.
    """
    if effect is not None:
        if chosen == "multivariate" and (m := effect.multivariate):
            return QuotedTest("repeated measures, multivariate", m.f, m.df, m.df_error, m.p)
        epsilon = effect.hf if chosen == "huynh-feldt" else effect.gg
        p = effect.quoted(chosen)
        return QuotedTest(
            f"repeated measures, {chosen}", effect.f, epsilon * effect.df, epsilon * effect.df_error, p
        )
    if model is None:
        return None
    found = model.omnibus()
    return QuotedTest("mixed model, Kenward-Roger", found.f, found.df, found.df_error, found.p)
