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
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.rvqgan.codec import contextual_frames
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.streaming import torch_layers, vector_kernels, vector_layers
from codec.streaming.threads import thread_pool
from render.common.memory import return_freed_memory

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
    step : int
        Number of input samples that are computed together; parts are multiples of it.
    channels_out : int
    """

    compute: Callable[[Rows, Rows], None]
    before: int
    after: int
    up: int
    down: int
    step: int
    channels_out: int


def fastest_layers(device: torch.device, bf16: bool = False) -> ModuleType:
    """Return the module that computes the layers: `vector_layers` where it can, or else `torch_layers`."""
    vectors = device == CPU and not bf16 and vector_kernels.INSTRUCTION_SET is not None
    return vector_layers if vectors else torch_layers


def _convolution(layer: Conv1d, activation: Snake1d | None, layers: ModuleType) -> StreamLayer:
    """Snake and a convolution. Since snake(0) = 0, zeros may be padded before the activation."""
    kernel, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    before = int(layer.padding[0])
    after = (kernel - 1) * dilation + 1 - stride - before
    compute = layers.convolution(layer, activation)
    step = stride * layers.TWO_TAP_STEP if kernel == 2 * stride else stride
    return StreamLayer(compute, before, after, 1, stride, step, layer.out_channels)


def _transposed(layer: ConvTranspose1d, activation: Snake1d | None, layers: ModuleType) -> StreamLayer:
    compute = layers.transposed(layer, activation)
    return StreamLayer(compute, 1, 1, layer.stride[0], 1, layers.TWO_TAP_STEP, layer.out_channels)


def _residual(unit: ResidualUnit, layers: ModuleType) -> StreamLayer:
    wide = unit.block[1]
    assert isinstance(wide, Conv1d)
    margin, step = int(wide.padding[0]), layers.residual_step(wide.dilation[0])
    return StreamLayer(layers.residual(unit), margin, margin, 1, 1, step, wide.out_channels)


def _pointwise(function: nn.Module, channels: int) -> StreamLayer:
    def compute(x: Rows, out: Rows) -> None:
        out.copy_(function(x))

    return StreamLayer(compute, 0, 0, 1, 1, 1, channels)


def stream_layers(
    network: nn.Sequential, computed_by: ModuleType, stored: Callable[[nn.Module], nn.Module] | None = None
) -> list[StreamLayer]:
    """Return the layers of a folded encoder or decoder (`Encoder.block`, `Decoder.model`).

    They are computed by `vector_layers` or `torch_layers`; see `fastest_layers`. Where the weights are stored in a
    file (`RVQGAN.stored`), they are read for one layer after the other.
    """
    layers: list[StreamLayer] = []
    activation = None
    for item in network:
        for described in item.block if isinstance(item, Block) else [item]:
            layer = stored(described) if stored else described
            if isinstance(layer, Snake1d):
                activation = layer
                continue
            if isinstance(layer, ResidualUnit):
                layers.append(_residual(layer, computed_by))
            elif isinstance(layer, ConvTranspose1d):
                layers.append(_transposed(layer, activation, computed_by))
            elif isinstance(layer, Conv1d):
                layers.append(_convolution(layer, activation, computed_by))
            else:
                layers.append(_pointwise(layer, layers[-1].channels_out))
            activation = None
        if stored:
            return_freed_memory()
    return layers


def exact_context_frames(config: ModelConfig) -> int:
    """Return the frames before one on which the bits of the decoder's output depend, rounded up.

    These are the frames on which it depends at all, and those whose samples are computed together with its own.
    """
    rate, together = 1, 0.0
    for stride in reversed(config.strides):
        together += vector_layers.TWO_TAP_STEP / rate
        rate *= stride
        together += sum(map(vector_layers.residual_step, config.dilations)) / rate
    return contextual_frames(config)[1] + math.ceil(together)


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
    segments : int
        Number of equal parts of a tile that pass all layers one after the other, so that the samples between two
        layers take less memory.
    """

    def __init__(
        self, layers: list[StreamLayer], channels: int, tile: int, threads: int, running: bool = False,
        device: torch.device = CPU, bf16: bool = False, segments: int = 1,
    ):  # fmt: skip
        self._segments = segments
        self._layers, self._tile, self._threads = layers, tile, threads
        self._device, self._bf16 = device, bf16
        widths = [channels, *(layer.channels_out for layer in layers)]
        kept = [layer.before for layer in layers]
        if running:  # every tile leaves as many samples as the first one, since all strides divide a tile
            kept, _ = _after_first_tile(layers, tile)
        # The end of the input of every layer, initially the zeros before the signal.
        sizes = zip(kept, widths, strict=False)
        self._tails = [torch.zeros(rows, width, device=device) for rows, width in sizes]
        # Memory for the input and the output of a layer; the layers alternate between the two. It is enough for
        # nearly all, since blocks that grow leave holes in the heap.
        rows, elements = tile // segments, 0
        for layer, width in zip(layers, widths, strict=False):
            elements = max(elements, (rows + layer.before + layer.after + 2 * layer.step) * width)
            rows = (rows + layer.step) * layer.up // layer.down
        self._scratch = [torch.empty(elements, device=device) for _ in range(2)]
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
        """Return the output of a tile, whose segments pass all layers one after the other."""
        size = self._tile // self._segments
        starts = range(0, max(1, len(rows)), size)
        ends = [start == starts[-1] for start in starts]
        outputs = [
            self._pass(rows[start : start + size], end, last and end)
            for start, end in zip(starts, ends, strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _pass(self, rows: Rows, end: bool, last: bool) -> Rows:
        """Pass samples through all layers, each of which computes whole steps, at the end of a tile all.

        At the end of a tile the last step may be shorter, as far as the stride allows. If a layer waited for whole
        steps there, too, what it leaves would depend on the tiles before; so every tile leaves as many samples as
        the first one, which `lag` and streams that begin in the middle count on.
        """
        x, held = self._input(0, len(rows), last)
        x[len(self._tails[0]) : len(self._tails[0]) + len(rows)] = rows
        for index, layer in enumerate(self._layers):
            usable = max(0, held - layer.before - layer.after)
            usable -= usable % (layer.down if end else layer.step)
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
            self._scratch[index % 2] = torch.empty(0)  # given back before more is taken
            self._scratch[index % 2] = torch.empty(elements, device=self._device)
        x = self._scratch[index % 2][:elements].view(held, tail.shape[1])
        x[: len(tail)] = tail
        x[len(tail) + incoming :] = 0
        return x, held

    def _compute(self, layer: StreamLayer, x: Rows, usable: int, out: Rows) -> None:
        size = max(MIN_PART_ROWS, PART_ELEMENTS // x.shape[1]) // layer.step * layer.step

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
