"""The omnibus test over such material: two conditions are the crossed test of a pair; more by another formula."""

import numpy as np
import pytest

from analysis.statistics.crossed import crossed_mean
from analysis.statistics.crossed_omnibus import crossed_omnibus
from render.common.errors import InputError


def drawn(seed, listeners, items, conditions, of_items=8.0):
    rng = np.random.default_rng(seed)
    spread = np.linspace(1, 0.3, conditions)
    return 50 + spread * (
        rng.normal(0, 6, (listeners, 1, conditions))
        + rng.normal(0, of_items, (1, items, conditions))
        + rng.normal(0, 9, (listeners, items, conditions))
    )


@pytest.mark.parametrize("of_items", [8.0, 0.0])
def test_two_conditions_are_the_crossed_test_of_their_difference(of_items):
    for seed in range(6):
        scores = drawn(seed, 7, 5, 2, of_items)
        found, pair = crossed_omnibus(scores), crossed_mean(scores[..., 0] - scores[..., 1])
        assert (found.f, found.df, found.df_error) == pytest.approx(((pair.value / pair.se) ** 2, 1, pair.df))
        assert found.p == pytest.approx(pair.p)


def test_more_conditions_by_covariances_of_the_conditions():
    """The same from the K x K mean squares and products of the conditions and the matrix that centres them."""
    scores = drawn(1, 9, 6, 4)
    (listeners, items, _), centre = scores.shape, np.eye(4) - 1 / 4
    own = np.cov(scores.mean(axis=1).T) * items
    of_items = np.cov(scores.mean(axis=0).T) * listeners
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean(axis=(0, 1))
    error = np.einsum("lic,lid->cd", rest, rest) / ((listeners - 1) * (items - 1))
    parts = [(own, listeners - 1), (of_items, items - 1), (error, (listeners - 1) * (items - 1))]
    assert min(np.trace(centre @ own), np.trace(centre @ of_items)) > np.trace(centre @ error)
    v = centre @ (own + of_items - error)
    means = scores.mean(axis=(0, 1))
    found = crossed_omnibus(scores)
    assert found.f == pytest.approx(means @ centre @ means / np.trace(v) * listeners * items)

    def square(a, n):
        a = centre @ a
        unbiased = n**2 / ((n + 2) * (n - 1)) * (np.trace(a @ a) - np.trace(a) ** 2 / n)
        return min(max(unbiased, np.trace(a) ** 2 / 3), np.trace(a) ** 2)

    # tr(V V) by its nine products, those of a part with itself freed from bias
    products = sum(
        sign * (square(a, n) if i == j else np.trace(centre @ a @ centre @ b))
        for i, (a, n) in enumerate(parts)
        for j, (b, _) in enumerate(parts)
        for sign in [-1 if (i == 2) != (j == 2) else 1]
    )
    assert found.df == pytest.approx(np.trace(v) ** 2 / products)
    assert found.df_error == pytest.approx(np.trace(v) ** 2 / sum(square(a, n) / n for a, n in parts))


@pytest.mark.parametrize(("shape", "score"), [((3, 1, 3), 50.0), ((3, 3, 3), np.nan)])
def test_what_cannot_be_tested(shape, score):
    with pytest.raises(InputError, match="over such material needs"):
        crossed_omnibus(np.full(shape, score))


def test_differences_that_do_not_vary_have_no_f():
    alike = np.repeat(np.random.default_rng(1).normal(50, 9, (4, 3, 1)), 3, axis=2)
    assert np.isnan(crossed_omnibus(alike + np.array([0.0, 5.0, 9.0])).p)
