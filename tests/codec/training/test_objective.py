"""Which losses the generator minimises, and what they share."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codec.losses import stft
from codec.losses.mel import mel_distance
from codec.training.config import load_preset
from codec.training.objective import MelSubset, draw_mel_subset, reconstruction_losses


def test_the_mel_distance_takes_channel_0_and_others_in_turn():
    _, config = load_preset("smoke")
    config = replace(config, mel_channels=3, mel_scales=2)
    samples = [draw_mel_subset(config, 16, np.random.default_rng(seed)) for seed in range(200)]
    assert all(s.channels[0] == 0 and len(set(s.channels)) == 3 and len(s.scales) == 2 for s in samples)
    counts = np.bincount([c for s in samples for c in s.channels[1:]], minlength=16)
    assert counts[0] == 0
    assert counts[1:].min() > 10  # 200 x 2 / 15 = 27 expected
    whole = draw_mel_subset(replace(config, mel_channels=0, mel_scales=0), 16, np.random.default_rng(0))
    assert whole.channels is None
    assert len(whole.scales) == 7


def test_the_mel_distance_of_some_channels_takes_the_spectra_of_all_where_they_exist(monkeypatch):
    random = torch.Generator().manual_seed(0)
    x, y = (0.1 * torch.randn(2, 4, 4096, generator=random) for _ in range(2))
    y.requires_grad_()
    transforms, original = [], stft.stft
    monkeypatch.setattr(stft, "stft", lambda *a: transforms.append((a[0].shape[1], a[1])) or original(*a))
    _, config = load_preset("smoke")
    config = replace(config, weights={"mel": 1.0, "band_covariance": 1.0}, discriminator=None)
    subset = MelSubset([0, 2], ((512, 80), (2048, 320)))
    losses = reconstruction_losses(x, y, 44_100, config, subset)
    # (channels, window): the losses per band transform all channels at 2048
    assert sorted(transforms) == [(2, 512), (2, 512), (4, 2048), (4, 2048)]
    expected = mel_distance(x[:, [0, 2]], y[:, [0, 2]], 44_100, subset.scales)
    assert losses["mel"].item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = (torch.autograd.grad(loss, y)[0] for loss in (losses["mel"], expected))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-8)
