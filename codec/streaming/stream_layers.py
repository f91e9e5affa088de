"""The network as a stream: each layer keeps the few samples that its next output needs.

A network is a chain of stages. A stage turns samples into as many, fewer (÷ stride) or more (× stride), and
sees `before` samples back and `after` ahead; beyond the ends of the signal it sees zeros, which is exactly the
padding of the published layers. A `Stream` keeps the end of every stage's input, so nothing is computed twice
and memory does not depend on the length.

The same bits for every cut and every number of threads: the input is first cut again into tiles anchored at the
first sample, and within a tile the work is divided into parts whose sizes depend on the layer alone. Each part
is computed by one thread; threads share the parts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Barrier

import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.rvqgan.snake import snake

CPU = torch.device("cpu")
TILE_FRAMES = 256  # 3 s at 44.1 kHz: shorter tiles read the weights more often
PART_NUMBERS = 2**19  # samples times channels of a part
MIN_ROWS = 1024  # of a part: below, reading the weights outweighs the arithmetic

Rows = Float[Tensor, "time channel"]


@dataclass(frozen=True)
class Stage:
    """One step of a network.

    Attributes
    ----------
    compute : callable
        (samples with their context (before + n + after, channel), output (n · up / down, channels_out)) -> None
    before, after : int
        Samples of context that it needs on either side.
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
    """View of rows as the channels-last picture of height 1 that the convolution library runs fastest on."""
    return rows.reshape(1, 1, *rows.shape).permute(0, 3, 1, 2)


def _rows(image: Float[Tensor, "1 channel 1 time"]) -> Rows:
    return image[0, :, 0].t()


def _activated(activation: Snake1d | None, image: Tensor) -> Tensor:
    return image if activation is None else snake(image.squeeze(2), activation.alpha).unsqueeze(2)


