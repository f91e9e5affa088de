"""Letters and brackets: by brute force over small sets."""

from itertools import combinations

import numpy as np
import pytest

from analysis.reporting.significance import letters, levels, p_text


@pytest.mark.parametrize("seed", range(40))
def test_conditions_share_a_letter_exactly_if_they_do_not_differ(seed):
    rng = np.random.default_rng(seed)
    conditions = list("ABCDEFG"[: rng.integers(1, 8)])
    pairs = list(combinations(conditions, 2))
    different = [pair for pair in pairs if rng.random() < 0.4]
    found = letters(conditions, [pair[:: rng.choice([1, -1])] for pair in different])
    assert all(found[c] for c in conditions)
    assert {pair for pair in pairs if not set(found[pair[0]]) & set(found[pair[1]])} == set(different)


def test_letters_of_known_cases():
    assert letters(["x", "y", "z"], []) == {"x": "a", "y": "a", "z": "a"}
    assert letters(["x", "y", "z"], [("z", "x")]) == {"x": "a", "y": "ab", "z": "b"}
    assert letters(["x", "y"], [("x", "y")]) == {"x": "a", "y": "b"}


def test_brackets_of_one_level_do_not_touch():
    spans = [(0, 3), (0, 1), (1, 2), (2, 3), (4, 5), (1, 3)]
    found = levels(spans)
    for (a, b), one in zip(spans, found, strict=True):
        others = [s for s, level in zip(spans, found, strict=True) if level == one and s != (a, b)]
        assert all(b < c or d < a for c, d in others)
    assert found[1] == found[3] == found[4] == 0
    assert max(found) <= len(spans) - 1
    assert levels([]) == []


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "p < .001"), (0.0123, "p = .012"), (1.0, "p = 1.000"), (0.05, "p = .050")]
)
def test_p_is_written_as_in_a_paper(p, text):
    assert p_text(p) == text
