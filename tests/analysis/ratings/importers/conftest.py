"""What the tests of importers share: a text that is read as ratings, and the rows that it gives."""

import pytest

from analysis.ratings.table import read


@pytest.fixture
def load(tmp_path):
    """Read a text as a file of ratings; return their table."""

    def load(text, name="results.csv", **options):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read(path, **options).table

    return load


@pytest.fixture(scope="session")
def rows():
    """Listener, item, condition and score of every row of a table."""
    return lambda table: table[["listener", "item", "condition", "score"]].values.tolist()
