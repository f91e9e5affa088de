"""The network against the published architecture, written out independently here."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d, conv_transpose1d, embedding, normalize

from codec.rvqgan.codec import RVQGAN, contextual_frames, count_parameters, meta_model
from codec.rvqgan.config import ModelConfig
from codec.training.config import load_preset

SMALL = ModelConfig(
    channels=3,
    encoder_dim=4,
    decoder_dim=32,
    strides=(2, 4),
    latent_dim=12,
    codebooks=5,
    codebook_size=32,
    codebook_dim=4,
)


def random_published_state(model, generator):
    """Random tensors under the published (legacy weight norm) names."""
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        values = torch.randn(tensor.shape, generator=generator)
        state[name] = values.abs() + 0.3 if name.endswith(("weight_g", "alpha")) else values
    return state


def published_forward(state, x, config):
    """Descript's generator from its state dict, in plain functions of PyTorch; returns latents, codes, audio."""

    def weight(name):
        v = state[f"{name}.weight_v"]
        return state[f"{name}.weight_g"] * v / v.flatten(1).norm(dim=1)[:, None, None]

    def conv(x, name, **options):
        return conv1d(x, weight(name), state[f"{name}.bias"], **options)

    def snake(x, name):
        alpha = state[f"{name}.alpha"]
        return x + (alpha + 1e-9).reciprocal() * torch.sin(alpha * x).pow(2)

    def residual_unit(x, name, dilation):
        y = snake(x, f"{name}.block.0")
        y = conv(y, f"{name}.block.1", dilation=dilation, padding=3 * dilation)
        return x + conv(snake(y, f"{name}.block.2"), f"{name}.block.3")

    h = conv(x, "encoder.block.0", padding=3)
    for i, stride in enumerate(config.strides, start=1):
        for j, dilation in enumerate(config.dilations):
            h = residual_unit(h, f"encoder.block.{i}.block.{j}", dilation)
        h = snake(h, f"encoder.block.{i}.block.3")
        h = conv(h, f"encoder.block.{i}.block.4", stride=stride, padding=math.ceil(stride / 2))
    end = len(config.strides) + 1
    latents = conv(snake(h, f"encoder.block.{end}"), f"encoder.block.{end + 1}", padding=1)

    residual, quantized, codes = latents, 0, []
    for i in range(config.codebooks):
        name = f"quantizer.quantizers.{i}"
        book = state[f"{name}.codebook.weight"]
        z = conv(residual, f"{name}.in_proj")
        index = (normalize(z, dim=1).transpose(1, 2) @ normalize(book, dim=1).t()).argmax(-1)
        step = conv(embedding(index, book).transpose(1, 2), f"{name}.out_proj")
        residual, quantized = residual - step, quantized + step
        codes.append(index)

    h = conv(quantized, "decoder.model.0", padding=3)
    for i, stride in enumerate(reversed(config.strides), start=1):
        h = snake(h, f"decoder.model.{i}.block.0")
        name = f"decoder.model.{i}.block.1"
        h = conv_transpose1d(h, weight(name), state[f"{name}.bias"], stride=stride, padding=math.ceil(stride / 2))
        for j, dilation in enumerate(config.dilations):
            h = residual_unit(h, f"decoder.model.{i}.block.{j + 2}", dilation)
    return (
        latents,
        torch.stack(codes, 1),
        conv(snake(h, f"decoder.model.{end}"), f"decoder.model.{end + 1}", padding=3),
    )


@pytest.fixture(scope="module")
def loaded():
    generator = torch.Generator().manual_seed(3)
    model = RVQGAN(SMALL)
    state = random_published_state(model, generator)
    model.load_state_dict(state)
    return model.eval(), state, torch.randn(2, 3, 8 * 40, generator=generator)


@pytest.mark.parametrize("folded", [False, True])
def test_published_state_dict_gives_the_published_output(loaded, folded):
    model, state, x = loaded
    if folded:
        model = RVQGAN(SMALL)
        model.load_state_dict(state)
        model.fold_weight_norm()
        assert model.is_folded
    latents, codes, audio = published_forward(state, x, SMALL)
    with torch.no_grad():
        ours = model.encoder(x)
        our_codes = model.quantizer.encode(latents)
        decoded = model.decoder(model.quantizer.decode(codes))
    assert (ours - latents).norm() <= 1e-5 * latents.norm()
    assert torch.equal(our_codes, codes)
    assert (decoded - audio).norm() <= 1e-5 * audio.norm()


