"""Building blocks of the Descript architecture: Snake activation, weight-normalised convolutions.

Names and shapes of the parameters follow the published state dict, so that its tensors map one to one.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.utils.parametrizations import weight_norm

from codec.rvqgan.snake import snake


class Snake1d(nn.Module):
    """Periodic activation x + sin²(αx)/α with one learned α per channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
        """Apply the activation, element by element."""
        return snake(x, self.alpha)


class Conv1d(nn.Conv1d):
    """One-dimensional convolution, computed as a two-dimensional one of height 1.

    The detour keeps the memory order channels-last, in which the CPU library runs these kernels faster
    (and Snake reads each α once per row); values and parameters are those of `torch.nn.Conv1d`.
    """

    def forward(self, input: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel_out time_out"]:
        """Cross-correlate with the kernel and add the bias."""
        return conv2d(
            input.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (1, self.dilation[0]),
        ).squeeze(2)


class ConvTranspose1d(nn.ConvTranspose1d):
    """One-dimensional transposed convolution, computed as a two-dimensional one of height 1."""

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel_out time_out"]:  # pyrefly: ignore
        """Upsample by the stride."""
        return conv_transpose2d(
            x.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
        ).squeeze(2)


def conv(channels_in: int, channels_out: int, kernel: int, *, dilation: int = 1) -> nn.Module:
    """Weight-normalised convolution that keeps the length (odd kernel)."""
    return weight_norm(
        Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
    )


def downsample(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Weight-normalised strided convolution, kernel 2·stride: (…, time) -> (…, time / stride)."""
    return weight_norm(Conv1d(channels_in, channels_out, 2 * stride, stride=stride, padding=math.ceil(stride / 2)))


def upsample(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Weight-normalised transposed convolution, kernel 2·stride: (…, time) -> (…, time · stride)."""
    return weight_norm(
        ConvTranspose1d(channels_in, channels_out, 2 * stride, stride=stride, padding=math.ceil(stride / 2))
    )


class ResidualUnit(nn.Module):
    """x + conv1(Snake(conv7, dilated(Snake(x))))."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.block = nn.Sequential(
            Snake1d(channels),
            conv(channels, channels, 7, dilation=dilation),
            Snake1d(channels),
            conv(channels, channels, 1),
        )

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
        """Add the branch to its input."""
        return x + self.block(x)


class Block(nn.Module):
    """A sequence whose parameters are named ``block.<index>``, as in the published state dict."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers in turn."""
        return self.block(x)


def channels_last(x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
    """Return the same values, laid out with the channels next to each other in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last).squeeze(2)
