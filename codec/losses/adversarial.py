"""Adversarial training: the losses of the published codec, and the passes of a step that they need.

A step judges twice: `discriminator_pass` for the discriminator's update, then `generator_pass` with the updated
one. Both give what the published loop's two forward passes give, with less work: the first makes one over real
and generated signals together, the second none of the gradients that nobody uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.nn.utils import parametrize

Maps = list[list[Tensor]]  # feature maps of every discriminator, its logits last


def discriminator_loss(real: Maps, fake: Maps) -> Float[Tensor, ""]:
    """Least squares (Mao et al. 2017): mean of (1 - D(real))² and of D(fake)², summed over the discriminators."""
    terms = [
        (1 - r[-1].float()).square().mean() + f[-1].float().square().mean()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).sum()


def generator_loss(fake: Maps) -> Float[Tensor, ""]:
    """Least squares: mean of (1 - D(fake))², summed over the discriminators."""
    return torch.stack([(1 - maps[-1].float()).square().mean() for maps in fake]).sum()


def feature_loss(real: Maps, fake: Maps) -> Float[Tensor, ""]:
    """Mean |D_k(real) - D_k(fake)| of every feature map k but the logits, summed over all of them.

    The real maps get no gradient.
    """
    pairs = (
        (r.detach(), f)
        for one, other in zip(real, fake, strict=True)
        for r, f in zip(one[:-1], other[:-1], strict=True)
    )
    return torch.stack([l1_loss(f.float(), r.float()) for r, f in pairs]).sum()


def discriminator_pass(
    discriminator: nn.Module, real: Float[Tensor, "batch channel time"], fake: Float[Tensor, "batch channel time"]
) -> Float[Tensor, ""]:
    """`discriminator_loss` of signals, in one pass over both; the generated ones get no gradient."""
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
    """`generator_loss` and `feature_loss` of signals, those that are named; gradients for the generator only.

    The discriminator gets none, its weights are put together once for both passes, and the real signals are judged
    only for the features. With DistributedDataParallel give the module inside: nothing here is to be reduced.
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
    """Leave the module's parameters out of the graphs that are made inside."""
    learning = [p for p in module.parameters() if p.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_()
