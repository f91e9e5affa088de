"""Analysis of variance: equal to R (afex, car) on real data, invariances, and Mauchly's series itself."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from analysis.statistics import anova
from analysis.statistics.intervals import means_over_items
from render.common.errors import InputError

R = {"rel": 1e-6}


@pytest.fixture(scope="module")
def r(reference_ratings):
    return json.loads((reference_ratings / "expected" / "A_tests.json").read_text())


def line(effect):
    return [effect.ss, effect.df, effect.ss_error, effect.df_error, effect.f, effect.p]


def corrections(effect):
    return [effect.gg, effect.p_gg, effect.hf, effect.p_hf]


def test_one_way_equals_r(r, cube):
    effect = anova.one_way(means_over_items(cube.scores))
    assert line(effect) == pytest.approx(r["rm1_univ[SS,dfn,SSerr,dfd,F,p] rows=(Intercept),cond"][1], **R)
    assert corrections(effect) == pytest.approx(r["rm1_corr[GGeps,pGG,HFeps,pHF]"][0], **R)
    assert effect.partial_eta2 == pytest.approx(float(r["partial_eta2"]), abs=5e-4)
    assert effect.w == pytest.approx(r["mauchly[W,p]"][0][0], **R)


def test_mauchly_p_is_the_series_and_r_s_slip_is_known(r, cube):
    """R writes the number of levels where the series has the number of contrasts; with that, its p appears."""
    effect = anova.one_way(means_over_items(cube.scores))
    p, n = 7, 21

    def series(slip):
        rho = 1 - (2 * p**2 + p + 2) / (6 * p * n)
        omega = (
            (p + 2) * (p - 1) * (p - 2) * (2 * p**3 + 6 * p**2 + 3 * (p + slip) + 2) / (288 * (n * p * rho) ** 2)
        )
        z, df = -n * rho * np.log(effect.w), p * (p + 1) / 2 - 1
        return special.chdtrc(df, z) + omega * (special.chdtrc(df + 4, z) - special.chdtrc(df, z))

    assert effect.p_sphericity == pytest.approx(series(0), rel=1e-9)
    assert r["mauchly[W,p]"][0][1] == pytest.approx(series(1), rel=1e-9)


def test_mauchly_keeps_its_level_for_spherical_scores():
    rng = np.random.default_rng(1)
    p = [anova.one_way(rng.normal(size=(12, 4))).p_sphericity for _ in range(1500)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_two_way_equals_r(r, cube):
    condition, item, both = anova.two_way(cube.scores)
    expected = r["rm2_univ rows=(Intercept),cond,item,cond:item"]
    assert line(condition) == pytest.approx(expected[1], **R)
    assert line(item) == pytest.approx(expected[2], **R)
    assert line(both) == pytest.approx(expected[3], **R)
    for effect, row in zip((condition, item), r["rm2_corr rows=cond,item"], strict=True):
        assert corrections(effect) == pytest.approx(row, **R)
    assert both.multivariate is None  # 84 contrasts, 22 listeners
    assert np.isnan(both.w)


def test_multivariate_equals_r(r, cube):
    found = anova.one_way(means_over_items(cube.scores)).multivariate
    wilks = next(line for line in r["multivariate"] if line.startswith("Wilks")).split()
    pillai = next(line for line in r["multivariate"] if line.startswith("Pillai")).split()
    assert found.wilks == pytest.approx(float(wilks[2]), abs=5e-7)
    assert found.pillai == pytest.approx(float(pillai[2]), abs=5e-7)
    assert (f"{found.f:.5f}", found.df, found.df_error) == (wilks[3], 7, 15)
    assert found.p == pytest.approx(float(wilks[6]), rel=1e-4)


def test_rule_on_the_real_data(cube):
    assert anova.chosen_test(anova.one_way(means_over_items(cube.scores)), 22) == "multivariate"


@pytest.mark.parametrize(("hf", "listeners", "chosen"), [
    (0.86, 33, "huynh-feldt"), (0.86, 34, "multivariate"),
    (0.85, 10, "multivariate"), (0.5, 3, "greenhouse-geisser"),
])  # fmt: skip
def test_rule_at_its_edges(hf, listeners, chosen):
    rng = np.random.default_rng(1)
    effect = anova.one_way(rng.normal(size=(listeners, 4)))
    effect = type(effect)(**{**vars(effect), "hf": hf})
    assert anova.chosen_test(effect, listeners) == chosen


def test_two_levels_are_a_paired_t_test():
    rng = np.random.default_rng(2)
    scores = rng.normal((0, 0.5), 1, (9, 2))
    effect = anova.one_way(scores)
    t = stats.ttest_rel(scores[:, 0], scores[:, 1])
    assert (effect.f, effect.p) == pytest.approx((t.statistic**2, t.pvalue))
    assert (effect.gg, effect.hf) == pytest.approx((1, 1))
    assert (effect.multivariate.f, effect.multivariate.p) == pytest.approx((t.statistic**2, t.pvalue))


@given(st.integers(0, 2**31), st.permutations(range(4)))
def test_order_of_conditions_and_listeners_and_their_offsets_do_not_matter(seed, order):
    rng = np.random.default_rng(seed)
    scores = rng.normal((0, 1, 2, 3), 1, (7, 4))
    moved = (scores + rng.normal(0, 50, (7, 1)))[rng.permutation(7)][:, list(order)] * 2
    a, b = anova.one_way(scores), anova.one_way(moved)
    assert (b.f, b.gg, b.hf, b.w) == pytest.approx((a.f, a.gg, a.hf, a.w), rel=1e-6)
    assert b.multivariate.f == pytest.approx(a.multivariate.f, rel=1e-6)


@given(st.integers(0, 2**31))
def test_two_way_parts_add_up(seed):
    scores = np.random.default_rng(seed).normal(size=(4, 3, 5))
    effects = anova.two_way(scores)
    within = np.sum((scores - scores.mean(axis=(1, 2), keepdims=True)) ** 2)
    assert sum(e.ss + e.ss_error for e in effects) == pytest.approx(within)
    for effect in effects:
        assert 1 / effect.df - 1e-9 <= effect.gg <= effect.hf <= 1
        assert effect.p <= 1


def test_epsilon_of_a_known_covariance():
    """For contrasts of variances 1 and 0 epsilon is at its lower bound 1/p."""
    z = np.array([-1.0, 0.0, 1.0, 2.0, -2.0])
    scores = np.outer(z, [1, -1, 0]) + np.array([3, 2, 1])
    assert anova.one_way(scores).gg == pytest.approx(0.5)


def test_what_cannot_be_analysed():
    with pytest.raises(InputError, match="some are missing"):
        anova.one_way(np.array([[1.0, np.nan], [1, 2]]))
    for shape in ((1, 3), (3, 1)):
        with pytest.raises(InputError, match="at least 2"):
            anova.one_way(np.zeros(shape))
    assert np.isnan(anova.one_way(np.array([[1.0, 2.0], [1.0, 2.0]])).f)


def test_residuals_are_those_of_the_additive_model():
    """Against least squares with an indicator of every listener and of every cell of item and condition."""
    scores = np.random.default_rng(1).normal(50, 10, (4, 3, 5))
    listener, item, condition = np.indices(scores.shape).reshape(3, -1)
    x = np.hstack([np.eye(4)[listener], np.eye(15)[item * 5 + condition]])
    beta = np.linalg.lstsq(x, scores.ravel(), rcond=None)[0]
    np.testing.assert_allclose(anova.residuals(scores), scores.ravel() - x @ beta, atol=1e-9)


def test_two_listeners_are_not_taken_for_spherical():
    """Huynh-Feldt's epsilon is 0 / 0 for two listeners; the careful correction is what is left."""
    effect = anova.one_way(np.array([[1.0, 5, 3, 9], [2, 3, 8, 7]]))
    assert (effect.gg, effect.hf) == pytest.approx((1 / 3, 1 / 3))
    assert anova.chosen_test(effect, 2) == "greenhouse-geisser"
