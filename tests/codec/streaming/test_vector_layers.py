"""The layers on a CPU against PyTorch in float64: widths that fill no vector, lengths that fill no block."""

import hashlib
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d, conv_transpose1d

from codec.rvqgan.layers import ResidualUnit, Snake1d, conv, downsample, upsample
from codec.streaming import vector_kernels, vector_layers

pytestmark = pytest.mark.skipif(vector_kernels.INSTRUCTION_SET is None, reason="no vector code for this processor")


@pytest.fixture(autouse=True)
def unused_memory_is_not_a_number(monkeypatch):
    """What a layer reads before it wrote it would spread."""
    monkeypatch.setattr(vector_layers, "_buffer", lambda elements: np.full(elements, np.nan, np.float32))


def weights_of(layer):
    torch.manual_seed(0)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(False).uniform_(*((0.5, 2.0) if "alpha" in name else (-0.3, 0.3)))
    return layer


def relative_error(compute, x, expected):
    out = torch.full(expected.shape, torch.nan)
    with torch.inference_mode():
        compute(x, out)
    return float((out.double() - expected).norm() / expected.norm())


def exact(x):
    return x.double().t()[None]


@pytest.mark.parametrize(
    ("channels", "dilation", "length"),
    [(3, 1, 1), (20, 3, 333), (50, 9, 500), (96, 9, 700), (64, 1, 340), (128, 4, 97)],
)
def test_residual_unit(channels, dilation, length):
    unit = weights_of(ResidualUnit(channels, dilation))
    x = torch.randn(length + 6 * dilation, channels)
    expected = deepcopy(unit).double()(exact(x))[0].t()[3 * dilation : -3 * dilation]
    assert relative_error(vector_layers.residual(unit), x, expected) < 1e-5


@pytest.mark.parametrize(
    ("channels", "columns", "kernel", "length"),
    [(5, 7, 7, 100), (16, 100, 3, 50), (96, 16, 7, 4000), (4, 4, 1, 3)],
)
@pytest.mark.parametrize("active", [False, True])
def test_convolution(channels, columns, kernel, length, active):
    layer = weights_of(conv(channels, columns, kernel))
    snake = weights_of(Snake1d(channels)) if active else None
    x = torch.randn(length + kernel - 1, channels)
    inputs = deepcopy(snake).double()(exact(x)) if snake else exact(x)
    expected = conv1d(inputs, layer.weight.double(), layer.bias.double())[0].t()
    assert relative_error(vector_layers.convolution(layer, snake), x, expected) < 1e-6


@pytest.mark.parametrize(("channels", "stride", "length"), [(10, 3, 20), (16, 2, 3000), (64, 8, 200)])
def test_strided_convolution(channels, stride, length):
    layer, snake = weights_of(downsample(channels, 2 * channels, stride)), weights_of(Snake1d(channels))
    x = torch.randn((length + 1) * stride, channels)
    inputs = deepcopy(snake).double()(exact(x))
    expected = conv1d(inputs, layer.weight.double(), layer.bias.double(), stride)[0].t()
    assert relative_error(vector_layers.convolution(layer, snake), x, expected) < 3e-6


@pytest.mark.parametrize(("channels", "stride", "length"), [(12, 6, 50), (32, 2, 9000), (128, 8, 1)])
def test_transposed_convolution(channels, stride, length):
    layer, snake = weights_of(upsample(channels, channels // 2, stride)), weights_of(Snake1d(channels))
    before = vector_layers.TWO_TAP_STEP
    x = torch.randn(before + length + 1, channels)
    inputs = deepcopy(snake).double()(exact(x))
    whole = conv_transpose1d(inputs, layer.weight.double(), layer.bias.double(), stride, stride // 2)[0].t()
    expected = whole[before * stride : (before + length) * stride]
    assert relative_error(vector_layers.transposed(layer, snake), x, expected) < 3e-6


def test_a_part_has_the_bits_of_the_whole():
    unit = weights_of(ResidualUnit(40, 3))
    compute = vector_layers.residual(unit)
    x = torch.randn(20 * 18 + 18, 40)
    whole, parts = torch.empty(20 * 18, 40), torch.empty(20 * 18, 40)
    with torch.inference_mode():
        compute(x, whole)
        for start, stop in ((0, 18), (18, 7 * 18), (7 * 18, 20 * 18)):
            compute(x[start : stop + 18], parts[start:stop])
    assert torch.equal(whole, parts)


def test_a_part_of_a_strided_convolution_has_the_bits_of_the_whole():
    compute = vector_layers.convolution(weights_of(downsample(24, 20, 4)), None)
    x = torch.randn(4 * 700 + 4, 24)
    whole, parts = torch.empty(700, 20), torch.empty(700, 20)
    with torch.inference_mode():
        compute(x, whole)
        for start, stop in ((0, 5), (5, 600), (600, 700)):
            compute(x[4 * start : 4 * stop + 4], parts[start:stop])
    assert torch.equal(whole, parts)


def test_a_part_of_a_transposed_convolution_has_the_bits_of_the_whole():
    compute = vector_layers.transposed(weights_of(upsample(24, 20, 4)), None)
    before = vector_layers.TWO_TAP_STEP
    x = torch.randn(before + 700 + 1, 24)
    whole, parts = torch.empty(4 * 700, 20), torch.empty(4 * 700, 20)
    with torch.inference_mode():
        compute(x, whole)
        for start, stop in ((0, 5), (5, 600), (600, 700)):
            compute(x[start : before + stop + 1], parts[4 * start : 4 * stop])
    assert torch.equal(whole, parts)


@pytest.mark.parametrize(
    ("make", "layer", "digest"),
    [
        (
            vector_layers.residual,
            ResidualUnit(24, 3),
            "60e191b7547d793f2de53fe300f0a6b8c90656736901c4a890316c9feaea1be3",
        ),
        (
            lambda layer: vector_layers.transposed(layer, None),
            upsample(24, 24, 2),
            "f58ba18a7821430108cf7d1d32ddf16408c18238cd724d4b9924e21ed6c9fe4a",
        ),
    ],
    ids=["residual", "transposed"],
)
def test_the_bits_are_those_of_other_processors(make, layer, digest):
    """AVX-512, AVX2 and NEON gave these digests: sums have a fixed order, and products are rounded with them."""
    random = np.random.default_rng(0)
    for parameter in layer.requires_grad_(False).parameters():
        parameter.copy_(torch.from_numpy(random.uniform(0.1, 0.9, tuple(parameter.shape)).astype(np.float32)))
    x = torch.from_numpy(random.standard_normal((118, 24)).astype(np.float32))
    out = torch.empty(100, 24)
    make(layer)(x, out)
    assert hashlib.sha256(out.numpy().tobytes()).hexdigest() == digest
