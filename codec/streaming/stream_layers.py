"""The network as a stream: each layer keeps the few samples that its next output needs.

The network is a chain of layers. A layer turns n samples into n, n / stride or n · stride, and needs `before`
samples of context before them and `after` samples after them. Beyond the ends of the signal the context is zero,
which is exactly the padding of the published layers. A `Stream` keeps the end of every layer's input, so that
nothing is computed twice and memory does not depend on the length of the signal.

The bits are the same however the signal arrives and on any number of threads. The input is first cut into tiles
that are counted from its first sample; within a tile, the work is divided into parts whose sizes depend on the
layer alone. Each part is computed by one thread, and the threads share the parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.rvqgan.snake import snake
from codec.streaming.threads import thread_pool

CPU = torch.device("cpu")
TILE_FRAMES = 256  # 3 s at 44.1 kHz; the weights are read once per tile, so shorter tiles are slower
PART_ELEMENTS = 2**19  # samples times channels of a part
MIN_PART_ROWS = 1024  # with fewer samples in a part, reading the weights takes longer than the arithmetic

Rows = Float[Tensor, "time channel"]


@dataclass(frozen=True)
class StreamLayer:
    """One layer of the network, with the activation before it.

    Attributes
    ----------
    compute : callable
        Called with the samples and their context (before + n + after, channel) and with the output
        (n · up / down, channels_out), which it fills.
    before, after : int
        Samples of context that it needs before and after.
    up, down : int
        n input samples make n · up / down output samples.
    channels_out : int
    """

    compute: Callable[[Rows, Rows], None]
    before: int
    after: int
    up: int
    down: int
    channels_out: int


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


def _convolution(layer: Conv1d, activation: Snake1d | None) -> StreamLayer:
    """Snake and a convolution, possibly strided. Since snake(0) = 0, zeros may be padded before the activation."""
    kernel, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    weight = layer.weight.unsqueeze(2)

    def compute(x: Rows, out: Rows) -> None:
        image = _activated(activation, _image(x))
        out.copy_(_rows(_convolve(image, weight, layer.bias, stride, dilation)))

    before = int(layer.padding[0])
    after = (kernel - 1) * dilation + 1 - stride - before
    return StreamLayer(compute, before, after, 1, stride, layer.out_channels)


def _transposed(layer: ConvTranspose1d, activation: Snake1d | None) -> StreamLayer:
    """Snake and a transposed convolution of kernel 2s and stride s, with s/2 samples cut off at both ends.

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

    return StreamLayer(compute, 1, 1, stride, 1, layer.out_channels)


def _residual(unit: ResidualUnit) -> StreamLayer:
    """Residual unit: x + conv1(Snake(conv7(Snake(x))))."""
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

    return StreamLayer(compute, margin, margin, 1, 1, narrow.out_channels)


def _pointwise(function: nn.Module, channels: int) -> StreamLayer:
    def compute(x: Rows, out: Rows) -> None:
        out.copy_(function(x))

    return StreamLayer(compute, 0, 0, 1, 1, channels)


def stream_layers(network: nn.Sequential) -> list[StreamLayer]:
    """Return the layers of a folded encoder or decoder (`Encoder.block`, `Decoder.model`)."""
    layers: list[StreamLayer] = []
    activation = None
    for item in network:
        for layer in item.block if isinstance(item, Block) else [item]:
            if isinstance(layer, Snake1d):
                activation = layer
                continue
            if isinstance(layer, ResidualUnit):
                layers.append(_residual(layer))
            elif isinstance(layer, ConvTranspose1d):
                layers.append(_transposed(layer, activation))
            elif isinstance(layer, Conv1d):
                layers.append(_convolution(layer, activation))
            else:
                layers.append(_pointwise(layer, layers[-1].channels_out))
            activation = None
    return layers


def _after_first_tile(layers: list[StreamLayer], samples: int) -> tuple[list[int], int]:
    """Return how many samples every layer keeps after the first tile, and how many samples come out of it."""
    kept = []
    for layer in layers:
        usable = max(0, samples - layer.after) // layer.down * layer.down
        kept.append(layer.before + samples - usable)
        samples = usable * layer.up // layer.down
    return kept, samples


