"""Blocks of any lengths, with context on both sides."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.streaming.rechunk import rechunk, whole_units


def cut(total, cuts):
    """A stream of the numbers from 0 to before `total`, in parts."""
    stream = np.arange(total)[None]
    edges = sorted({0, total, *(c for c in cuts if c < total)})
    return [stream[:, a:b] for a, b in pairwise(edges)]


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(0, 60), max_size=8))
def test_blocks_tile_the_stream(total, block, context, cuts):
    position = 0
    for columns, before, length in rechunk(cut(total, cuts), [block] * 61, context):
        assert length == min(block, total - position)
        first = max(0, position - context)
        assert before == position - first
        assert columns[0].tolist() == list(range(first, min(total, position + length + context)))
        position += length
    assert position == total


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(0, 60), max_size=8))
def test_whole_units_wait_for_nothing_but_their_context(total, unit, context, cuts):
    position, arrived, parts = 0, 0, cut(total, cuts)

    def arriving():
        nonlocal arrived
        for part in parts:
            assert arrived - position < unit + context
            arrived += part.shape[1]
            yield part

    for columns, before, length in whole_units(arriving(), unit, context):
        first = max(0, position - context)
        assert before == position - first
        assert columns[0].tolist() == list(range(first, min(total, position + length + context)))
        position += length
        assert position % unit == 0 or position == total
    assert position == total
