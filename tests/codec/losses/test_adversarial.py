"""The passes of an adversarial step against the plain way to compute the same."""

import pytest
import torch

from codec.losses.adversarial import (
    discriminator_loss,
    discriminator_pass,
    feature_loss,
    frozen,
    generator_loss,
    generator_pass,
)
from codec.rvqgan.discriminator import Discriminator, DiscriminatorConfig

SIZES = dict(periods=(2, 3), fft_sizes=(256,), period_width=2, spectrum_width=4)


@pytest.fixture
def network():
    torch.manual_seed(1)
    return Discriminator(DiscriminatorConfig(channels=2, **SIZES))


def noise(seed):
    return torch.randn(3, 2, 1500, generator=torch.Generator().manual_seed(seed))


def gradients(network):
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_least_squares_of_known_maps():
    """(1 - 0.25)² + 0.5² and 0 + 1² make 1.8125; (1 - 0.5)² + 0 make 0.25; features 2 + 3, without the logits."""
    full = torch.full
    real = [[full((1, 4), 1.0), full((1, 2), 0.25)], [full((3, 1), 2.0), full((1, 9), 1.0)]]
    fake = [[full((1, 4), 3.0), full((1, 2), 0.5)], [full((3, 1), 5.0), full((1, 9), 1.0)]]
    assert discriminator_loss(real, fake).item() == pytest.approx(1.8125)
    assert generator_loss(fake).item() == pytest.approx(0.25)
    assert feature_loss(real, fake).item() == pytest.approx(5)


def test_feature_loss_leaves_the_real_maps_alone():
    real = [[torch.zeros(3, requires_grad=True), torch.zeros(1)]]
    fake = [[torch.ones(3, requires_grad=True), torch.zeros(1)]]
    feature_loss(real, fake).backward()
    assert real[0][0].grad is None
    torch.testing.assert_close(fake[0][0].grad, torch.full((3,), 1 / 3))


def test_discriminator_pass_is_two_passes_in_one(network):
    real, fake = noise(1), noise(2).requires_grad_()
    plain = discriminator_loss(network(real), network(fake.detach()))
    plain.backward()
    expected = gradients(network)
    network.zero_grad()
    loss = discriminator_pass(network, real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    torch.testing.assert_close(gradients(network), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert fake.grad is None


def test_generator_pass_gives_the_plain_gradient_and_none_to_the_discriminator(network):
    real, fake, plain_fake = noise(1), noise(2).requires_grad_(), noise(2).requires_grad_()
    real_maps, maps = network(real), network(plain_fake)
    expected = {"adversarial": generator_loss(maps), "feature": feature_loss(real_maps, maps)}
    (expected["adversarial"] + 2 * expected["feature"]).backward()
    network.zero_grad()
    losses = generator_pass(network, real, fake)
    (losses["adversarial"] + 2 * losses["feature"]).backward()
    assert {k: v.item() for k, v in losses.items()} == pytest.approx({k: v.item() for k, v in expected.items()})
    torch.testing.assert_close(fake.grad, plain_fake.grad, rtol=1e-4, atol=1e-5 * fake.grad.abs().max().item())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_losses_that_are_not_named_cost_nothing(network):
    passes = []
    network.register_forward_hook(lambda *_: passes.append(1))
    assert generator_pass(network, noise(1), noise(2), ("mel",)) == {}
    assert not passes
    assert set(generator_pass(network, noise(1), noise(2), ("adversarial", "mel"))) == {"adversarial"}
    assert len(passes) == 1


def test_frozen_parameters_learn_again_even_after_an_error(network):
    first = next(network.parameters()).requires_grad_(False)
    seen = []

    def fail():
        with frozen(network):
            seen.extend(p.requires_grad for p in network.parameters())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen
    assert not any(seen)
    assert [p.requires_grad for p in network.parameters()].count(False) == 1
    assert not first.requires_grad
