"""What the tests of statistics share: the published ratings, and simulated scores."""

import numpy as np
import pytest

from analysis.ratings.cells import Cells
from analysis.ratings.table import read


@pytest.fixture(scope="session")
def ratings(reference_ratings):
    """The ratings that R analysed."""
    return read(reference_ratings / "expected" / "A.csv").table


@pytest.fixture(scope="session")
def simulated():
    """Makes scores with listeners, items and their interactions."""

    def simulated(seed, listeners=6, items=5, conditions=3):
        rng = np.random.default_rng(seed)
        scores = (
            50 + rng.normal(0, 8, (listeners, 1, 1)) + rng.normal(0, 7, (1, items, 1))
            + rng.normal(0, 6, (listeners, 1, conditions)) + rng.normal(0, 6, (1, items, conditions))
            + rng.normal(0, 5, (listeners, items, conditions))
        )  # fmt: skip
        return Cells(
            tuple(map(str, range(listeners))),
            tuple(map(str, range(items))),
            tuple("abcdefgh"[:conditions]),
            scores,
        )

    return simulated
