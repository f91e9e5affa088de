"""The state of a training run."""

from dataclasses import replace

import torch

from codec.rvqgan.config import ModelConfig
from codec.training.config import load_preset
from codec.training.state import State


def test_running_mean_of_the_weights():
    """Weights 0 and, from then on, 1: after n steps of decay d the mean is 1 - d^n; short memory at first."""
    _, config = load_preset("smoke")
    model = ModelConfig(channels=1, encoder_dim=1, decoder_dim=16, latent_dim=4, codebooks=1, dilations=())
    config = replace(config, ema=0.75, weights={"mel": 1.0}, discriminator=None)
    state = State(model, config, torch.device("cpu"))
    with torch.no_grad():
        for networks, value in ((state.model, 1.0), (state.ema, 0.0)):
            for parameter in networks.parameters():
                parameter.fill_(value)
    expected = 0.0
    for step in (1, 2, 1000, 1001):
        state.step = step
        state.update_ema(config.ema)
        expected += (1 - min(0.75, (1 + step) / (10 + step))) * (1 - expected)
        mean = torch.cat([p.flatten() for p in state.ema.parameters()])
        torch.testing.assert_close(mean, torch.full_like(mean, expected))
