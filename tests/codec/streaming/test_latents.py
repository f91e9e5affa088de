"""Latents of codes: against the network's own quantiser, and bit for bit against NumPy."""

import numpy as np
import pytest
import torch

from codec.bitstream.format import ABSENT
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.quantizer import ResidualVectorQuantizer
from codec.streaming.latents import codebook_weights, latents
from render.common.errors import InputError

BOOKS, SIZE, FRAMES = 5, 32, 37


@pytest.fixture(scope="module")
def quantizer():
    torch.manual_seed(0)
    config = ModelConfig(latent_dim=44, codebooks=BOOKS, codebook_size=SIZE)
    return ResidualVectorQuantizer(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, SIZE, (BOOKS, FRAMES))


@pytest.mark.parametrize("books", [1, 3, BOOKS])
def test_against_the_quantiser_in_double_precision(quantizer, codes, books):
    quantizer.double()
    expected = quantizer.decode(torch.from_numpy(codes[:books])[None])[0].T.numpy()
    found = latents(codes[:books], codebook_weights(quantizer.float()))
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_the_order_of_the_sums_is_that_of_numpy_bit_for_bit(quantizer, codes):
    """One rounding for each product and each sum, so that all processors and all cuts give the same."""
    weights = codebook_weights(quantizer)
    expected = np.zeros((FRAMES, 44), np.float32)
    for book in range(BOOKS):
        expected += weights.biases[book]
        for dim in range(weights.vectors.shape[2]):
            expected += weights.vectors[book, codes[book], dim, None] * weights.matrices[book, dim]
    assert np.array_equal(latents(codes, weights), expected)
    in_parts = [latents(part, weights) for part in np.split(codes, [1, 2, 20], axis=1)]
    assert np.array_equal(np.concatenate(in_parts), expected)


def test_an_absent_code_adds_nothing(quantizer, codes):
    weights = codebook_weights(quantizer)
    some = codes.copy()
    some[1, 5] = ABSENT
    others = np.delete(codes, 1, axis=0)[:, 5:6]
    left = type(weights)(*(np.delete(array, 1, axis=0) for array in weights))
    assert np.array_equal(latents(some, weights)[5:6], latents(others, left))
    assert not latents(np.full((BOOKS, 3), ABSENT), weights).any()
    assert latents(codes[:, :0], weights).shape == (0, 44)


def test_codes_and_codebooks_that_the_model_does_not_have_are_refused(quantizer, codes):
    weights = codebook_weights(quantizer)
    with pytest.raises(InputError, match=f"codes of {BOOKS + 1} codebooks; the model has 1 to {BOOKS}"):
        latents(np.zeros((BOOKS + 1, 2), np.int64), weights)
    for code in (ABSENT - 1, SIZE):
        with pytest.raises(InputError, match=f"the codebooks have 0 to {SIZE - 1}"):
            latents(np.full((BOOKS, 2), code), weights)
