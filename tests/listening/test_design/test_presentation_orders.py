"""Williams squares and the orders made from them: balanced, different, and telling nothing."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listening.test_design.presentation_orders import orders, williams


@given(st.integers(1, 16))
def test_every_thing_at_every_place_and_after_every_other_equally_often(count):
    square = williams(count)
    assert len(square) == (count if count % 2 == 0 or count == 1 else 2 * count)
    assert all(sorted(row) == list(range(count)) for row in square)
    for place in range(count):
        assert set(Counter(row[place] for row in square).values()) == {len(square) // count}
    pairs = Counter(pair for row in square for pair in pairwise(row))
    assert len(pairs) == count * (count - 1)
    assert len(set(pairs.values())) <= 1


def test_a_square_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        williams(0)


STIMULI = {item: [f"{item}{n}" for n in range(4)] for item in "ABCDEFGH"}


def test_items_and_slots_are_balanced_over_the_listeners():
    made = orders(8, STIMULI, b"secret", 1)
    assert Counter(order["items"][0] for order in made) == dict.fromkeys("ABCDEFGH", 1)
    for item in STIMULI:
        for slot in range(4):
            assert set(Counter(order["stimuli"][item][slot] for order in made).values()) == {2}


def test_a_listener_does_not_meet_one_slot_pattern_in_all_trials():
    """Places of a stimulus's number within the trials of one listener: not the same everywhere."""
    for order in orders(8, STIMULI, b"secret", 1):
        patterns = {tuple(sorted(names).index(name) for name in names) for names in order["stimuli"].values()}
        assert len(patterns) > 2


def test_seed_and_secret_decide():
    first = orders(8, STIMULI, b"secret", 1)
    assert first == orders(8, STIMULI, b"secret", 1)
    assert first != orders(8, STIMULI, b"secret", 2)
    assert first != orders(8, STIMULI, b"other", 1)
    assert first == orders(8, {item: names[::-1] for item, names in STIMULI.items()}, b"secret", 1)
    assert first[:3] == orders(3, STIMULI, b"secret", 1)


def test_the_squares_are_those_of_williams():
    """The rows of 1949: 0, 1, n - 1, 2, n - 2, ... and its shifts; for odd counts their mirror images, too."""
    assert williams(1) == [[0]]
    assert williams(4) == [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]
    assert williams(3) == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 0, 2]]


def test_the_orders_of_a_seed_never_change():
    """A test that was frozen is continued with later versions: its listeners keep their orders."""
    stimuli = {"A": ["a1", "a2", "a3"], "B": ["b1", "b2"], "C": ["c1"]}
    first, second = orders(2, stimuli, b"secret", 1)
    assert first == {
        "listener": "L01",
        "items": ["B", "A", "C"],
        "stimuli": {"A": ["a3", "a1", "a2"], "B": ["b1", "b2"], "C": ["c1"]},
    }
    assert second == {
        "listener": "L02",
        "items": ["A", "C", "B"],
        "stimuli": {"A": ["a1", "a2", "a3"], "B": ["b2", "b1"], "C": ["c1"]},
    }
    assert [order["listener"] for order in orders(11, stimuli, b"secret", 1)][8:] == ["L09", "L10", "L11"]


@pytest.mark.parametrize("count", [3, 4])
def test_every_stimulus_stands_in_the_first_slot_equally_often(count):
    stimuli = {item: [f"{item}{n}" for n in range(count)] for item in "ABC"}
    made = orders(12, stimuli, b"secret", 5)
    for item, names in stimuli.items():
        first = Counter(order["stimuli"][item][0] for order in made)
        assert first == dict.fromkeys(names, 12 // count)


def test_listeners_take_the_rows_of_an_item_one_after_the_other():
    """The first slots of six listeners: a square of three and its mirror image, with a start for every item."""
    stimuli = {item: [f"{item}{n}" for n in range(3)] for item in "ABC"}
    made = orders(6, stimuli, b"secret", 1)
    assert [" ".join(order["stimuli"][item][0] for order in made) for item in "ABC"] == [
        "A2 A0 A1 A1 A2 A0",
        "B2 B2 B0 B1 B0 B1",
        "C1 C0 C0 C2 C1 C2",
    ]


@pytest.mark.parametrize(("items", "each"), [(8, 4), (16, 8), (9, 4), (10, 4), (7, 3), (12, 9), (5, 1)])
def test_partial_designs_are_balanced_for_any_number_of_listeners(items, each):
    stimuli = {f"I{n:02d}": ["a", "b", "c"] for n in range(items)}
    made = orders(3 * items, stimuli, b"secret", 1, each)
    rated = Counter()
    for order in made:
        assert len(set(order["items"])) == len(order["items"]) == each
        assert set(order["stimuli"]) == set(stimuli)  # the training may need all of them
        rated.update(order["items"])
        counts = [rated[item] for item in stimuli]
        assert max(counts) - min(counts) <= 1
    for place in range(each):
        at = Counter(order["items"][place] for order in made[:items])
        assert at == dict.fromkeys(stimuli, 1)


def test_all_items_each_are_the_orders_of_before():
    assert orders(11, STIMULI, b"secret", 1, 8) == orders(11, STIMULI, b"secret", 1)
