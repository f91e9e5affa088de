"""Blocks of any lengths, with context on both sides."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.streaming.rechunk import rechunk


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(0, 60), max_size=8))
def test_blocks_tile_the_stream(total, block, context, cuts):
    stream = np.arange(total)[None]
    edges = sorted({0, total, *(c for c in cuts if c < total)})
    parts = [stream[:, a:b] for a, b in pairwise(edges)]
    position = 0
    for columns, before, length in rechunk(parts, [block] * 61, context):
        assert length == min(block, total - position)
        first = max(0, position - context)
        assert before == position - first
        assert columns[0].tolist() == list(range(first, min(total, position + length + context)))
        position += length
    assert position == total