def test_names_and_shapes_are_those_of_the_published_checkpoint():
    """Names and shapes read in the published 44.1 kHz, 16 kbit/s configuration; one channel."""
    with torch.device("meta"):
        state = RVQGAN(ModelConfig(channels=1)).state_dict()
    shapes = {k.replace("parametrizations.weight.original", "w"): tuple(v.shape) for k, v in state.items()}
    expected = {
        "encoder.block.0.w0": (64, 1, 1),
        "encoder.block.0.w1": (64, 1, 7),
        "encoder.block.4.block.4.w1": (1024, 512, 16),
        "encoder.block.5.alpha": (1, 1024, 1),
        "encoder.block.6.w1": (128, 1024, 3),
        "quantizer.quantizers.17.in_proj.w1": (8, 128, 1),
        "quantizer.quantizers.17.codebook.weight": (1024, 8),
        "decoder.model.0.w1": (1536, 128, 7),
        "decoder.model.1.block.1.w0": (1536, 1, 1),
        "decoder.model.1.block.1.w1": (1536, 768, 16),
        "decoder.model.4.block.4.block.3.w1": (96, 96, 1),
        "decoder.model.6.w1": (1, 96, 7),
    }
    assert {name: shapes[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("preset", "parts"),
    [
        ("published44", (19_553_664, 189_216, 44_470_370)),
        # 15 channels more: 64 kernels of 7 taps at the input; a gain, 96 · 7 weights and a bias each at the output
        ("paper", (19_553_664 + 15 * 64 * 7, 189_216, 44_470_370 + 15 * (1 + 96 * 7 + 1))),
    ],
)
def test_parameter_counts_of_the_presets(preset, parts):
    """Counted in the stock package, encoder, quantiser and decoder: 64,213,250 and 64,230,080 in all."""
    config, _ = load_preset(preset)
    with torch.device("meta"):
        model = RVQGAN(config)
    assert tuple(map(count_parameters, (model.encoder, model.quantizer, model.decoder))) == parts
    assert count_parameters(model) == {"published44": 64_213_250, "paper": 64_230_080}[preset]
    assert config.bitrate_bps() == pytest.approx(15_503.9, abs=0.1)
    assert config == ModelConfig(channels=config.channels, output_tanh=config.channels == 1)
    # weight norm stores one gain per filter besides the kernel
    filters = sum(p.numel() for name, p in model.named_parameters() if name.endswith("original0"))
    assert count_parameters(model.fold_weight_norm()) == sum(parts) - filters


def test_parameter_count_of_the_published_8_kbps_model():
    with torch.device("meta"):
        model = RVQGAN(ModelConfig(channels=1, latent_dim=1024, codebooks=9, output_tanh=True))
    assert count_parameters(model) == 76_651_890


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 12, 16, 25, 64])
def test_any_number_of_channels(channels):
    model = RVQGAN(replace(SMALL, channels=channels)).eval()
    x = torch.randn(1, channels, 8 * 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = model.quantizer.encode(model.encoder(x))
        assert codes.shape == (1, SMALL.codebooks, 12)
        assert model.decoder(model.quantizer.decode(codes)).shape == x.shape


def test_a_tanh_limits_the_output_only_where_it_is_configured():
    limited, free = (RVQGAN(replace(SMALL, output_tanh=tanh)).fold_weight_norm().eval() for tanh in (True, False))
    limited.load_state_dict(free.state_dict())
    latents = 20 * torch.randn(1, 12, 9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(limited.decoder(latents), torch.tanh(free.decoder(latents)))


def test_context_of_the_published_configuration():
    """Measured by gradients: an encoder frame sees samples -3733 to +4244, a decoder sample frames -10 to +10."""
    assert contextual_frames(ModelConfig()) == (math.ceil(4244 / 512), 11)


def test_context_covers_the_receptive_field():
    """The output must not change at all where only what lies beyond the stated context changes."""
    config = ModelConfig(channels=2, encoder_dim=2, decoder_dim=32, latent_dim=4, codebooks=2)
    model = RVQGAN(config).eval()
    encoder_reach, decoder_reach = contextual_frames(config)
    hop, middle, generator = config.hop, 16, torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 33 * hop, generator=generator)
    far = x.clone()
    far[:, :, : (middle - encoder_reach) * hop] += 1
    far[:, :, (middle + 1 + encoder_reach) * hop :] -= 1
    near = x.clone()
    near[:, :, (middle + encoder_reach - 1) * hop :] -= 1
    with torch.no_grad():
        frame = [model.encoder(signal)[0, :, middle] for signal in (x, far, near)]
        assert torch.equal(frame[0], frame[1])
        assert not torch.equal(frame[0], frame[2])

        z = torch.randn(1, 4, 33, generator=generator)
        far = z.clone()
        far[:, :, : middle - decoder_reach] += 1
        far[:, :, middle + 1 + decoder_reach :] -= 1
        near = z.clone()
        near[:, :, middle + 1 + decoder_reach - 3 :] -= 1
        here = slice(middle * hop, (middle + 1) * hop)
        samples = [model.decoder(signal)[0, :, here] for signal in (z, far, near)]
        assert torch.equal(samples[0], samples[1])
        assert not torch.equal(samples[0], samples[2])


def test_permuting_channels_permutes_the_first_layer_only():
    """C channels enter through the first convolution alone: permuted kernels undo permuted channels."""
    model = RVQGAN(SMALL).eval()
    order = [2, 0, 1]
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        before = model.encoder(x)
        first = model.encoder.block[0]
        first.parametrizations.weight.original1.copy_(
            first.parametrizations.weight.original1[:, np.argsort(order)]
        )
        after = model.encoder(x[:, np.argsort(order)])
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-6)


