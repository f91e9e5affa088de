"""Files that no importer should accept."""

import pytest

from analysis.ratings.table import read
from render.common.errors import InputError


def load(tmp_path, text, name="results.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, **options).table


def rows(table):
    return table[["listener", "item", "condition", "score"]].values.tolist()


@pytest.mark.parametrize("attack", ["[" * 100_000, "{" * 100_000,
                                    '[{"TestID": 1, "rating": {"a": ' + "9" * 5000 + "}}]",
                                    "<MUSHRA>" * 20_000, "[1, 2]", "{}", "[]"])  # fmt: skip
def test_deep_or_absurd_documents_are_refused(tmp_path, attack):
    with pytest.raises(InputError):
        load(tmp_path, attack, "a")