class Stream:
    """A chain of layers with the state between them.

    Parameters
    ----------
    layers : list of StreamLayer
    channels, tile : int
        Channels of the input, and its samples per tile.
    threads : int
        Number of threads; it affects the time, but never a bit.
    running : bool
        Whether to begin as in the middle of a signal, after a whole number of tiles, which are taken to be zero.
    device : torch.device
        Where the weights are. Threads and parts concern the CPU; a GPU processes each tile as a whole.
    bf16 : bool
        Whether to convolve in bfloat16.
    """

    def __init__(
        self, layers: list[StreamLayer], channels: int, tile: int, threads: int, running: bool = False,
        device: torch.device = CPU, bf16: bool = False,
    ):  # fmt: skip
        self._layers, self._tile, self._threads = layers, tile, threads
        self._device, self._bf16 = device, bf16
        widths = [channels, *(layer.channels_out for layer in layers)]
        kept = [layer.before for layer in layers]
        if running:  # every tile leaves as many samples as the first one, since all strides divide a tile
            kept, _ = _after_first_tile(layers, tile)
        # The end of the input of every layer, initially the zeros before the signal.
        sizes = zip(kept, widths, strict=False)
        self._tails = [torch.zeros(rows, width, device=device) for rows, width in sizes]
        # Memory for the input and the output of a layer; the layers alternate between the two.
        self._scratch = [torch.empty(0, device=device), torch.empty(0, device=device)]
        self._pending: list[Rows] = []

    @property
    def ahead(self) -> int:
        """Input samples after the present one on which its output depends, rounded up."""
        ahead, step = 0.0, 1.0
        for layer in self._layers:
            ahead += layer.after * step
            step *= layer.down / layer.up
        return math.ceil(ahead)

    @property
    def lag(self) -> int:
        """Output samples that are still missing after a whole number of tiles has been pushed."""
        ratio = math.prod(layer.up for layer in self._layers) / math.prod(layer.down for layer in self._layers)
        return round(self._tile * ratio) - _after_first_tile(self._layers, self._tile)[1]

    def push(self, rows: Rows) -> Iterator[Rows]:
        """Take any number of samples and yield the output that is complete, tile by tile."""
        self._pending.append(rows.to(self._device))
        if sum(len(part) for part in self._pending) >= self._tile:
            joined = torch.cat(self._pending)
            whole = len(joined) // self._tile * self._tile
            self._pending = [joined[whole:]]
            for start in range(0, whole, self._tile):
                yield self._run(joined[start : start + self._tile], last=False)

    def finish(self) -> Rows:
        """Return the rest of the output."""
        rest = torch.cat(self._pending) if self._pending else self._tails[0][:0]
        return self._run(rest, last=True)

    @torch.inference_mode()
    def _run(self, rows: Rows, last: bool) -> Rows:
        x, held = self._input(0, len(rows), last)
        x[len(self._tails[0]) : len(self._tails[0]) + len(rows)] = rows
        for index, layer in enumerate(self._layers):
            usable = max(0, held - layer.before - layer.after) // layer.down * layer.down
            produced = usable * layer.up // layer.down
            if index + 1 < len(self._layers):
                following, held_there = self._input(index + 1, produced, last)
                out = following[len(self._tails[index + 1]) :][:produced]
            else:
                following = out = torch.empty(produced, layer.channels_out, device=self._device)
                held_there = produced
            self._compute(layer, x, usable, out)
            self._tails[index] = x[usable:held].clone()
            x, held = following, held_there
        return x

    def _input(self, index: int, incoming: int, last: bool) -> tuple[Rows, int]:
        """Return the input of a layer, and its length: tail, room for `incoming` samples, zeros after the end."""
        tail, layer = self._tails[index], self._layers[index]
        held = len(tail) + incoming + layer.after * last
        elements = held * tail.shape[1]
        if self._scratch[index % 2].numel() < elements:
            self._scratch[index % 2] = torch.empty(elements, device=self._device)
        x = self._scratch[index % 2][:elements].view(held, tail.shape[1])
        x[: len(tail)] = tail
        x[len(tail) + incoming :] = 0
        return x, held

    def _compute(self, layer: StreamLayer, x: Rows, usable: int, out: Rows) -> None:
        size = max(MIN_PART_ROWS, PART_ELEMENTS // x.shape[1]) // layer.down * layer.down

        @torch.inference_mode()  # like autocast, a setting of each thread
        def part(start: int, stop: int) -> None:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                layer.compute(
                    x[start : stop + layer.before + layer.after],
                    out[start * layer.up // layer.down : stop * layer.up // layer.down],
                )

        if self._device != CPU:
            with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
                part(0, usable)
            return
        starts = range(0, usable, size)
        list(thread_pool(self._threads).map(part, starts, (min(start + size, usable) for start in starts)))
