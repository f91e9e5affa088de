"""Minimal filtering computes a convolution."""

import numpy as np

from codec.streaming.minimal_filtering import FILTER, OUTPUTS, PRODUCTS, TAPS


def test_six_outputs_of_seven_taps_take_twelve_products():
    assert (FILTER.outputs.shape, FILTER.taps.shape) == ((6, 12), (12, 7))
    random = np.random.default_rng(0)
    x, taps = random.standard_normal(PRODUCTS), random.standard_normal(TAPS)
    products = (FILTER.taps @ taps) * (FILTER.inputs @ x)
    np.testing.assert_allclose(FILTER.outputs @ products, np.correlate(x, taps), rtol=1e-12)
    assert len(np.correlate(x, taps)) == OUTPUTS


def test_the_products_of_opposite_points_differ_in_the_sign_of_odd_powers():
    """The compiled kernels rely on it."""
    inputs = FILTER.inputs[1:-1].reshape(-1, 2, PRODUCTS)
    assert (np.abs(inputs[:, 0]) == np.abs(inputs[:, 1])).all()
    outputs = FILTER.outputs[:, 1:-1].reshape(OUTPUTS, -1, 2)
    signs = (-1.0) ** np.arange(OUTPUTS)
    assert (outputs[..., 0] == signs[:, None] * outputs[..., 1]).all()