def _convolve(image: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolution without padding.

    By oneDNN where there is one, asked for by name: PyTorch's own choice between it and a matrix product depends
    on the number of threads.
    """
    if image.device == CPU and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu"):
        return torch.mkldnn_convolution(image, weight, bias, (0, 0), (1, stride), (1, dilation), 1)
    return torch.conv2d(image, weight, bias, (1, stride), 0, (1, dilation))


def _convolution(layer: Conv1d, activation: Snake1d | None) -> Stage:
    """Snake, then a convolution, maybe strided; snake(0) = 0, so zeros before it are zeros behind it."""
    kernel, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    weight = layer.weight.unsqueeze(2)

    def compute(x: Rows, out: Rows) -> None:
        image = _activated(activation, _image(x))
        out.copy_(_rows(_convolve(image, weight, layer.bias, stride, dilation)))

    before = int(layer.padding[0])
    after = (kernel - 1) * dilation + 1 - stride - before
    return Stage(compute, before, after, 1, stride, layer.out_channels)


def _transposed(layer: ConvTranspose1d, activation: Snake1d | None) -> Stage:
    """Snake, then a transposed convolution: kernel 2s, stride s, s/2 cut off at both ends.

    Samples js to js + s of its output are the first half of the kernel times input j and the second half times
    input j - 1: a convolution with two taps and s times as many channels, whose rows, cut into s, are the samples.
    """
    stride, cut = layer.stride[0], int(layer.padding[0])
    halves = layer.weight.unflatten(2, (2, stride)).flip(2)  # (channel, channel_out, tap, phase)
    weight = halves.permute(3, 1, 2, 0).flatten(0, 1).permute(0, 2, 1).unsqueeze(2).contiguous()
    bias = None if layer.bias is None else layer.bias.repeat(stride)

    def compute(x: Rows, out: Rows) -> None:
        image = _activated(activation, _image(x))
        full = _rows(_convolve(image, weight, bias)).reshape(-1, layer.out_channels)
        out.copy_(full[cut : cut + len(out)])

    return Stage(compute, 1, 1, stride, 1, layer.out_channels)


def _residual(unit: ResidualUnit) -> Stage:
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

    return Stage(compute, margin, margin, 1, 1, narrow.out_channels)


def _pointwise(function: nn.Module, channels: int) -> Stage:
    def compute(x: Rows, out: Rows) -> None:
        out.copy_(function(x))

    return Stage(compute, 0, 0, 1, 1, channels)


def stages(network: nn.Sequential) -> list[Stage]:
    """Stages of a folded encoder or decoder (`Encoder.block`, `Decoder.model`)."""
    chain: list[Stage] = []
    activation = None
    for item in network:
        for layer in item.block if isinstance(item, Block) else [item]:
            if isinstance(layer, Snake1d):
                activation = layer
                continue
            if isinstance(layer, ResidualUnit):
                chain.append(_residual(layer))
            elif isinstance(layer, ConvTranspose1d):
                chain.append(_transposed(layer, activation))
            elif isinstance(layer, Conv1d):
                chain.append(_convolution(layer, activation))
            else:
                chain.append(_pointwise(layer, chain[-1].channels_out))
            activation = None
    return chain


def _after_first_tile(chain: list[Stage], incoming: int) -> tuple[list[int], int]:
    """Samples that every stage keeps after the first tile, and samples that come out of it."""
    kept = []
    for stage in chain:
        usable = max(0, incoming - stage.after) // stage.down * stage.down
        kept.append(stage.before + incoming - usable)
        incoming = usable * stage.up // stage.down
    return kept, incoming


class Stream:
    """A chain of stages with the state between them.

    Parameters
    ----------
    chain : list of Stage
    channels, tile : int
        Channels of the input, and its samples per tile.
    threads : int
        Changes the time, never a bit.
    running : bool
        Begin as in the middle of a signal, behind a whole number of tiles of which only zeros are known.
    device : torch.device
        Where the weights are. Threads and parts are the processor's; a GPU takes each tile as it is.
    bf16 : bool
        Convolve in bfloat16.
    """

    def __init__(
        self, chain: list[Stage], channels: int, tile: int, threads: int, running: bool = False,
        device: torch.device = CPU, bf16: bool = False,
    ):  # fmt: skip
        self._chain, self._tile, self._threads = chain, tile, threads
        self._device, self._bf16 = device, bf16
        widths = [channels, *(stage.channels_out for stage in chain)]
        kept = [stage.before for stage in chain]
        if running:  # the first tile leaves as much behind as any later one: all strides divide a tile
            kept, _ = _after_first_tile(chain, tile)
        # what every stage must remember of its input: at first the zeros before the signal
        sizes = zip(kept, widths, strict=False)
        self._tails = [torch.zeros(rows, width, device=device) for rows, width in sizes]
        # memory for the input and the output of a stage, in turns
        self._scratch = [torch.empty(0, device=device), torch.empty(0, device=device)]
        self._arrived: list[Rows] = []

    @property
    def ahead(self) -> int:
        """Input samples behind one that its output depends on, rounded up."""
        ahead, step = 0.0, 1.0
        for stage in self._chain:
            ahead += stage.after * step
            step *= stage.down / stage.up
        return math.ceil(ahead)

    @property
    def lag(self) -> int:
        """Output samples by which a whole number of tiles is ahead of what came out of them."""
        ratio = math.prod(stage.up for stage in self._chain) / math.prod(stage.down for stage in self._chain)
        return round(self._tile * ratio) - _after_first_tile(self._chain, self._tile)[1]

    def push(self, rows: Rows) -> Iterator[Rows]:
        """Take any number of samples; yields the output that became complete. Copy it: the next push reuses it."""
        self._arrived.append(rows.to(self._device))
        if sum(len(part) for part in self._arrived) >= self._tile:
            joined = torch.cat(self._arrived)
            whole = len(joined) // self._tile * self._tile
            self._arrived = [joined[whole:]]
            for start in range(0, whole, self._tile):
                yield self._run(joined[start : start + self._tile], last=False)

    def finish(self) -> Rows:
        """Return the rest of the output."""
        rest = torch.cat(self._arrived) if self._arrived else self._tails[0][:0]
        return self._run(rest, last=True)

    @torch.inference_mode()
    def _run(self, rows: Rows, last: bool) -> Rows:
        x, held = self._input(0, len(rows), last)
        x[len(self._tails[0]) : len(self._tails[0]) + len(rows)] = rows
        for index, stage in enumerate(self._chain):
            usable = max(0, held - stage.before - stage.after) // stage.down * stage.down
            produced = usable * stage.up // stage.down
            if index + 1 < len(self._chain):
                following, held_there = self._input(index + 1, produced, last)
                out = following[len(self._tails[index + 1]) :][:produced]
            else:
                following = out = torch.empty(produced, stage.channels_out, device=self._device)
                held_there = produced
            self._compute(stage, x, usable, out)
            self._tails[index] = x[usable:held].clone()
            x, held = following, held_there
        return x

    def _input(self, index: int, incoming: int, last: bool) -> tuple[Rows, int]:
        """Input of a stage, and its length: what it remembers, room for what comes in, zeros behind the end."""
        tail, stage = self._tails[index], self._chain[index]
        held = len(tail) + incoming + stage.after * last
        numbers = held * tail.shape[1]
        if self._scratch[index % 2].numel() < numbers:
            self._scratch[index % 2] = torch.empty(numbers, device=self._device)
        x = self._scratch[index % 2][:numbers].view(held, tail.shape[1])
        x[: len(tail)] = tail
        x[len(tail) + incoming :] = 0
        return x, held

    def _compute(self, stage: Stage, x: Rows, usable: int, out: Rows) -> None:
        size = max(MIN_ROWS, PART_NUMBERS // x.shape[1]) // stage.down * stage.down

        @torch.inference_mode()  # like the precision, a setting of each thread
        def part(start: int, stop: int) -> None:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                stage.compute(
                    x[start : stop + stage.before + stage.after],
                    out[start * stage.up // stage.down : stop * stage.up // stage.down],
                )

        if self._device != CPU:
            with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
                part(0, usable)
            return
        starts = range(0, usable, size)
        list(workers(self._threads).map(part, starts, (min(start + size, usable) for start in starts)))


@cache
def workers(threads: int) -> ThreadPoolExecutor:
    """Threads in each of which PyTorch uses one thread only.

    Its matrix library knows one number for the whole process, which is one from then on: the sums of a product
    depend on it.
    """
    ready = Barrier(threads)

    def start() -> None:
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "codec", start)
    list(pool.map(lambda _: None, range(threads)))
    return pool


# threads do not survive a fork: a child that asks for them gets new ones
os.register_at_fork(after_in_child=workers.cache_clear)
