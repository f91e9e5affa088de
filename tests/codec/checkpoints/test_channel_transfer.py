"""Transfer to more channels, by its consequences."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codec.checkpoints.channel_transfer import start_from, transfer
from codec.checkpoints.model_file import save
from codec.descript.conversion import read_model
from codec.descript.torch_file import open_torch_file
from codec.descript.weights import read_published
from codec.rvqgan.codec import RVQGAN
from render.common.errors import InputError

CHECKPOINT = Path(__file__).parents[2] / "golden" / "dac" / "mono.pth"
MONO = read_published(CHECKPOINT)
FIRST, LAST = "encoder.block.0", "decoder.model.4"


def first_layer(model, x):
    """Output of the first convolution without its bias."""
    layer = model.encoder.block[0]
    with torch.inference_mode():
        return layer(x) - layer.bias[:, None]


def noise(channels, seconds_x=60_000, seed=0):
    return torch.randn(1, channels, seconds_x, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("reading", "gain"), [("gain", math.sqrt(16)), ("weight", 16.0)])
def test_an_input_equal_in_all_channels(reading, gain):
    x = noise(1)
    mono = first_layer(MONO, x)
    many = first_layer(transfer(MONO, 16, reading), x.expand(1, 16, -1))
    torch.testing.assert_close(many, gain * mono, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("reading", "gain"), [("gain", 1.0), ("weight", math.sqrt(16))])
def test_uncorrelated_channels_keep_or_raise_the_level(reading, gain):
    """E y² = Σ ‖w_c‖² σ²: the same as mono where the gain is kept, C times where the weights are repeated."""
    mono = first_layer(MONO, noise(1)).square().mean().sqrt()
    many = first_layer(transfer(MONO, 16, reading), noise(16, seed=1)).square().mean().sqrt()
    assert float(many / mono) == pytest.approx(gain, rel=0.02)


def test_keeping_the_gain_is_what_the_state_dict_says():
    """Literally as the paper: the published state dict with weight_v repeated, everything else copied."""
    with open_torch_file(CHECKPOINT) as file:
        state = {name: file.tensor(stored) for name, stored in file.content["state_dict"].items()}
    state[f"{FIRST}.weight_v"] = state[f"{FIRST}.weight_v"].repeat(1, 16, 1)
    for name in ("weight_v", "weight_g", "bias"):
        shape = [16] + [1] * (state[f"{LAST}.{name}"].dim() - 1)
        state[f"{LAST}.{name}"] = state[f"{LAST}.{name}"].repeat(*shape)
    expected = RVQGAN(replace(MONO.config, channels=16, output_tanh=False))
    expected.load_state_dict(state)
    expected.fold_weight_norm()
    ours = transfer(MONO, 16)
    assert ours.config == expected.config
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("channels", [2, 4, 6, 12, 25])
def test_all_channels_begin_equal_and_as_mono_without_its_tanh(channels):
    model = transfer(MONO, channels)
    latents = torch.randn(1, 8, 20, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        mono, many = MONO.decoder(latents), model.decoder(latents)
    assert many.shape == (1, channels, 160)
    torch.testing.assert_close(torch.tanh(many), mono.expand(1, channels, -1), rtol=1e-5, atol=1e-6)


def test_one_active_channel_does_the_same_in_every_place():
    model = transfer(MONO, 4)
    x = noise(1, 400)
    outputs = []
    for channel in range(4):
        silent = torch.zeros(1, 4, 400)
        silent[:, channel] = x[:, 0]
        outputs.append(first_layer(model, silent))
    for other in outputs[1:]:
        torch.testing.assert_close(outputs[0], other)


@pytest.mark.parametrize("reading", ["gain", "weight"])
def test_more_channels_in_two_steps_are_those_in_one(reading):
    once = transfer(MONO, 16, reading).state_dict()
    for name, tensor in transfer(transfer(MONO, 4, reading), 16, reading).state_dict().items():
        torch.testing.assert_close(once[name], tensor, rtol=1e-5, atol=1e-7)


def test_different_channels_are_repeated_in_turn_with_the_gain_of_each_filter():
    torch.manual_seed(0)
    three = RVQGAN(replace(MONO.config, channels=3, output_tanh=False)).fold_weight_norm()
    five = transfer(three, 5)
    before, after = three.encoder.block[0].weight, five.encoder.block[0].weight
    torch.testing.assert_close(after.flatten(1).norm(dim=1), before.flatten(1).norm(dim=1))
    directions = [w / w.flatten(1).norm(dim=1)[:, None, None] for w in (before[:, [0, 1, 2, 0, 1]], after)]
    torch.testing.assert_close(*directions)
    assert torch.equal(five.decoder.model[-1].weight, three.decoder.model[-1].weight[[0, 1, 2, 0, 1]])
    same = transfer(three, 3)
    assert all(
        torch.equal(t, three.state_dict()[n]) for n, t in same.state_dict().items() if n != f"{FIRST}.weight"
    )
    torch.testing.assert_close(same.encoder.block[0].weight, before)


def test_impossible_transfers():
    with pytest.raises(InputError, match="already has 4 channels"):
        transfer(transfer(MONO, 4), 2)
    with pytest.raises(InputError, match="known are gain, weight"):
        transfer(MONO, 4, "louder")
    with pytest.raises(InputError, match="channels = 300"):
        transfer(MONO, 300)


def test_training_starts_from_the_transferred_weights(tmp_path):
    """Weight norm as new: the derived weights are those of the file."""
    save(tmp_path / "mono.safetensors", MONO, {}, exact=True)
    for path in (CHECKPOINT, tmp_path / "mono.safetensors"):
        model = RVQGAN(replace(MONO.config, channels=4, output_tanh=False))
        start_from(model, read_model(path), str(path))
        assert not model.is_folded
        assert all(parameter.requires_grad for parameter in model.parameters())
        expected = transfer(MONO, 4)
        x = noise(4, 800, seed=3)
        with torch.no_grad():
            torch.testing.assert_close(model.encoder(x), expected.encoder(x), rtol=1e-5, atol=1e-6)
            codes = expected.quantizer.encode(expected.encoder(x))
            torch.testing.assert_close(
                model.decoder(model.quantizer.decode(codes)), expected.decoder(expected.quantizer.decode(codes)),
                rtol=1e-5, atol=1e-5,
            )  # fmt: skip
    with pytest.raises(InputError, match="encoder_dim 4; the preset differs"):
        start_from(RVQGAN(replace(MONO.config, channels=4, output_tanh=False, encoder_dim=8)), MONO, "mono")
    with pytest.raises(InputError, match="has channels 4; the preset differs"):
        start_from(RVQGAN(replace(MONO.config, channels=2, output_tanh=False)), transfer(MONO, 4), "four")
