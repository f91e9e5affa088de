"""Counted costs of a training step against those that follow from shapes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from codec.coding.complexity import macs_per_second
from codec.profile import training_report
from codec.rvqgan.codec import RVQGAN, convolutions, count_parameters
from codec.rvqgan.discriminator import Discriminator
from codec.rvqgan.layers import Snake1d
from codec.training.config import load_preset
from codec.training.step_cost import StepCost, _kept_storage, step_cost


@pytest.fixture
def settings(tmp_path, type_in):
    """Model and settings of the tiny preset, without discriminators."""
    model, config = load_preset("tiny.toml")
    return model, replace(config, weights={"squared_error": 1.0}, discriminator=None)


def test_operations_are_those_of_the_layers(settings):
    """A layer costs as much for the gradient of its weights, and as much for that of its input, as forward."""
    model, config = settings
    seconds = config.excerpt_frames / model.sample_rate_hz
    forward = macs_per_second(model)
    network = RVQGAN(model, weight_norm=False)
    first = convolutions(network.encoder)[0].weight.numel() * model.sample_rate_hz  # its input needs no gradient
    frames = model.sample_rate_hz / model.hop
    searches = frames * sum(book.codebook.weight.numel() for book in network.quantizer.codebooks)  # nor these
    expected = config.batch * seconds * 2 * (3 * sum(forward.values()) - first - 2 * searches)
    assert step_cost(model, config).operations == pytest.approx(expected, rel=1e-9)


def test_what_is_kept_is_the_input_of_every_layer(settings):
    network = RVQGAN(settings[0])
    inputs = {}

    def note(_layer, arguments):
        inputs[arguments[0].untyped_storage().data_ptr()] = arguments[0]

    for layer in network.encoder.modules():
        if isinstance(layer, nn.Conv1d | Snake1d):
            layer.register_forward_pre_hook(note)
    audio = torch.randn(1, 4, 2048)
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    with _kept_storage() as kept:
        network.encoder(audio)
    expected = sum(4 * tensor.numel() for tensor in inputs.values())
    found = sum(size for address, size in kept.items() if address not in weights)
    normed = 4 * sum(layer.weight.numel() for layer in convolutions(network.encoder))
    assert expected <= found <= expected + 2 * normed  # and the weights that weight norm makes


def test_discriminators_micro_batches_and_averages_count(settings):
    model, plain = settings
    _, config = load_preset("tiny.toml")
    one, two = (step_cost(model, replace(config, balance=False, accumulate=n)) for n in (1, 2))
    without = step_cost(model, plain)
    assert two.activation_bytes == one.activation_bytes / 2
    seconds = config.batch * config.excerpt_frames / model.sample_rate_hz
    # in parts, the items are generated again
    assert two.operations - one.operations == pytest.approx(2 * seconds * sum(macs_per_second(model).values()))
    assert one.operations > 1.5 * without.operations
    assert step_cost(model, config).operations > one.operations  # the balancer's passes
    network, judge = RVQGAN(model), Discriminator(config.discriminator_config(model))
    weights = 4 * count_parameters(network) + 4 * count_parameters(judge) + count_parameters(network)
    assert one.state_bytes == 4 * weights


def test_estimates_from_counts():
    """495 TFLOP/s of which 40 % are reached, 3.35 TB/s over which the activations pass six times."""
    cost = StepCost(198e12, 33.5e9, 1e9, 2, 495e12)
    assert cost.seconds == pytest.approx(1.0 + 0.12)
    assert cost.memory_bytes == pytest.approx(1e9 + 1.15 * 33.5e9 + 3e9)
    text = training_report(cost)
    assert text.count("estimated, not measured") == 2
    assert "1.12" in text
