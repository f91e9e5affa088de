"""All that changes during a training run: what a checkpoint holds, and a run goes on with bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codec.checkpoints.channel_transfer import start_from
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import Discriminator
from codec.training.checkpoint import Groups
from codec.training.config import TrainConfig
from codec.training.excerpts import Excerpts
from codec.training.initialisation import CodebookUsage, kmeans, pca
from render.common.progress import progress

Optimizer = torch.optim.AdamW


class State:
    """Networks, optimisers, usage of the codes and running norms.

    Attributes
    ----------
    step : int
        Steps done.
    model, ema, discriminator : Module
        The generator that learns, its running mean (None without `TrainConfig.ema`), and its judge (or None).
    optimizer, discriminator_optimizer : AdamW
    usage : CodebookUsage
    norms : dict
        Running norms of the gradients of the losses (`codec.training.objective`).
    """

    def __init__(self, model_config: ModelConfig, config: TrainConfig):
        torch.manual_seed(config.seed)
        self.config, self.step = config, 0
        self.norms: dict[str, Tensor] = {}
        self.model, self.ema = RVQGAN(model_config), RVQGAN(model_config) if config.ema else None
        judge = config.discriminator_config(model_config)
        self.discriminator = Discriminator(judge) if judge else None

    def initialise(self, start: Tensor) -> None:
        """Overwrite the random weights as `TrainConfig.initialisation` says; PCA is made of the items `start`."""
        how = self.config.initialisation
        if how == "pca":
            pca(self.model, start, torch.Generator().manual_seed(self.config.seed))
        elif how.startswith("transfer:"):
            path = Path(how.removeprefix("transfer:"))
            start_from(self.model, read_model(path), str(path))
        if self.ema is not None:
            self.ema.load_state_dict(self.model.state_dict())

    def to(self, device: torch.device) -> None:
        """Move the networks to their device and make what refers to their parameters."""
        for network in self.networks():
            network.to(device)
        self.usage = CodebookUsage(self.model)
        self.optimizer = self._adamw(self.model)
        self.discriminator_optimizer = self._adamw(self.discriminator) if self.discriminator else None

    def _adamw(self, network: nn.Module) -> Optimizer:
        config = self.config
        return Optimizer(
            network.parameters(), config.learning_rate, config.betas, weight_decay=config.weight_decay, fused=True
        )

    @torch.no_grad()
    def fit_codebooks(self, material: Excerpts, device: torch.device) -> float:
        """Fit the codebooks by k-means to `fit_batches` batches; return the share of the variance that is left."""
        config, model = self.config, self.model
        numbers = progress(range(config.fit_batches), "encode batch for the codebooks", config.fit_batches)
        batches = (material.batch(i, config.batch, purpose=3).to(device) for i in numbers)
        latents = torch.cat([model.encoder(b).transpose(1, 2).flatten(0, 1).cpu() for b in batches])
        model.quantizer.cpu()
        left = kmeans(model, latents, torch.Generator().manual_seed(config.seed))
        model.quantizer.to(device)
        if self.ema is not None:
            self.ema.quantizer.load_state_dict(model.quantizer.state_dict())
        return left

    def networks(self) -> Iterator[nn.Module]:
        """Those that there are."""
        return (network for network in (self.model, self.ema, self.discriminator) if network is not None)

    def tensors(self) -> Iterator[Tensor]:
        """All weights, and the usage of the codes."""
        for network in self.networks():
            yield from network.state_dict().values()
        yield self.usage.usage

    @property
    def validated(self) -> RVQGAN:
        """The generator that is validated and published."""
        return self.model if self.ema is None else self.ema

    @torch.no_grad()
    def average(self) -> None:
        """Let the running mean of the weights follow; its memory is shorter at first."""
        if self.ema is not None:
            decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
            for mean, weight in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)

    def checkpoint(self, sums: dict[str, Tensor]) -> Groups:
        """Groups of tensors for `codec.training.checkpoint.save`; `sums` are those of `run_folder.Metrics`."""
        groups: Groups = {"model": self.model.state_dict()}
        trainer = {"usage": self.usage.usage}
        trainer |= {f"norm.{name}": norm for name, norm in self.norms.items()}
        trainer |= {f"sum.{name}": pair for name, pair in sums.items()}
        trainer |= _optimizer_tensors("adamw", self.optimizer)
        if self.ema is not None:
            groups["ema"] = self.ema.state_dict()
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            groups["disc"] = self.discriminator.state_dict()
            trainer |= _optimizer_tensors("disc_adamw", self.discriminator_optimizer)
        return groups | {"trainer": trainer}

    def restore(self, groups: Groups, step: int) -> dict[str, Tensor]:
        """Take over a checkpoint; return the sums for `run_folder.Metrics`."""
        self.step, trainer = step, groups["trainer"]
        device = self.usage.usage.device
        self.model.load_state_dict(groups["model"])
        self.usage.usage.copy_(trainer["usage"])
        self.norms = {name: norm.to(device) for name, norm in _part(trainer, "norm").items()}
        _restore_optimizer(self.optimizer, _part(trainer, "adamw"))
        if self.ema is not None:
            self.ema.load_state_dict(groups["ema"])
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(groups["disc"])
            _restore_optimizer(self.discriminator_optimizer, _part(trainer, "disc_adamw"))
        return _part(trainer, "sum")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")
    }


def _optimizer_tensors(prefix: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """AdamW's state as named tensors: ``<prefix>.<parameter>.<exp_avg | exp_avg_sq | step>``."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{index}.{name}": value for index, slots in state.items() for name, value in slots.items()}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
