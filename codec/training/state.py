"""All that changes during a training run; with what a checkpoint holds of it a run is resumed bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import Discriminator
from codec.training.balancer import Balancer
from codec.training.checkpoint import Groups
from codec.training.codebook_usage import CodebookUsage
from codec.training.config import TrainConfig

Optimizer = torch.optim.AdamW


class State:
    """Networks, optimisers, usage of the codes and norms of the gradients, on one device.

    Parameters
    ----------
    model_config : ModelConfig
    config : TrainConfig
        Its seed determines the random weights.
    device : torch.device

    Attributes
    ----------
    step : int
        Number of updates made.
    model : RVQGAN
        The generator that is trained.
    ema : RVQGAN or None
        Exponential moving average of the generator's weights; None without `TrainConfig.ema`.
    discriminator : Discriminator or None
    optimizer, discriminator_optimizer : AdamW
    usage : CodebookUsage
    balancer : Balancer
    """

    def __init__(self, model_config: ModelConfig, config: TrainConfig, device: torch.device):
        torch.manual_seed(config.seed)
        self.step = 0
        self.model = RVQGAN(model_config)
        self.ema = RVQGAN(model_config) if config.ema else None
        discriminator_config = config.discriminator_config(model_config)
        self.discriminator = Discriminator(discriminator_config) if discriminator_config else None
        for network in self.networks():
            network.to(device)
        self.usage = CodebookUsage(self.model)
        self.balancer = Balancer()
        self.optimizer = _adamw(self.model, config)
        self.discriminator_optimizer = _adamw(self.discriminator, config) if self.discriminator else None

    def networks(self) -> Iterator[nn.Module]:
        """Yield the networks that exist."""
        return (network for network in (self.model, self.ema, self.discriminator) if network is not None)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all weights, and the usage of the codes: what all processes must share at the beginning."""
        for network in self.networks():
            yield from network.state_dict().values()
        yield self.usage.usage

    @property
    def averaged(self) -> RVQGAN:
        """The generator that is validated and published: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema

    @property
    def learning_rate(self) -> float:
        """Learning rate of the generator and the discriminators."""
        return self.optimizer.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        for optimizer in (self.optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups if optimizer else ():
                group["lr"] = rate

    @torch.no_grad()
    def update_ema(self, decay: float) -> None:
        """Move the averaged weights towards the present ones; `decay` is smaller in the first steps."""
        if self.ema is not None:
            decay = min(decay, (1 + self.step) / (10 + self.step))
            for mean, weight in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)

    def checkpoint(self, sums: dict[str, Tensor]) -> Groups:
        """Return the tensors of a checkpoint, in groups for `codec.training.checkpoint.save`.

        Parameters
        ----------
        sums : dict of tensor
            Sums of the losses since the last row of metrics.csv (`codec.training.metrics.Metrics.state`).
        """
        groups: Groups = {"model": self.model.state_dict()}
        trainer = {"usage": self.usage.usage}
        trainer |= {f"norm.{name}": norm for name, norm in self.balancer.norms.items()}
        trainer |= {f"sum.{name}": total_and_count for name, total_and_count in sums.items()}
        trainer |= _optimizer_tensors("adamw", self.optimizer)
        if self.ema is not None:
            groups["ema"] = self.ema.state_dict()
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            groups["disc"] = self.discriminator.state_dict()
            trainer |= _optimizer_tensors("disc_adamw", self.discriminator_optimizer)
        return groups | {"trainer": trainer}

    def restore(self, groups: Groups, step: int) -> dict[str, Tensor]:
        """Take over the tensors of a checkpoint; return the sums that were given to `checkpoint`."""
        self.step, trainer = step, groups["trainer"]
        device = self.usage.usage.device
        self.model.load_state_dict(groups["model"])
        self.usage.usage.copy_(trainer["usage"])
        self.balancer.norms = {name: norm.to(device) for name, norm in _below("norm", trainer).items()}
        _restore_optimizer(self.optimizer, _below("adamw", trainer))
        if self.ema is not None:
            self.ema.load_state_dict(groups["ema"])
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(groups["disc"])
            _restore_optimizer(self.discriminator_optimizer, _below("disc_adamw", trainer))
        return _below("sum", trainer)


def _adamw(network: nn.Module, config: TrainConfig) -> Optimizer:
    return Optimizer(
        network.parameters(), config.learning_rate, config.betas, weight_decay=config.weight_decay, fused=True
    )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``<prefix>.``, without it."""
    return {
        key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")
    }


def _optimizer_tensors(prefix: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return AdamW's state as named tensors: ``<prefix>.<parameter>.<exp_avg | exp_avg_sq | step>``."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{index}.{name}": value for index, slots in state.items() for name, value in slots.items()}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
