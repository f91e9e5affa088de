"""How often every quoted test rejects a true hypothesis, counted over simulated listening tests.

Two hypotheses are true in turn. *These items*: the conditions have one mean over the items of the test, though
single items differ. *Such material*: they have one mean over all items of the kind, of which those of the test
are a sample. A test keeps its level for its claim if it rejects about 5 % of tests in which that hypothesis is
true. If the first condition is shifted against the others the same counts are the power of the tests.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64

from analysis.ratings.cells import Cells
from analysis.statistics import anova
from analysis.statistics.aligned_ranks import aligned_ranks
from analysis.statistics.condition_models import fit_condition_model
from analysis.statistics.mixed_models import NoFit
from analysis.statistics.paired_tests import compare_pairs, friedman, holm, median_permutation
from analysis.study.claims import quoted_test
from analysis.study.simulation import linear_scores

DESIGNS = {
    "complete": "every listener rates every cell",
    "gaps": "a fifth of the cells is missing at random",
    "planned": "every listener rates half the items, each item equally often",
    "item-sets": "the last condition is rated on half the items only",
    "unequal": "complete; the deviations of the conditions differ by up to 5, as those of a hidden reference do",
}
"""Name of a design -> what it is."""

CLAIM_OF_TEST = {
    "all conditions, as quoted for these items": "items",
    "all conditions, as quoted for such material": "material",
    "analysis of variance (BS.1534-3's choice)": "items",
    "Friedman": "items",
    "aligned ranks": "items",
    "mixed model, items fixed (Kenward-Roger)": "items",
    "mixed model, items random (Kenward-Roger)": "material",
    "mixed model, items random (Satterthwaite)": "material",
    "pairs: t": "items",
    "pairs: t, Holm (any pair)": "items",
    "pairs: Wilcoxon, exact": "items",
    "pairs: sign flip": "items",
    "pairs: crossed": "material",
    "pairs: crossed, Holm (any pair)": "material",
    "pairs: permutation of BS.1534-3": "neither",
    "pairs: permutation, Holm (any pair)": "neither",
}
"""Test -> the claim for which it is quoted."""


def error_rates(
    design: str,
    shape: tuple[int, int, int],
    trials: int,
    draws: int,
    seed: int,
    variances: Mapping[str, float],
    difference: float = 0.0,
) -> pd.DataFrame:
    """Count how often every test of `CLAIM_OF_TEST` rejects at 5 %.

    Parameters
    ----------
    design
        One of `DESIGNS`.
    shape
        Numbers of listeners, items and conditions.
    trials
        Number of simulated tests.
    draws
        Draws of the permutation tests; 0 leaves them out.
    seed
        The same seed gives the same tests.
    variances
        Variance components, as `analysis.study.simulation.VARIANCES`.
    difference
        Points by which the true mean of the first condition is above that of the others; if it is not 0,
        rejections are the power, and those of pairs are counted over the pairs with this condition.

    Returns
    -------
    DataFrame
        ``test, claim``, and the shares of rejections (0 to 1) where ``items`` and ``material`` are true apart from
        the difference. A test that the design does not allow is NaN.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    counts = {name: np.zeros((2, 2)) for name in CLAIM_OF_TEST}
    for _ in range(trials):
        fixed, at_random = _draw(rng, design, shape, variances)
        for column, scores in enumerate((fixed, at_random)):
            shifted = scores + difference * (np.arange(shape[2]) == 0)
            for name, rejected in _rejections(shifted, draws, rng, bool(difference)).items():
                counts[name][column] += np.nanmean(rejected), 1
    rows = [
        (name, claim, *(c[0] / c[1] if c[1] else np.nan for c in counts[name]))
        for name, claim in CLAIM_OF_TEST.items()
    ]
    return pd.DataFrame(rows, columns=["test", "claim", "items", "material"])


