"""Convolution block by block against NumPy's."""

from itertools import pairwise

import numpy as np
import pytest

from render.dsp.convolution import Filters, convolved


@pytest.mark.parametrize("cuts", [(5000,), (1, 7, 4992), (600, 601, 602, 3197)])
@pytest.mark.parametrize(("length", "origin"), [(1, 0), (5, 2), (300, 0), (300, 120)])
def test_blocks_change_nothing_and_the_sum_is_that_of_numpy(cuts, length, origin):
    random = np.random.default_rng(length)
    signal = random.standard_normal((3, 5000)).astype(np.float32)
    taps = random.standard_normal((2, 3, length))
    edges = np.cumsum((0, *cuts))
    pieces = [signal[:, a:b] for a, b in pairwise(edges)]
    found = np.concatenate(list(convolved(pieces, Filters(taps, origin))), axis=1)
    expected = np.stack([sum(np.convolve(signal[i], taps[o, i]) for i in range(3)) for o in range(2)])
    np.testing.assert_allclose(found, expected[:, origin : origin + 5000], atol=2e-4)


@pytest.mark.parametrize("length", [1, 300])
def test_the_bits_do_not_depend_on_the_cuts_nor_on_how_a_signal_lies_in_memory(length):
    random = np.random.default_rng(length)
    signal = random.standard_normal((16, 5000)).astype(np.float32)
    filters = Filters(random.standard_normal((3, 16, length)))
    whole = np.concatenate(list(convolved([signal], filters)), axis=1)
    interleaved = np.asfortranarray(signal)
    cut = np.concatenate(list(convolved(np.split(interleaved, [7, 2000, 2001], axis=1), filters)), axis=1)
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("length", [1, 7])
def test_filters_that_follow_others_are_the_convolution_of_both(length):
    random = np.random.default_rng(1)
    first, second = random.standard_normal((3, 4, length)), random.standard_normal((2, 3, 5))
    found = Filters(second, 2).following(Filters(first, 3))
    expected = [
        [sum(np.convolve(first[i, s], second[o, i]) for i in range(3)) for s in range(4)] for o in range(2)
    ]
    np.testing.assert_allclose(found.taps, expected, atol=1e-12)
    assert found.origin == 5
