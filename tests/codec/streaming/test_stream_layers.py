"""The layers of a stream describe the network that they are made from."""

import math
from dataclasses import replace

import pytest
import torch

from codec.rvqgan.codec import RVQGAN, contextual_frames
from codec.rvqgan.config import ModelConfig
from codec.streaming import stream_layers as streaming
from codec.streaming import torch_layers, vector_layers
from codec.streaming.stream_layers import Stream, stream_layers

CONFIGS = [
    ModelConfig(channels=3, encoder_dim=4, decoder_dim=32, strides=(2, 4), latent_dim=6, codebooks=2),
    ModelConfig(channels=1, encoder_dim=2, decoder_dim=16, strides=(6, 2, 8), dilations=(), output_tanh=True),
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("computed_by", [torch_layers, vector_layers])
def test_rates_widths_and_look_ahead(config, computed_by):
    model = RVQGAN(config, weight_norm=False).eval().requires_grad_(False)
    encoder = stream_layers(model.encoder.block, computed_by)
    decoder = stream_layers(model.decoder.model, computed_by)
    assert math.prod(layer.down for layer in encoder) == math.prod(layer.up for layer in decoder) == config.hop
    assert (encoder[-1].channels_out, decoder[-1].channels_out) == (config.latent_dim, config.channels)
    context = contextual_frames(config)
    # a frame ends hop - 1 samples after the sample that it is counted from
    assert Stream(encoder, config.channels, 8 * config.hop, threads=1).ahead <= (context[0] + 1) * config.hop
    assert Stream(decoder, config.latent_dim, 8, threads=1).ahead <= context[1] + 1


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("computed_by", [torch_layers, vector_layers])
def test_one_tile_and_its_end_are_the_network(config, computed_by):
    torch.manual_seed(0)
    model = RVQGAN(config, weight_norm=False).eval().requires_grad_(False)
    audio = torch.randn(1, config.channels, 8 * config.hop)
    stream = Stream(stream_layers(model.encoder.block, computed_by), config.channels, 4 * config.hop, threads=1)
    rows = torch.cat([*stream.push(audio[0].t()), *stream.finish()])
    torch.testing.assert_close(rows.t()[None], model.encoder(audio), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_all_but_the_last_part_of_a_tile_fill_whole_blocks_with_what_they_compute_twice(config, monkeypatch):
    """A transposed convolution computes `before` samples again, which else would take a block of their own."""
    monkeypatch.setattr(streaming, "PIECE_ELEMENTS", 2**11)
    model = RVQGAN(config, weight_norm=False).eval().requires_grad_(False)
    sizes: dict[int, list[int]] = {}

    def recorded(number, layer):
        def compute(x, out):
            sizes.setdefault(number, []).append(len(x) - layer.after)
            layer.compute(x, out)

        return replace(layer, compute=compute)

    layers = stream_layers(model.decoder.model, vector_layers)
    stream = Stream([recorded(*each) for each in enumerate(layers)], config.latent_dim, 256, threads=1)
    stream.push(torch.zeros(256, config.latent_dim))
    transposed = [number for number, layer in enumerate(layers) if layer.up > 1]
    assert len(transposed) == len(config.strides)
    for number in transposed:
        *parts, _ = sizes[number]
        assert parts
        assert all(computed % layers[number].block == 0 for computed in parts)
