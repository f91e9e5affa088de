"""Tukey's studentized range against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.simultaneous import tukey_limit, tukey_p


@pytest.mark.parametrize("means", [2, 3, 5, 12, 40])
@pytest.mark.parametrize("df", [2.0, 7.3, 30.0, 400.0])
def test_tukey_equals_scipy(means, df):
    for t in (0.3, 1.7, 2.6, 4.5):
        expected = stats.studentized_range.sf(np.sqrt(2) * t, means, df)
        assert tukey_p(-t, means, df) == pytest.approx(expected, rel=1e-4, abs=1e-7)
    limit = tukey_limit(means, df)
    assert np.sqrt(2) * limit == pytest.approx(stats.studentized_range.ppf(0.95, means, df), rel=1e-5)


def test_two_means_have_student_s_t():
    assert tukey_p(2.3, 2, 9.0) == pytest.approx(2 * stats.t.sf(2.3, 9), rel=1e-6)
    assert tukey_limit(2, 9.0) == pytest.approx(stats.t.ppf(0.975, 9), rel=1e-9)


def test_nothing_follows_from_nothing():
    assert np.isnan(tukey_p(np.nan, 3, 5.0))
    assert np.isnan(tukey_limit(3, np.nan))
