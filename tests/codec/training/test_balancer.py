"""Balancing of losses by the norms of their gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codec.losses.waveform import waveform_distance
from codec.rvqgan.discriminator import Discriminator
from codec.training.balancer import Balancer, weighted_gradient
from codec.training.config import load_preset
from codec.training.distributed import Processes
from codec.training.objective import MelSubset, draw_mel_subset, generator_losses

ALONE = Processes(0, 1, torch.device("cpu"))


def noises(channels=16):
    random = np.random.default_rng(0)
    x = torch.from_numpy(0.1 * random.standard_normal((2, channels, 4096)).astype(np.float32))
    return x, x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def test_balanced_gradients_have_the_norms_of_their_weights():
    """One loss: the gradient has norm `weight`; without weight nothing is computed."""
    model, config = load_preset("smoke")
    x, y = noises()
    subset = draw_mel_subset(config, 16, np.random.default_rng(0))
    discriminator = Discriminator(config.discriminator_config(model))
    for weights in (
        {"mel": 2.0}, {"covariance": 0.5}, {"waveform": 3.0}, {"band_covariance": 1.0}, {"intensity": 0.3},
        {"relative_covariance": 2.0}, {"adversarial": 0.7}, {"feature": 2.0},
    ):  # fmt: skip
        adversarial = {"adversarial", "feature"} & set(weights)
        table = config.discriminator if adversarial else None
        one = replace(config, weights=weights, balance=True, discriminator=table)
        balancer, output = Balancer(), y.clone().requires_grad_()
        losses = generator_losses(x, output, 44_100, one, subset, discriminator if adversarial else None)
        gradient = balancer.gradient(losses, output, weights, ALONE)
        assert list(losses) == list(weights) == list(balancer.norms)
        assert gradient.norm().item() == pytest.approx(next(iter(weights.values())), rel=1e-4)
        assert all(p.grad is None for p in discriminator.parameters())


def test_unbalanced_gradients_are_those_of_the_weighted_sum():
    x, y = noises()
    y.requires_grad_()
    gradient = weighted_gradient({"waveform": waveform_distance(x, y)}, y, {"waveform": 3.0})
    (3.0 * waveform_distance(x, y)).backward()
    torch.testing.assert_close(gradient, y.grad)


def test_running_norms_forget():
    """Of one loss, g1 then g2: the second gradient is divided by 0.9 |g1| + 0.1 |g2|."""
    _, config = load_preset("smoke")
    config = replace(config, weights={"waveform": 1.0}, discriminator=None)
    x, y = noises()
    balancer = Balancer()

    def gradient_at(output):
        output = output.clone().requires_grad_()
        losses = generator_losses(x, output, 44_100, config, MelSubset(None, ()))
        return balancer.gradient(losses, output, config.weights, ALONE)

    gradient_at(y)
    first = float(balancer.norms["waveform"])
    gradient = gradient_at(x + 3 * (y - x))
    # the gradient of a squared error is linear in the error
    assert gradient.norm().item() == pytest.approx(3 / (0.9 + 0.3), rel=1e-4)
    assert float(balancer.norms["waveform"]) == pytest.approx(1.2 * first, rel=1e-4)
