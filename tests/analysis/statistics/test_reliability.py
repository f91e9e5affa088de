"""Intraclass correlations against the example of Shrout and Fleiss (1979), and by variance components."""

import numpy as np
import pytest

from analysis.statistics.reliability import agreement, consistency
from render.common.errors import InputError

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
"""Six targets rated by four judges: table 2 of the paper."""


def test_published_example():
    """Coefficients of the paper; limits as R's psych prints them for it."""
    one, other = agreement(SHROUT_FLEISS), consistency(SHROUT_FLEISS)
    assert [one.single, one.panel, other.single, other.panel] == pytest.approx([0.29, 0.62, 0.71, 0.91], abs=0.005)
    assert [one.single_low, one.single_high] == pytest.approx([0.019, 0.761], abs=0.0005)
    assert [one.panel_low, one.panel_high] == pytest.approx([0.071, 0.927], abs=0.0005)
    assert [other.single_low, other.single_high] == pytest.approx([0.342, 0.946], abs=0.0005)
    assert [other.panel_low, other.panel_high] == pytest.approx([0.676, 0.986], abs=0.0005)


def test_large_samples_reach_the_ratio_of_variances():
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 10, (4000, 1)) + rng.normal(0, 5, 40) + rng.normal(0, 5, (4000, 40))
    of_levels = np.var(scores.mean(axis=0))
    assert consistency(scores).single == pytest.approx(100 / 125, abs=0.01)
    assert agreement(scores).single == pytest.approx(100 / (125 + of_levels), abs=0.01)
    found = consistency(scores)
    assert found.panel == pytest.approx(40 * found.single / (1 + 39 * found.single))


def test_levels_count_for_agreement_only():
    moved = SHROUT_FLEISS + np.array([0.0, 5.0, -3.0, 1.0])
    assert consistency(moved).single == pytest.approx(consistency(SHROUT_FLEISS).single)
    assert agreement(SHROUT_FLEISS - SHROUT_FLEISS.mean(axis=0)).single > agreement(SHROUT_FLEISS).single


@pytest.mark.parametrize(
    "scores", [SHROUT_FLEISS[:1], SHROUT_FLEISS[:, :1], np.full((3, 3), np.nan), np.ones((3, 3))]
)
def test_what_has_no_correlation(scores):
    for coefficient in (agreement, consistency):
        with pytest.raises(InputError, match="an intraclass correlation needs"):
            coefficient(scores)


def test_exchanged_scores_agree_in_nothing():
    """MS_S = MS_L = 0 and n = k = 2: ICC(2,1) is -MS_E / 0, ICC(3,1) is -1."""
    exchanged = np.array([[0.0, 50.0], [50.0, 0.0]])
    with pytest.raises(InputError, match="means that differ"):
        agreement(exchanged)
    assert consistency(exchanged).single == -1
