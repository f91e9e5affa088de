"""Coverage of the intervals: what they claim, and what the interval over all ratings does not."""

import pytest

from analysis.study import interval_coverage as coverage
from analysis.study.simulation import VARIANCES


@pytest.fixture(scope="module")
def covered():
    return coverage.coverage(8, 8, 1200, 0, 1, VARIANCES)


def test_intervals_cover_what_they_claim(covered):
    for name, target in coverage.TARGETS.items():
        if name in covered and target != "neither":
            fixed, at_random, _ = covered[name]
            assert 0.93 <= (fixed if target == "items fixed" else at_random) <= 0.97, name


def test_interval_over_all_ratings_does_not_cover(covered):
    fixed, at_random, half_width = covered["paper (t, all ratings)"]
    assert fixed == pytest.approx(0.75, abs=0.04)
    assert at_random == pytest.approx(0.61, abs=0.04)
    assert half_width == pytest.approx(4.8, abs=0.2)


def test_interval_over_all_ratings_covers_where_they_are_independent():
    variances = dict.fromkeys(VARIANCES, 0.0) | {"residual": 100.0}
    fixed, at_random, _ = coverage.coverage(8, 8, 800, 0, 1, variances)["paper (t, all ratings)"]
    assert fixed == at_random
    assert fixed == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_bootstraps_cover_where_there_are_many_listeners_and_items():
    found = coverage.coverage(40, 30, 500, 150, 1, VARIANCES)
    for name in ("bootstrap of listeners", "bootstrap of listeners, BCa"):
        assert found[name][0] == pytest.approx(0.93, abs=0.03)
    assert found["bootstrap two-way"][1] == pytest.approx(0.945, abs=0.025)
    assert found["bootstrap of ratings"][0] < 0.6


def test_bootstraps_are_counted_too():
    found = coverage.coverage(4, 4, 20, 100, 1, VARIANCES)
    assert list(found) == list(coverage.TARGETS)
    assert found["bootstrap of ratings"][2] < found["bootstrap two-way"][2]
