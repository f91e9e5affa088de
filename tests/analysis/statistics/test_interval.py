"""Student's interval: equal to SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics.interval import t_interval


def test_two_values_are_enough_for_an_interval():
    found = t_interval(np.array([40.0, 60.0]))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 1, 50, 10))


@given(arrays(float, st.integers(2, 30), elements=st.floats(0, 100)), st.floats(0.5, 0.99))
def test_t_interval_is_scipys(values, level):
    found = t_interval(values, level)
    if np.ptp(values) > 1e-6:
        assert (found.low, found.high) == pytest.approx(
            stats.t.interval(level, values.size - 1, values.mean(), stats.sem(values)), rel=1e-9, abs=1e-9
        )
