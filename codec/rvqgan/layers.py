"""Building blocks of the generator: Snake activation, convolutions, residual units (Kumar et al. 2023).

The names and shapes of the parameters are those of the published state dict.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from codec.rvqgan.snake import snake


class Snake1d(nn.Module):
    """Periodic activation x + sin²(αx)/α with one trainable α per channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
        """Apply the activation to every element."""
        return snake(x, self.alpha)


class Conv1d(nn.Conv1d):
    """One-dimensional convolution, computed as a two-dimensional one of height 1.

    This keeps the channels last in memory, where oneDNN's kernels are faster and Snake reads each α once per
    row. Values and parameters are those of `torch.nn.Conv1d`.
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


def conv(channels_in: int, channels_out: int, kernel: int, *, dilation: int = 1) -> Conv1d:
    """Return a convolution that keeps the length; `kernel` must be odd."""
    return Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)


def downsample(channels_in: int, channels_out: int, stride: int) -> Conv1d:
    """Return a strided convolution of kernel 2·stride: (..., time) to (..., time / stride)."""
    return Conv1d(channels_in, channels_out, 2 * stride, stride=stride, padding=stride // 2)


def upsample(channels_in: int, channels_out: int, stride: int) -> ConvTranspose1d:
    """Return a transposed convolution of kernel 2·stride: (..., time) to (..., time · stride)."""
    return ConvTranspose1d(channels_in, channels_out, 2 * stride, stride=stride, padding=stride // 2)


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
    """A sequence of layers, whose parameters the published state dict names ``block.<index>``."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers one after the other."""
        return self.block(x)


def channels_last(x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
    """Return the same values with the channels adjacent in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last).squeeze(2)
