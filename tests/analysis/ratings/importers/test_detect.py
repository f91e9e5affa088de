"""Files that no importer should accept."""

import pytest

from render.common.errors import InputError


@pytest.mark.parametrize("attack", ["[" * 100_000, "{" * 100_000,
                                    '[{"TestID": 1, "rating": {"a": ' + "9" * 5000 + "}}]",
                                    "<MUSHRA>" * 20_000, "[1, 2]", "{}", "[]"])  # fmt: skip
def test_deep_or_absurd_documents_are_refused(attack, load):
    with pytest.raises(InputError):
        load(attack, "a")
