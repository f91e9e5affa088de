"""The processes that train together, one or many, on one node or many (torchrun sets their environment)."""

from __future__ import annotations

import os
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

PATIENCE = timedelta(hours=2)  # the others wait while the first process fits codebooks or validates


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients of all processes.

        Once per network and step, as one flat tensor. DistributedDataParallel would do it during the backward
        pass, but here a network has several of them (parts of the batch, gradients weighed at the output), and
        the discriminators' parameters are frozen in one of the two passes.
        """
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = self.sum(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def gather(self, items: Tensor) -> Tensor:
        """Items (batch, ...) of all processes, in the order of the processes."""
        if self.count == 1:
            return items
        parts = [torch.empty_like(items) for _ in range(self.count)]
        dist.all_gather(parts, items.contiguous())
        return torch.cat(parts)

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the tensors of the first."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


@contextmanager
def processes(device: str | None = None) -> Iterator[Processes]:
    """Join the processes that torchrun started, or be the only one.

    Parameters
    ----------
    device : str, optional
        "cpu" or "cuda"; by default a GPU if there is one, each process of a node another.
    """
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"device {device!r}; possible are cpu and cuda")
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds none here; leave it out, or install PyTorch's CUDA build")
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(place)
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Processes(0, 1, place)
        return
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of obeying; the second one of a kind is obeyed at once."""
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
