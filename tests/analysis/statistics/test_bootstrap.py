"""Bootstrap intervals: equal to SciPy's, variances as known in closed form."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.bootstrap import SCHEMES, bca, bootstrap, draw_listeners, draw_listeners_and_items


def test_bca_and_percentile_equal_scipys():
    values = np.random.default_rng(3).exponential(10, 15)
    rng = np.random.default_rng(1)
    drawn = draw_listeners(values[:, None], 40_000, rng)[:, 0]
    ours = bca(drawn, values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa", random_state=2
    ).confidence_interval
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.15)
    plain = np.quantile(drawn, [0.025, 0.975])
    assert ours.low > plain[0]  # the exponential's skewness moves both limits up
    assert ours.high > plain[1]


def test_bootstrap_variances_are_the_known_ones(simulated):
    """Drawing n of n gives (n-1)/n^2 of the sum of squares; drawing both ways adds the parts (Owen 2007)."""
    scores = simulated(8, 9, 7, 1).scores
    rng = np.random.default_rng(1)
    means = scores.mean(axis=1)
    drawn = draw_listeners(means, 40_000, rng)
    assert drawn.var() == pytest.approx(means.var() / 9, rel=0.03)
    both = draw_listeners_and_items(scores, 40_000, rng)[:, 0]
    table = scores[:, :, 0]
    by_listener, by_item = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_listener[:, None] - by_item + table.mean()
    expected = by_listener.var() / 9 + by_item.var() / 7 + rest.var() / 63
    assert both.var() == pytest.approx(expected, rel=0.03)


def test_bootstraps_are_repeatable_and_ordered(cube, ratings):
    first, second = (bootstrap(ratings, cube, 500, seed=3) for _ in range(2))
    assert first == second
    assert tuple(first) == SCHEMES
    assert first != bootstrap(ratings, cube, 500, seed=4)
    for condition in cube.conditions:
        width = {s: first[s][condition].high - first[s][condition].low for s in SCHEMES}
        assert width["rating"] < width["listener"]


def test_bootstrap_of_gaps_and_of_one_listener(simulated):
    cube = simulated(2, 5, 4, 2)
    cube.scores[0, 1:, :] = np.nan
    drawn = draw_listeners_and_items(cube.scores, 200, np.random.default_rng(1))
    assert np.isfinite(drawn).all()
    one = np.array([50.0])
    assert np.isnan(bca(np.full(10, 50.0), one).low)
    same = bca(np.full(10, 50.0), np.full(4, 50.0))
    assert (same.low, same.high) == (50, 50)
