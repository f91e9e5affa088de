"""Mixed models of a test against R's lme4, lmerTest, pbkrtest and emmeans, and against closed forms."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.ratings.cells import Cells, cells
from analysis.statistics import anova
from analysis.statistics.condition_models import (
    contrast_table,
    fit_condition_model,
    marginal_means,
    pool_mean_squares,
)
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.mixed_inference import METHODS
from analysis.statistics.mixed_models import NoFit

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mixed_models" / "mixed_models.json").read_text())
CASES = [
    (name, claim) for name, case in GOLDEN["cases"].items() for claim in ("material", "items") if claim in case
]
R = {"rel": 1e-4, "abs": 1e-7}


def cube_of(name):
    table = pd.DataFrame(GOLDEN["cases"][name]["ratings"])
    return cells(table.assign(**{c: table[c].astype(str).str.zfill(2) for c in ("listener", "item", "condition")}))


@pytest.fixture(scope="module")
def models():
    return {case: fit_condition_model(cube_of(case[0]), case[1]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_components_equal_lmer(models, case):
    expected, model = dict(GOLDEN["cases"][case[0]][case[1]]["variances"]), models[case].model
    if case == ("replicated", "material"):  # R has the cell's effect apart from the noise of its two ratings
        expected["Residual"] = expected.pop("listener:item:condition") + expected["Residual"] / 2
    assert model.residual == pytest.approx(expected.pop("Residual"), rel=1e-4)
    assert model.variances == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_omnibus_equals_lmertest(models, case, method):
    expected = GOLDEN["cases"][case[0]][case[1]]["omnibus"][method.replace("-", "_")]
    found = models[case].omnibus(method)
    assert [found.f, found.df, found.df_error, found.p] == pytest.approx(list(expected.values()), **R)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_means_and_contrasts_equal_emmeans(models, case, method):
    expected = GOLDEN["cases"][case[0]][case[1]][method.replace("-", "_")]
    means = marginal_means(models[case], method)
    names = {"mean": "emmean", "se": "SE", "df": "df", "ci_low": "lower.CL", "ci_high": "upper.CL"}
    for ours, theirs in names.items():
        assert means[ours].to_list() == pytest.approx(expected["means"][theirs], **R), ours
    pairs = contrast_table(models[case], list(combinations(models[case].conditions, 2)), method)
    names = {"difference": "estimate", "se": "SE", "df": "df", "ci_low": "lower.CL", "ci_high": "upper.CL",
             "p": "p", "p_tukey": "p_tukey", "tukey_low": "tukey_low", "tukey_high": "tukey_high"}  # fmt: skip
    for ours, theirs in names.items():
        tolerance = {"rel": 1e-3, "abs": 1e-6} if "tukey" in ours else R
        assert pairs[ours].to_list() == pytest.approx(expected["pairs"][theirs], **tolerance), ours


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_crossed_differences_equal_lmer(name):
    cube = cube_of(name)
    for row in GOLDEN["cases"][name]["pairs"]:
        found = crossed_mean(cube.of(row["a"].zfill(2)) - cube.of(row["b"].zfill(2)))
        assert [found.value, found.se, found.df, found.p] == pytest.approx(
            [row["difference"], row["se"], row["df"], row["p"]], rel=1e-3
        )


def test_complete_designs_with_fixed_items_are_the_analysis_of_variance(models):
    """F, its degrees of freedom and p without correction for sphericity; Satterthwaite and Kenward-Roger agree."""
    expected = anova.two_way(cube_of("balanced").scores)[0]
    for method in METHODS:
        found = models["balanced", "items"].omnibus(method)
        assert [found.f, found.df_error, found.p] == pytest.approx(
            [expected.f, expected.df_error, expected.p], rel=1e-9
        )


def test_complete_designs_with_random_items_are_quasi_f(models):
    """MS_C / (MS_LC + MS_IC - MS_E) with Satterthwaite's degrees of freedom, written out."""
    scores = cube_of("balanced").scores
    listeners, items, conditions = scores.shape
    lc, ic, c = scores.mean(axis=1), scores.mean(axis=0), scores.mean(axis=(0, 1))
    ms_c = listeners * items * c.var(ddof=1)
    ms_lc = items * np.sum((lc - lc.mean(axis=1, keepdims=True) - c + c.mean()) ** 2)
    ms_ic = listeners * np.sum((ic - ic.mean(axis=1, keepdims=True) - c + c.mean()) ** 2)
    ms_lc /= (listeners - 1) * (conditions - 1)
    ms_ic /= (items - 1) * (conditions - 1)
    rest = scores - lc[:, None] - ic + c
    ms_e = np.sum(rest**2) / ((listeners - 1) * (items - 1) * conditions)
    below = ms_lc + ms_ic - ms_e
    df = below**2 / (
        ms_lc**2 / ((listeners - 1) * (conditions - 1))
        + ms_ic**2 / ((items - 1) * (conditions - 1))
        + ms_e**2 / ((listeners - 1) * (items - 1) * conditions)
    )
    found = models["balanced", "material"].omnibus()
    assert [found.f, found.df_error] == pytest.approx([ms_c / below, df], rel=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_closed_form_of_complete_designs_is_reml_s(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    sd = rng.choice([0.0, 1.0, 4.0, 8.0], 4)
    scores = 50 + rng.normal(0, 1, (7, 1, 1)) * sd[0] + rng.normal(0, 1, (1, 6, 1)) * sd[1]
    scores = scores + rng.normal(0, 1, (7, 1, 4)) * sd[2] + rng.normal(0, 1, (1, 6, 4)) * sd[3]
    cube = Cells(tuple("abcdefg"), tuple("uvwxyz"), tuple("ABCD"), scores + rng.normal(0, 6, (7, 6, 4)))
    for claim in ("material", "items"):
        closed = fit_condition_model(cube, claim).model
        with monkeypatch.context() as patch:
            patch.setattr("analysis.statistics.condition_models._complete", lambda scores, claim: None)
            reml = fit_condition_model(cube, claim).model
        assert reml.variances == pytest.approx(closed.variances, rel=1e-3, abs=0.005)
        assert reml.residual == pytest.approx(closed.residual, rel=1e-4)


def test_pooling_keeps_the_order():
    below = {"b": "a", "c": "b", "d": "a"}
    freedom = {"a": 10, "b": 5, "c": 2, "d": 5}
    squares = {"a": 100.0, "b": 40.0, "c": 60.0, "d": 80.0}  # mean squares 10, 8, 30, 16
    pooled = 140 / 15
    assert pool_mean_squares(squares, freedom, below) == pytest.approx(
        {"a": pooled, "b": pooled, "c": 30, "d": 16}
    )
    squares = {"a": 100.0, "b": 60.0, "c": 10.0, "d": 5.0}  # 10, 12, 5, 1: c goes into b, d into a
    assert pool_mean_squares(squares, freedom, below) == pytest.approx({"a": 7, "b": 10, "c": 10, "d": 7})


def test_two_conditions_have_one_contrast():
    cube = cube_of("unbalanced")
    two = Cells(cube.listeners, cube.items, cube.conditions[:2], cube.scores[:, :, :2])
    model = fit_condition_model(two)
    for method in METHODS:
        f, t = model.omnibus(method), model.difference(0, 1, method)
        assert [f.f, f.df_error, f.p] == pytest.approx([(t.value / t.se) ** 2, t.df, t.p], rel=1e-6)


def test_items_claim_uses_the_items_of_all_conditions():
    cube = cube_of("item_sets")
    assert fit_condition_model(cube, "items").items == ("01", "02", "03", "04")
    apart = np.where(np.arange(8)[None, :, None] < 4, *(np.array(p) for p in ([1.0, np.nan], [np.nan, 1.0])))
    with pytest.raises(NoFit, match="no item was rated under all conditions"):
        fit_condition_model(Cells(cube.listeners, cube.items, ("a", "b"), cube.scores[:, :, :2] * apart), "items")


def test_what_cannot_be_fitted_says_so():
    scores = np.random.default_rng(1).normal(50, 5, (3, 4, 1))
    with pytest.raises(NoFit, match="needs 2 listeners and 2 conditions"):
        fit_condition_model(Cells(tuple("abc"), tuple("wxyz"), ("c",), scores))
    with pytest.raises(NoFit):
        fit_condition_model(Cells(tuple("abc"), tuple("wxyz"), tuple("cd"), np.full((3, 4, 2), 50.0)))
