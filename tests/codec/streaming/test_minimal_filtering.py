"""Minimal filtering computes a convolution."""

import numpy as np
import pytest

from codec.streaming.minimal_filtering import SEVEN_TAPS, TWO_TAPS

EACH = pytest.mark.parametrize(
    ("filtering", "outputs", "taps"), [(SEVEN_TAPS, 6, 7), (TWO_TAPS, 5, 2)], ids=["7 taps", "2 taps"]
)


@EACH
def test_outputs_and_taps_take_one_product_less_than_both_together(filtering, outputs, taps):
    products = outputs + taps - 1
    assert [len(matrix) for matrix in filtering] == [outputs, products, products]
    random = np.random.default_rng(0)
    x, weights = random.standard_normal(products), random.standard_normal(taps)
    made = filtering.outputs @ ((filtering.taps @ weights) * (filtering.inputs @ x))
    np.testing.assert_allclose(made, np.correlate(x, weights), rtol=1e-12)
    assert len(made) == outputs


@EACH
def test_the_products_of_opposite_points_differ_in_the_sign_of_odd_powers(filtering, outputs, taps):
    """The compiled kernels rely on it."""
    inputs = filtering.inputs[1:-1].reshape(-1, 2, outputs + taps - 1)
    assert (np.abs(inputs[:, 0]) == np.abs(inputs[:, 1])).all()
    made = filtering.outputs[:, 1:-1].reshape(outputs, -1, 2)
    signs = (-1.0) ** np.arange(outputs)
    assert (made[..., 0] == signs[:, None] * made[..., 1]).all()


def test_two_taps_are_multiplied_by_powers_of_two():
    """So their sum is rounded once, whether or not the processor fuses it."""
    mantissas = np.frexp(TWO_TAPS.taps[TWO_TAPS.taps != 0])[0]
    assert (np.abs(mantissas) == 0.5).all()
