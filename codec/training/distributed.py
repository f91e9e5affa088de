"""The processes that train together, one or many, on one node or many; torchrun sets their environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from render.common.errors import InputError

TIMEOUT = timedelta(hours=2)  # the other processes wait while the first fits codebooks or writes files


@dataclass(frozen=True)
class Processes:
    """The group of processes, and this one's place in it.

    Attributes
    ----------
    rank, count : int
        Number of this process, from 0, and number of all processes.
    device : torch.device
        Device of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0

    def print(self, text: str) -> None:
        """Print a line, once for all processes."""
        if self.is_first:
            print(text, flush=True)

    def wait(self) -> None:
        """Wait until every process has come here."""
        self.any(False)

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes, computed in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, value: bool) -> bool:
        """Whether `value` is true in any process."""
        return bool(self.all_reduce_sum(torch.tensor(float(value), device=self.device)))

    def all_reduce_gradients(self, network: nn.Module) -> None:
        """Sum the gradients of a network over all processes, as one flat tensor.

        DistributedDataParallel would do this during the backward pass. Here a step has several backward passes per
        network (one per micro-batch, starting from a gradient at the output), and the parameters of the
        discriminators are frozen in some of them.
        """
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = self.all_reduce_sum(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def all_gather(self, items: Tensor) -> Tensor:
        """Return the items (batch, ...) of all processes, in the order of their ranks."""
        if self.count == 1:
            return items
        parts = [torch.empty_like(items) for _ in range(self.count)]
        dist.all_gather(parts, items.contiguous())
        return torch.cat(parts)

    @torch.no_grad()
    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite `tensors` in every process with those of the first."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun starts, before they are joined."""
    return int(os.environ.get("RANK", 0)) == 0


def require_compiler() -> None:
    """Raise `InputError` unless PyTorch can compile kernels for CUDA, as the training of Snake needs there."""
    found = any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")))
    if not found or importlib.util.find_spec("triton") is None:
        missing = (
            "Triton, which PyTorch's CUDA builds for Linux bring with them" if found else "a C compiler, as gcc"
        )
        raise InputError(
            f"device cuda: training compiles kernels there, and this machine lacks {missing}; install it, or "
            "train with --device cpu"
        )


@contextmanager
def join_processes(device: str | None = None) -> Iterator[Processes]:
    """Join the process group that torchrun started; without torchrun this process is the only one.

    Parameters
    ----------
    device : str, optional
        "cpu" or "cuda"; by default CUDA where it is available, one device for each process of a node.

    Raises
    ------
    InputError
        If the device is unknown or not available, or if nothing can be compiled for it.
    """
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"device {device!r}; possible are cpu and cuda")
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds none here; leave it out, or install PyTorch's CUDA build")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        require_compiler()
        torch.cuda.set_device(own)
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Processes(0, 1, own)
        return
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()


@contextmanager
def collect_interrupts() -> Iterator[list[int]]:
    """Yield a list to which SIGINT and SIGTERM are appended instead of being handled at once.

    A second signal of the same kind gets the previous handler. Outside the main thread, where Python allows no
    signal handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
