"""The network as a stream: each layer keeps the few samples that its next output needs.

The network is a chain of layers. A layer turns n samples into n, n / stride or n · stride, and needs `before`
samples of context before them and `after` samples after them. Beyond the ends of the signal the context is zero,
which is exactly the padding of the published layers. A `Stream` keeps the end of every layer's input, so that
nothing is computed twice and memory does not depend on the length of the signal.

The bits are the same however the signal arrives and on any number of threads. The input is first cut into tiles
that are counted from its first sample; within a tile, the work is divided into pieces and parts whose sizes depend
on the layers alone (and of which the bits do not depend, where `vector_layers` computes). Each part is computed by
one thread, and the threads share the parts.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from mmap import MAP_PRIVATE, mmap
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.rvqgan.codec import contextual_frames
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit, Snake1d
from codec.streaming import torch_layers, vector_kernels, vector_layers
from codec.streaming.threads import on_one_thread, thread_pool
from render.common.memory import return_freed_memory

CPU = torch.device("cpu")
TILE_FRAMES = 256  # 3 s at 44.1 kHz; the widest weights are read once per tile, so shorter tiles are slower
PIECE_ELEMENTS = 75 * 2**14  # samples times channels that pass a section together, and stay in the cache
PART_ELEMENTS = 2**18  # the same for a part
MIN_PART_ROWS = 1024  # with fewer samples in a part, reading the weights takes longer than the arithmetic

Rows = Float[Tensor, "_time _channel"]


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
        Number of input samples that are computed together: on where they begin, the bits depend.
    block, overlap : int
        Multiple of `step` that takes no longer than is necessary, and the samples before a part that are computed
        again with it: parts and their overlap are multiples of a block.
    channels_out : int
    """

    compute: Callable[[Rows, Rows], None]
    before: int
    after: int
    up: int
    down: int
    step: int
    block: int
    overlap: int
    channels_out: int

    def filling(self, count: int) -> int:
        """Return the most samples, at most `count`, that with their overlap fill blocks."""
        return max(0, (count + self.overlap) // self.block * self.block - self.overlap)


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
    return StreamLayer(compute, before, after, 1, stride, step, step * layers.BLOCK_STEPS, 0, layer.out_channels)


def _transposed(layer: ConvTranspose1d, activation: Snake1d | None, layers: ModuleType) -> StreamLayer:
    compute = layers.transposed(layer, activation)
    step = layers.TWO_TAP_STEP
    # Of the output between two parts one half belongs to each of them; both compute it with the samples before it.
    block = step * layers.BLOCK_STEPS
    return StreamLayer(compute, step, 1, layer.stride[0], 1, step, block, step, layer.out_channels)


def _residual(unit: ResidualUnit, layers: ModuleType) -> StreamLayer:
    wide = unit.block[1]
    assert isinstance(wide, Conv1d)
    margin, step = int(wide.padding[0]), layers.residual_step(wide.dilation[0])
    block = step * layers.BLOCK_STEPS
    return StreamLayer(layers.residual(unit), margin, margin, 1, 1, step, block, 0, wide.out_channels)


def _pointwise(function: nn.Module, channels: int) -> StreamLayer:
    def compute(x: Rows, out: Rows) -> None:
        out.copy_(function(x))

    return StreamLayer(compute, 0, 0, 1, 1, 1, 1, 0, channels)


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


def _rows(count: int, width: int, device: torch.device) -> Rows:
    """Return memory for samples; on a CPU a map of its own, which leaves no hole in the heap when it is freed."""
    if device != CPU:
        return torch.empty(count, width, device=device)
    return torch.frombuffer(mmap(-1, 4 * count * width, MAP_PRIVATE), dtype=torch.float32).view(count, width)


class _Waiting:
    """Samples in front of a section: those that its first layer needs again, and those that came after them."""

    def __init__(self, rows: Rows):
        self._memory, self._start, self._stop = rows, 0, len(rows)

    @property
    def rows(self) -> Rows:
        """The samples."""
        return self._memory[self._start : self._stop]

    def room(self, count: int) -> Rows:
        """Return memory behind the samples, into which `count` more are written."""
        held = self._stop - self._start
        if self._stop + count > len(self._memory):
            memory = self._memory
            if held + count > len(memory):
                memory = _rows(held + count, memory.shape[1], memory.device)
            memory[:held] = self.rows.clone()
            self._memory, self._start, self._stop = memory, 0, held
        self._stop += count
        return self._memory[self._stop - count : self._stop]

    def drop(self, count: int) -> None:
        """Forget the first samples."""
        self._start += count


class Stream:
    """A chain of layers with the state between them.

    A section is a layer that changes the sampling rate and those behind it. The samples of a tile pass a section
    in pieces, and a piece passes all sections that follow before the next one comes, so that what lies between
    the layers stays in the cache however many samples a tile has there.

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
        Where the weights are. Threads, pieces and parts concern the CPU; a GPU processes each tile as a whole.
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
        starts = [index for index, layer in enumerate(layers) if not index or layer.up != layer.down]
        self._sections = [range(*ends) for ends in zip(starts, [*starts[1:], len(layers)], strict=True)]
        self._waiting = [_Waiting(self._tails[start]) for start in starts]
        self._pieces = [self._piece(section, widths) for section in self._sections]
        # Memory for the input and the output of a layer; the layers of a section alternate between the two.
        self._scratch = [torch.empty(0, device=device) for _ in range(2)]
        self._pending: list[Rows] = []

    def _piece(self, section: range, widths: list[int]) -> int:
        """Return how many samples pass a section together."""
        if self._device != CPU:
            return sys.maxsize
        first = self._layers[section[0]]
        width = max(widths[section[0]], widths[section[0] + 1] * first.up // first.down)
        return first.filling(PIECE_ELEMENTS // width) or max(1, first.block - first.overlap)

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

    def push(self, rows: Rows) -> list[Rows]:
        """Take any number of samples and return the output that is complete, in pieces."""
        outputs: list[Rows] = []
        self._pending.append(rows.to(self._device))
        if sum(len(part) for part in self._pending) >= self._tile:
            joined = torch.cat(self._pending)
            whole = len(joined) // self._tile * self._tile
            self._pending = [joined[whole:]]
            for start in range(0, whole, self._tile):
                outputs += self._run(joined[start : start + self._tile], last=False)
        return outputs

    def finish(self) -> list[Rows]:
        """Return the pieces of the rest of the output."""
        rest = torch.cat(self._pending) if self._pending else self._tails[0][:0]
        return self._run(rest, last=True)

    def _run(self, rows: Rows, last: bool) -> list[Rows]:
        """Return the output of a tile in pieces."""
        if self._threads == 1:  # one hand-over for all layers
            return on_one_thread(self._tile_output, rows, last)
        return self._tile_output(rows, last)

    @torch.inference_mode()
    def _tile_output(self, rows: Rows, last: bool) -> list[Rows]:
        self._waiting[0].room(len(rows))[:] = rows
        return self._advance(0, True, last)

    def _advance(self, number: int, end: bool, last: bool) -> list[Rows]:
        """Pass what waits in front of a section through this one and all that follow, in pieces of equal size.

        Unless the tile is at its end, up to half a piece goes on waiting.
        """
        if number == len(self._sections):
            return []
        layer, piece = self._layers[self._sections[number][0]], self._pieces[number]
        waiting = self._waiting[number]
        if last:
            waiting.room(layer.after).zero_()
        usable = max(0, len(waiting.rows) - layer.before - layer.after)
        usable -= usable % layer.down
        outputs = []
        for left in range(max(round(usable / piece), end), 0, -1):
            at_end = end and left == 1
            size = usable if at_end else layer.filling(usable // left)
            usable -= size
            if size or at_end:
                outputs += self._pass(number, size, at_end, last and at_end)
        return outputs

    def _pass(self, number: int, usable: int, end: bool, last: bool) -> list[Rows]:
        """Pass samples through the layers of a section and all that follow.

        A layer computes whole steps, and at the end of a tile all: there the last step may be shorter, as far as
        the stride allows. If a layer waited for whole steps there, too, what it leaves would depend on the tiles
        before; so every tile leaves as many samples as the first one, which `lag` and streams that begin in the
        middle count on.
        """
        section, waiting = self._sections[number], self._waiting[number]
        x, outputs = waiting.rows, []
        held = len(x)
        for index in section:
            layer = self._layers[index]
            if index != section[0]:
                usable = max(0, held - layer.before - layer.after)
                usable -= usable % (layer.down if end else layer.step)
            produced = usable * layer.up // layer.down
            following, held_there = x, 0
            if index != section[-1]:
                following, held_there = self._input(index + 1, produced, last)
                out = following[len(self._tails[index + 1]) :][:produced]
            elif number + 1 < len(self._sections):
                out = self._waiting[number + 1].room(produced)
            else:
                out = torch.empty(produced, layer.channels_out, device=self._device)
                outputs.append(out)
            self._compute(layer, x, usable, out)
            if index == section[0]:
                waiting.drop(usable)
            else:
                self._tails[index] = x[usable:held].clone()
            x, held = following, held_there
        return outputs + self._advance(number + 1, end, last)

    def _input(self, index: int, incoming: int, last: bool) -> tuple[Rows, int]:
        """Return the input of a layer, and its length: tail, room for `incoming` samples, zeros after the end."""
        tail, layer = self._tails[index], self._layers[index]
        held = len(tail) + incoming + layer.after * last
        elements = held * tail.shape[1]
        if self._scratch[index % 2].numel() < elements:
            self._scratch[index % 2] = torch.empty(0)  # given back before more is taken
            self._scratch[index % 2] = _rows(elements, 1, self._device).view(-1)
        x = self._scratch[index % 2][:elements].view(held, tail.shape[1])
        x[: len(tail)] = tail
        x[len(tail) + incoming :] = 0
        return x, held

    def _compute(self, layer: StreamLayer, x: Rows, usable: int, out: Rows) -> None:
        if not usable:
            return
        if self._device != CPU:
            with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
                self._part(layer, x, out, 0, usable)
            return
        parts = max(1, min(usable * x.shape[1] // PART_ELEMENTS, usable // MIN_PART_ROWS))
        size = math.ceil((usable / parts + layer.overlap) / layer.block) * layer.block - layer.overlap
        starts = range(0, usable, size)
        stops = [min(start + size, usable) for start in starts]
        if self._threads == 1:
            for start, stop in zip(starts, stops, strict=True):
                self._part(layer, x, out, start, stop)
            return
        list(thread_pool(self._threads).map(partial(self._part, layer, x, out), starts, stops))

    @torch.inference_mode()  # like autocast, a setting of each thread
    def _part(self, layer: StreamLayer, x: Rows, out: Rows, start: int, stop: int) -> None:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            layer.compute(
                x[start : stop + layer.before + layer.after],
                out[start * layer.up // layer.down : stop * layer.up // layer.down],
            )