def _draw(
    rng: np.random.Generator, design: str, shape: tuple[int, int, int], variances: Mapping[str, float]
) -> tuple[Float64[np.ndarray, "listener item condition"], Float64[np.ndarray, "listener item condition"]]:
    """Draw the scores of a test in which the conditions are alike over these items, and over all of their kind."""
    listeners, items, conditions = shape
    without = dict(variances) | {"item": 0.0, "item_condition": 0.0}
    scores = linear_scores(rng, np.zeros(conditions), listeners, items, without)
    # What depends on the item: its own effect too, which a condition with a smaller spread shows less of
    of_items = rng.normal(0, variances["item"] ** 0.5, (1, items, 1)) + rng.normal(
        0, variances["item_condition"] ** 0.5, (1, items, conditions)
    )
    spread = np.linspace(1.0, 0.2, conditions) if design == "unequal" else np.ones(conditions)
    rated = _rated(rng, design, shape)
    # Of item sets both parts: pairs without the last condition are compared on all items, those with it on half
    parts = [slice(items // 2), slice(items // 2, items)] if design == "item-sets" else [slice(items)]
    centred = np.concatenate([of_items[:, part] - of_items[:, part].mean(axis=1) for part in parts], axis=1)
    fixed, at_random = (np.where(rated, 50 + spread * (scores + effect), np.nan) for effect in (centred, of_items))
    return fixed, at_random


def _rated(rng: np.random.Generator, design: str, shape: tuple[int, int, int]) -> np.ndarray:
    listeners, items, _ = shape
    rated = np.ones(shape, dtype=bool)
    if design == "gaps":
        rated = rng.random(shape) >= 0.2
    elif design == "planned":
        turn = (np.arange(items) - np.arange(listeners)[:, None]) % items
        rated &= (turn < items // 2)[:, rng.permutation(items), None]
    elif design == "item-sets":
        rated[:, items // 2 :, -1] = False
    return rated


def _rejections(
    scores: Float64[np.ndarray, "listener item condition"], draws: int, rng: np.random.Generator, first: bool
) -> dict[str, np.ndarray]:
    """Return for each test that can be made whether it rejects; for tests of pairs an array over them.

    With `first` these are the pairs with the first condition, adjusted over all pairs; else all.
    """
    listeners, items, conditions = scores.shape
    names = tuple("abcdefghijkl"[:conditions])
    cube = Cells(tuple(map(str, range(listeners))), tuple(map(str, range(items))), names, scores)
    p: dict[str, np.ndarray] = {}
    effect = None
    if cube.complete:
        effect = anova.two_way(scores)[0]
        p["analysis of variance (BS.1534-3's choice)"] = np.array(
            effect.quoted(anova.chosen_test(effect, listeners))
        )
        ranked = anova.two_way(aligned_ranks(scores, "condition"))[0]
        p["aligned ranks"] = np.array(ranked.quoted(anova.chosen_test(ranked, listeners, pooling=False)))
        p["Friedman"] = np.array(friedman(scores.mean(axis=1)).p)
    for claim, words in (("items", "items fixed"), ("material", "items random")):
        try:
            model = fit_condition_model(cube, claim)
        except NoFit:
            continue
        if quoted := quoted_test(cube, claim, effect, model):
            of = {"items": "these items", "material": "such material"}[claim]
            p[f"all conditions, as quoted for {of}"] = np.array(quoted.p)
        p[f"mixed model, {words} (Kenward-Roger)"] = np.array(model.omnibus().p)
        if claim == "material":
            p[f"mixed model, {words} (Satterthwaite)"] = np.array(model.omnibus("satterthwaite").p)
    pairs = compare_pairs(scores, names)
    of_interest = np.asarray(pairs["a"] == names[0]) | (not first)
    columns = {"t": "p_t", "Wilcoxon, exact": "p_w_exact", "sign flip": "p_sign_flip", "crossed": "p_crossed"}
    of_pairs = {name: pairs[column].to_numpy(float) for name, column in columns.items()}
    if draws and cube.complete:
        flat = scores.reshape(-1, conditions)
        pooled = [
            (flat[:, names.index(a)], flat[:, names.index(b)]) for a, b in zip(pairs["a"], pairs["b"], strict=True)
        ]
        of_pairs["permutation of BS.1534-3"] = median_permutation(pooled, draws, rng)
    for name, values in of_pairs.items():
        p[f"pairs: {name}"] = values[of_interest]
        family = f"pairs: {name.removesuffix(' of BS.1534-3')}, Holm (any pair)"
        if family in CLAIM_OF_TEST:
            p[family] = np.nanmin(holm(values)[of_interest])
    return {name: np.where(np.isnan(value), np.nan, value < 0.05) for name, value in p.items()}
