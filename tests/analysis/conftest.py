import os
from pathlib import Path

import pytest
from hypothesis import settings

import analysis.metrics.first_measurement  # noqa: F401, for all worker processes

settings.register_profile("loaded machine", deadline=None, max_examples=40)
settings.load_profile("loaded machine")


@pytest.fixture(scope="session")
def reference_ratings() -> Path:
    """Folder of real rating data and of R's results for it."""
    root = os.environ.get("HOA_REFERENCE_DATA")
    if not root:
        pytest.skip("HOA_REFERENCE_DATA is not set")
    return Path(root) / "ratings"


@pytest.fixture(scope="session")
def cube(reference_ratings):
    """The 22 x 13 x 8 cells of the published test that R analysed."""
    from analysis.ratings.cells import cells
    from analysis.ratings.table import read

    return cells(read(reference_ratings / "expected" / "A.csv").table)
