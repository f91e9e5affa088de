"""Adversarial training: the losses of the published codec, and the passes of the discriminator in each step.

A step runs the discriminator twice: `discriminator_pass` for its own update, then `generator_pass` after it. The
results are those of the published training loop, with less work: the first runs real and generated signals in one
batch, the second computes no gradients that are not used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.nn.utils import parametrize

Maps = list[list[Tensor]]  # for every discriminator its feature maps, the logits last


def discriminator_loss(real: Maps, fake: Maps) -> Float[Tensor, ""]:
    """Least-squares loss (Mao et al. 2017): mean (1 - D(real))² plus mean D(fake)², summed over discriminators."""
    terms = [
        (1 - r[-1].float()).square().mean() + f[-1].float().square().mean()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).sum()


def generator_loss(fake: Maps) -> Float[Tensor, ""]:
    """Least-squares loss: mean (1 - D(fake))², summed over the discriminators."""
    return torch.stack([(1 - maps[-1].float()).square().mean() for maps in fake]).sum()


def feature_loss(real: Maps, fake: Maps) -> Float[Tensor, ""]:
    """Feature matching loss: mean |D_k(real) - D_k(fake)| of every feature map k except the logits, summed.

    The maps of the real signals get no gradient.
    """
    distances = [
        l1_loss(f.float(), r.detach().float())
        for real_maps, fake_maps in zip(real, fake, strict=True)
        for r, f in zip(real_maps[:-1], fake_maps[:-1], strict=True)
    ]
    return torch.stack(distances).sum()


def discriminator_pass(
    discriminator: nn.Module, real: Float[Tensor, "batch channel time"], fake: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """Return the `discriminator_loss` of real and generated signals; the generated ones get no gradient."""
    maps = discriminator(torch.cat([real, fake.detach()]))
    return discriminator_loss(
        [[m[: len(real)] for m in part] for part in maps], [[m[len(real) :] for m in part] for part in maps]
    )


def generator_pass(
    discriminator: nn.Module,
    real: Float[Tensor, "batch channel time"],
    fake: Float[Tensor, "batch channel time"],
    names: Collection[str] = ("adversarial", "feature"),
) -> dict[str, Float[Tensor, ""]]:
    """Return the `generator_loss` ("adversarial") and the `feature_loss` ("feature"), whichever are named.

    The parameters of the discriminator get no gradient, their weight norm is computed once for both passes, and
    the real signals pass the discriminator only if the feature loss is needed. Of a DistributedDataParallel the
    module inside must be given, since no gradients are reduced here.
    """
    losses = {}
    with frozen(discriminator), parametrize.cached():
        maps = discriminator(fake) if {"adversarial", "feature"} & set(names) else []
        if "adversarial" in names:
            losses["adversarial"] = generator_loss(maps)
        if "feature" in names:
            with torch.no_grad():
                real_maps = discriminator(real)
            losses["feature"] = feature_loss(real_maps, maps)
    return losses


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Exclude the parameters of a module from the autograd graphs that are made in this context."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_()
