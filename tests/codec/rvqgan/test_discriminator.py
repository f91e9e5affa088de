"""Discriminators against the published ones (golden vectors), and what C channels add to them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codec.losses.adversarial import discriminator_loss, feature_loss, generator_loss
from codec.rvqgan.discriminator import Discriminator, DiscriminatorConfig, normalised
from render.common.errors import InputError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "dac" / "training.json").read_text())
PUBLISHED = DiscriminatorConfig(channels=1, periods=(3, 11), rates=(1, 2), fft_sizes=(2048, 512))
SMALL = dict(periods=(2, 3), rates=(2,), fft_sizes=(256,), period_width=2, scale_width=4, spectrum_width=4)
PHI = 0.6180339887498949


def published_name(name):
    """What the older weight norm of the published code calls a parameter."""
    old = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    return next((name.replace(new, o) for new, o in old.items() if new in name), name)


def fill(model):
    """Weights that follow from their published name and place only, the formula behind the golden vectors."""
    parameters = {published_name(name): p for name, p in model.named_parameters()}
    for position, name in enumerate(sorted(parameters)):
        shape = parameters[name].shape
        count = torch.arange(math.prod(shape), dtype=torch.float64)
        u = torch.frac((count + 1 + 0.37 * position) * PHI)
        if name.endswith("weight_g"):
            values = 0.5 + u
        elif name.endswith("bias"):
            values = 0.2 * (u - 0.5)
        else:
            values = u - 0.5 + 0.3 * torch.sin(count * 0.7)
        with torch.no_grad():
            parameters[name].copy_(values.view(shape))
    return model


def signal(items, channels, frames):
    """Tones with something like noise."""
    t = torch.arange(frames, dtype=torch.float64)
    rows = [
        0.05 * torch.sin(t * 0.02 * (i + 1))
        + 0.3 * (torch.frac((t + 1) ** 1.3 * PHI * (1 + 0.1 * i)) - 0.5) * (1 + torch.sin(t * 0.003))
        for i in range(items * channels)
    ]
    return torch.stack(rows).view(items, channels, frames).float()


def small(channels, **changes):
    torch.manual_seed(1)
    return Discriminator(DiscriminatorConfig(channels=channels, **(SMALL | changes)))


@pytest.fixture(scope="module")
def published():
    """Network of the golden vectors, its maps of the real and of the generated signals."""
    network = fill(Discriminator(PUBLISHED))
    real = signal(2, 1, 3000)
    with torch.no_grad():
        return network, network(real), network(real + 0.02 * signal(2, 2, 3000)[:, 1:])


def test_names_and_shapes_are_the_published_ones(published):
    names = {published_name(name): list(t.shape) for name, t in published[0].state_dict().items()}
    assert names == GOLDEN["state_dict"]


def test_every_feature_map_is_the_published_one(published):
    for part, expected_part in zip(published[1], GOLDEN["maps"], strict=True):
        for given, expected in zip(part, expected_part, strict=True):
            assert list(given.shape) == expected["shape"]
            n = given.numel()
            assert given.square().mean().sqrt().item() == pytest.approx(expected["rms"], rel=1e-5)
            values = given.flatten()[[0, n // 3, n // 2, n - 1]].tolist()
            assert values == pytest.approx(expected["values"], rel=1e-5, abs=1e-5 * expected["rms"])


def test_losses_are_the_published_ones(published):
    _, real, fake = published
    assert discriminator_loss(real, fake).item() == pytest.approx(GOLDEN["discriminator_loss"], rel=1e-5)
    assert generator_loss(fake).item() == pytest.approx(GOLDEN["generator_loss"], rel=1e-5)
    assert feature_loss(real, fake).item() == pytest.approx(GOLDEN["feature_loss"], rel=1e-5)


def test_the_full_size_with_16_channels():
    """43.16 million parameters, as counted in the published network with 16 channels at both ends."""
    assert round(sum(p.numel() for p in Discriminator(DiscriminatorConfig()).parameters()) / 1e6, 2) == 43.16


def test_a_channel_without_weights_leaves_the_maps_of_one_channel():
    """Kernels that read the second of two channels only make what the mono network makes of it alone."""
    mono, stereo = small(1), small(2)
    weights = {}
    for name, value in stereo.state_dict().items():
        weight = mono.state_dict()[name]
        if value.shape == weight.shape:
            weights[name] = weight
        elif value.shape[0] == 2 * weight.shape[0]:  # the logits of both channels
            weights[name] = torch.cat([weight, weight])
        else:  # inputs: of a spectrogram re and im of the one channel, then of the other
            weights[name] = torch.cat([torch.zeros_like(weight), weight], 1)
    stereo.load_state_dict(weights)
    x = signal(2, 2, 1500) * torch.tensor([0.1, 1.0])[:, None]
    with torch.no_grad():
        for one, both in zip(mono(x[:, 1:]), stereo(x), strict=True):
            for a, b in zip(one, both, strict=True):
                torch.testing.assert_close(b, a.expand_as(b), rtol=1e-4, atol=1e-6)


def test_one_gain_for_all_channels_keeps_their_levels():
    x = signal(3, 4, 1000)
    y = normalised(x * torch.tensor([1.0, 5.0, 0.01])[:, None, None] + 0.3)
    torch.testing.assert_close(y.abs().amax((1, 2)), torch.full((3,), 0.8))
    torch.testing.assert_close(y.mean(-1), torch.zeros(3, 4), atol=1e-5, rtol=0)
    level = (x - x.mean(-1, keepdim=True)).square().mean(-1)
    torch.testing.assert_close(y.square().mean(-1) / level, (y.square().mean(-1) / level)[:, :1].expand(3, 4))


def test_one_gain_for_each_channel_is_that_of_the_published_code():
    """``0.8 x / (max |x| + 1e-9)`` over the time of each channel, after the mean was removed."""
    x = signal(3, 4, 1000) * torch.tensor([1.0, 5.0, 0.01, 2.0])[:, None] + 0.3
    centred = x - x.mean(dim=-1, keepdims=True)
    expected = 0.8 * centred / (centred.abs().max(dim=-1, keepdim=True)[0] + 1e-9)
    torch.testing.assert_close(normalised(x, gain_per_channel=True), expected)
    with pytest.raises(InputError, match="gain_per_channel = 1 must be true or false"):
        DiscriminatorConfig(gain_per_channel=1)
    network = fill(Discriminator(replace(small(4).config, gain_per_channel=True)))
    with torch.no_grad():  # levels of channels are not seen
        louder = network(x * torch.tensor([1.0, 1.0, 1.0, 0.5])[:, None])
        for a, b in zip(network(x), louder, strict=True):
            torch.testing.assert_close(a[-1], b[-1], rtol=1e-4, atol=1e-5)


def test_a_level_difference_between_channels_is_judged_and_a_common_gain_is_not():
    network, x = fill(small(4)), signal(1, 4, 1500)
    quieter = x * torch.tensor([1.0, 1.0, 1.0, 0.5])[:, None]
    with torch.no_grad():
        same, other = network(3 * x), network(quieter)
        for a, b, c in zip(network(x), same, other, strict=True):
            torch.testing.assert_close(a[-1], b[-1], rtol=1e-4, atol=1e-5)
            assert (a[-1] - c[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("half_precision", [False, True])
def test_silence_is_judged_with_a_finite_gradient(half_precision):
    x = torch.zeros(1, 2, 1500, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
        generator_loss(small(2)(x)).backward()
    assert torch.isfinite(x.grad).all()


def test_in_half_precision_the_spectrogram_stays_in_float32():
    part = small(2, periods=(), rates=()).discriminators[0]
    x = signal(1, 2, 1500)
    expected = part.spectrogram(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(part.spectrogram(x), expected)


@pytest.mark.parametrize("shape", [(1, 3, 1500), (2, 1500), (1, 2, 159)])
def test_signals_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"must be \(items, 2 channels, at least 160 samples\)"):
        small(2)(torch.zeros(shape))
    small(2)(torch.zeros(1, 2, 160))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(channels=0), "channels = 0 must be an integer from 1 to 256"),
        (dict(period_width=2.0), "period_width = 2.0 must be an integer"),
        (dict(scale_width=6), "scale_width = 6 must be a multiple of 4"),
        (dict(periods=(0,)), "periods = (0,) must be a tuple of integers"),
        (dict(periods=[2, 3]), "periods = [2, 3] must be a tuple"),
        (dict(rates=(8,)), "rates = (8,) must divide the sample rate of 44100 Hz"),
        (dict(fft_sizes=(1001,)), "fft_sizes = (1001,) must be multiples of 8"),
        (dict(periods=(), fft_sizes=()), "at least one is needed"),
        (dict(bands=((0.5, 0.1),)), "must be pairs (low, high)"),
        (dict(bands=(0.5, 0.1)), "must be pairs (low, high)"),
        (dict(bands=((0.0, 0.001),)), "leave one without bins for fft_sizes = (2048, 1024, 512)"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(InputError) as error:
        DiscriminatorConfig(**changes)
    assert message in str(error.value)
