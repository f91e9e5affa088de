"""A small network with random weights: enough for everything that does not depend on what was learnt."""

import pytest
import torch

from codec.model import Codec, ModelConfig


def random_codec(**config):
    torch.manual_seed(0)
    sizes = dict(
        channels=4, encoder_dim=4, decoder_dim=32, latent_dim=8, codebooks=4, codebook_size=64, dilations=(1, 3)
    )
    return Codec(ModelConfig(**(sizes | config))).fold_weight_norm().eval().requires_grad_(False)


@pytest.fixture(scope="session")
def model():
    """Without side layers, as the paper's."""
    return random_codec()


@pytest.fixture(scope="session")
def layered_model():
    """With side layers, as the shipped one."""
    return random_codec(side_layers=True)