def test_encode_and_decode_are_what_forward_does():
    torch.manual_seed(0)
    model = RVQGAN(SMALL).eval()
    audio = torch.randn(3, 3, 8 * 10, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        whole = model(audio)
        codes = model.encode(audio)
        assert torch.equal(whole.codes, codes)
        torch.testing.assert_close(whole.audio, model.decode(codes), rtol=1e-5, atol=1e-6)
        assert torch.equal(model.encode(audio, 2), codes[:, :2])
        partial = model(audio, active_codebooks=torch.tensor([1, 3, 5]))
        assert torch.equal(partial.codes, codes)
        for item, count in enumerate((1, 3, 5)):
            expected = model.decode(codes[item : item + 1, :count])[0]
            torch.testing.assert_close(partial.audio[item], expected, rtol=1e-5, atol=1e-6)


def test_without_quantisation_the_latents_enter_the_decoder():
    model = RVQGAN(SMALL).eval()
    audio = torch.randn(1, 3, 8 * 10, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        made = model(audio, quantize=False)
        assert torch.equal(made.latents, model.encoder(audio))
        assert torch.equal(made.audio, model.decoder(made.latents))
    assert made.codes is None
    assert made.commitment_loss is None
    assert made.codebook_loss is None


def test_under_autocast_codes_are_searched_in_float32():
    model = RVQGAN(SMALL).eval()
    audio = torch.randn(1, 3, 8 * 10, generator=torch.Generator().manual_seed(8))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        made = model(audio)
    assert {made.audio.dtype, made.latents.dtype, made.codebook_loss.dtype} == {torch.float32}
    with torch.no_grad():
        assert torch.equal(made.codes, model.quantizer.encode(made.latents))


def test_a_meta_model_describes_the_model_without_memory():
    expected = RVQGAN(SMALL, weight_norm=False)
    described = meta_model(SMALL)
    assert expected.is_folded
    assert all(tensor.is_meta for tensor in described.state_dict().values())
    shapes = {name: tensor.shape for name, tensor in described.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in expected.state_dict().items()}
    assert meta_model(ModelConfig(decoder_dim=8192, encoder_dim=1024)).decoder.model[0].weight.is_meta
