"""Configurations of models: their JSON form, derived values, and the ones that are refused."""

import pytest

from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError


def test_configurations_of_files_older_than_the_tanh_are_read():
    old = ModelConfig().as_json()
    del old["output_tanh"]
    assert ModelConfig.from_json(old) == ModelConfig()


def test_nominal_rate():
    assert ModelConfig().bitrate_bps() == pytest.approx(18 * 10 * 44100 / 512)
    assert ModelConfig().hop == 512


def test_configuration_survives_json():
    config = ModelConfig(channels=12, strides=(2, 8))
    assert ModelConfig.from_json(config.as_json()) == config
    with pytest.raises(InputError, match="exactly the names"):
        ModelConfig.from_json({"channels": 16})


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"channels": 10**9},
        {"strides": (3,)},
        {"decoder_dim": 100, "strides": (2, 4, 8, 8)},
        {"codebook_size": 10**9},
        {"quantizer_dropout": 2.0},
        {"dilations": (10**9,)},
        {"dilations": 3},
        {"strides": (2.0, 4)},
        {"strides": "ab"},
        {"strides": (16,) * 5},
        {"channels": True},
        {"output_tanh": 1},
        {"quantizer_dropout": "half"},
    ],
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(InputError, match="model configuration"):
        ModelConfig(**wrong)
