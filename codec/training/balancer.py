"""One gradient at the output of the generator from several losses, balanced or not."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from codec.training.distributed import Processes

DECAY = 0.9  # of the moving averages of the norms


def weighted_gradient(
    losses: dict[str, Float[Tensor, ""]], output: Float[Tensor, "batch channel time"], weights: dict[str, float]
) -> Float[Tensor, "batch channel time"]:
    """Return the gradient at `output` of the weighted sum of the losses."""
    total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
    (gradient,) = torch.autograd.grad(total, output)
    return gradient


class Balancer:
    """Balances losses by the norms of their gradients at the output (Défossez et al. 2022, section 3.4).

    The gradient of each loss is divided by the moving average of its norm before its weight applies. Without this
    the mel gradient, a hundred times larger than the others, dominates.

    Attributes
    ----------
    norms : dict of float32 tensor ()
        Moving average of the norm of each loss's gradient; part of a checkpoint.
    """

    def __init__(self) -> None:
        self.norms: dict[str, Tensor] = {}

    def gradient(
        self,
        losses: dict[str, Float[Tensor, ""]],
        output: Float[Tensor, "batch channel time"],
        weights: dict[str, float],
        group: Processes,
        micro_batches: int = 1,
    ) -> Float[Tensor, "batch channel time"]:
        """Return the balanced gradient at `output`, and update the norms.

        Parameters
        ----------
        losses : dict of scalar tensor
        output : tensor (batch, channel, time)
            Output of the generator for one micro-batch, from which the losses were computed.
        weights : dict of float
            Norm that the gradient of each loss is given.
        group : Processes
        micro_batches : int
            Micro-batches of a step in each process. The norms are those of the whole batch; the other
            micro-batches are assumed to be like this one.
        """
        # The losses share their spectra: the graph is kept until the last of them is done
        last = len(losses) - 1
        gradients = [
            torch.autograd.grad(loss, output, retain_graph=index < last)[0]
            for index, loss in enumerate(losses.values())
        ]
        squares = group.all_reduce_sum(torch.stack([gradient.square().sum() for gradient in gradients]))
        batch_norms = (squares * micro_batches).sqrt() / (group.count * micro_batches)
        balanced = torch.zeros_like(output)
        for name, gradient, norm in zip(losses, gradients, batch_norms, strict=True):
            self.norms[name] = DECAY * self.norms.get(name, norm) + (1 - DECAY) * norm
            balanced += weights[name] / (self.norms[name] + 1e-12) * gradient
        return balanced
