"""Laboratories as a factor: equal to R's split-plot analysis, and to t tests where two are compared."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.anova import one_way
from analysis.statistics.laboratories import split_plot
from render.common.errors import InputError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "panel" / "panel.json").read_text())["laboratories"]


def test_unequal_laboratories_equal_r():
    laboratory, condition, interaction = split_plot(np.array(GOLDEN["means"]), np.array(GOLDEN["laboratory"]) - 1)
    assert [laboratory.f, laboratory.p] == pytest.approx([GOLDEN["laboratory_f"], GOLDEN["laboratory_p"]])
    for found, name in ((condition, "condition"), (interaction, "interaction")):
        expected = GOLDEN[name]
        assert [found.f, found.df, found.df_error, found.p, found.p_gg, found.p_hf] == pytest.approx(
            [expected[key] for key in ("f", "df", "df_error", "p", "p_gg", "p_hf")]
        )


def test_two_laboratories_and_conditions_are_t_tests():
    rng = np.random.default_rng(1)
    means, code = rng.normal(50, 10, (9, 2)), np.array([0, 1, 0, 0, 1, 1, 0, 1, 1])
    laboratory, _, interaction = split_plot(means, code)
    both, difference = means.sum(axis=1), means[:, 0] - means[:, 1]
    assert laboratory.p == pytest.approx(stats.ttest_ind(both[code == 0], both[code == 1]).pvalue)
    assert interaction.p == pytest.approx(stats.ttest_ind(difference[code == 0], difference[code == 1]).pvalue)


def test_laboratories_that_rate_alike_leave_the_effect_of_one():
    """Two laboratories with the same ratings: condition has the sum of squares of the whole panel."""
    means = np.random.default_rng(1).normal(50, 10, (5, 4))
    laboratory, condition, interaction = split_plot(np.tile(means, (2, 1)), np.repeat([0, 1], 5))
    assert condition.ss == pytest.approx(one_way(np.tile(means, (2, 1))).ss)
    assert [laboratory.f, interaction.f] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("code", [[0, 0, 0, 0], [0, 1, 1, 1]])
def test_laboratories_that_cannot_be_compared(code):
    with pytest.raises(InputError, match="a comparison of laboratories needs 2"):
        split_plot(np.random.default_rng(1).normal(size=(4, 3)), np.array(code))
