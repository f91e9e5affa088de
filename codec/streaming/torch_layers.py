"""The layers of the network in PyTorch: on a GPU, in bfloat16, and on a CPU for which there is no vector code.

Convolutions run with the channels last in memory, in oneDNN on a CPU. There the bits of a product depend on its
shape, so they are the same only for the same parts of a signal.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from codec.rvqgan.layers import Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.rvqgan.snake import snake

NAME = "oneDNN" if torch.backends.mkldnn.is_available() else "PyTorch"
CPU = torch.device("cpu")
TWO_TAP_STEP = 1  # rows that a convolution of kernel 2·stride makes together
BLOCK_STEPS = 1

Rows = Float[Tensor, "_time _channel"]
Compute = Callable[[Rows, Rows], None]


def _image(rows: Rows) -> Float[Tensor, "1 channel 1 time"]:
    """View rows as an image of height 1 with the channels last in memory, for which oneDNN is fastest."""
    return rows.reshape(1, 1, *rows.shape).permute(0, 3, 1, 2)


def _rows(image: Float[Tensor, "1 channel 1 time"]) -> Rows:
    return image[0, :, 0].t()


def _activated(activation: Snake1d | None, image: Tensor) -> Tensor:
    return image if activation is None else snake(image.squeeze(2), activation.alpha).unsqueeze(2)


def _convolve(image: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve without padding.

    On a CPU oneDNN is called by name where there is one: PyTorch's own choice between it and a matrix product
    depends on the number of threads.
    """
    if image.device == CPU and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu"):
        return torch.mkldnn_convolution(image, weight, bias, (0, 0), (1, stride), (1, dilation), 1)
    return torch.conv2d(image, weight, bias, (1, stride), 0, (1, dilation))


def convolution(layer: Conv1d, activation: Snake1d | None) -> Compute:
    """Return what computes Snake and a convolution, possibly strided."""
    stride, dilation = layer.stride[0], layer.dilation[0]
    weight = layer.weight.unsqueeze(2)

    def compute(x: Rows, out: Rows) -> None:
        image = _activated(activation, _image(x))
        out.copy_(_rows(_convolve(image, weight, layer.bias, stride, dilation)))

    return compute


def transposed(layer: ConvTranspose1d, activation: Snake1d | None) -> Compute:
    """Return what computes Snake and a transposed convolution of kernel 2s and stride s, s/2 samples cut off.

    Samples js to js + s of the output are the first half of the kernel times input j plus the second half times
    input j - 1. That is a convolution with two taps and s times as many channels; each row of its output is cut
    into s samples.
    """
    stride, cut = layer.stride[0], int(layer.padding[0])
    halves = layer.weight.unflatten(2, (2, stride)).flip(2)  # (channel, channel_out, tap, phase)
    weight = halves.permute(3, 1, 2, 0).flatten(0, 1).permute(0, 2, 1).unsqueeze(2).contiguous()
    bias = None if layer.bias is None else layer.bias.repeat(stride)

    def compute(x: Rows, out: Rows) -> None:
        image = _activated(activation, _image(x))
        full = _rows(_convolve(image, weight, bias)).reshape(-1, layer.out_channels)
        out.copy_(full[cut : cut + len(out)])

    return compute


def residual_step(dilation: int) -> int:
    """Return how many samples of a residual unit are computed together: here each by itself."""
    return 1


def residual(unit: ResidualUnit) -> Compute:
    """Return what computes a residual unit: x + conv1(Snake(conv7(Snake(x))))."""
    first, wide, second, narrow = unit.block
    assert isinstance(first, Snake1d)
    assert isinstance(wide, Conv1d)
    assert isinstance(second, Snake1d)
    assert isinstance(narrow, Conv1d)
    dilation, margin = wide.dilation[0], int(wide.padding[0])
    wide_weight, narrow_weight = wide.weight.unsqueeze(2), narrow.weight.unsqueeze(2)

    def compute(x: Rows, out: Rows) -> None:
        branch = _convolve(_activated(first, _image(x)), wide_weight, wide.bias, 1, dilation)
        branch = _convolve(_activated(second, branch), narrow_weight, narrow.bias)
        torch.add(_rows(branch), x[margin : margin + len(out)], out=out)

    return compute
