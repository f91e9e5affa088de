"""Bands of equal width in ERB-rate."""

import torch

from codec.losses.bands import erb_bands

RATE = 44_100


def test_erb_bands_average_every_bin_once():
    bands = erb_bands(RATE, 2048, 20)
    torch.testing.assert_close(bands.sum(1), torch.ones(20))
    assert ((bands > 0).sum(0) <= 1).all()
