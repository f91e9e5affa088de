"""How often each code is used, and the revival of codes that are hardly used any more."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from codec.rvqgan.codec import RVQGAN


class CodebookUsage:
    """Moving average of how often each code is used.

    Parameters
    ----------
    model : RVQGAN
    decay : float
        Decay of the average per step.
    threshold : float
        A code counts as dead if it is used less than this many times as often as with uniform usage.

    Attributes
    ----------
    usage : float32 tensor (codebook, code)
        Relative frequency of each code; the rows sum to 1.
    """

    def __init__(self, model: RVQGAN, decay: float = 0.99, threshold: float = 0.03):
        self.quantizers = model.quantizer.codebooks
        self.decay, self.threshold = decay, threshold
        size, device = model.config.codebook_size, self.quantizers[0].codebook.weight.device
        self.usage = torch.full((len(self.quantizers), size), 1.0 / size, device=device)

    def update(self, codes: Int[Tensor, "batch codebook frame"]) -> None:
        """Take the codes of one step into the average."""
        flat = codes.transpose(0, 1).flatten(1)
        # Counts are integers: their sums do not depend on the order of summation, on any device
        counts = torch.zeros_like(self.usage).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
        self.usage.mul_(self.decay).add_(counts / flat.shape[1], alpha=1 - self.decay)

    @torch.no_grad()
    def revive(self, latents: Float[Tensor, "batch latent frame"], generator: torch.Generator) -> int:
        """Replace dead codes by random projections of `latents` with a little noise; return their number."""
        revived, residual = 0, latents
        for index, quantizer in enumerate(self.quantizers):
            projected = quantizer.in_proj(residual)
            candidates = projected.transpose(1, 2).reshape(-1, projected.shape[1])
            dead = self.usage[index] * self.usage.shape[1] < self.threshold
            count = int(dead.sum())
            if count:
                drawn = candidates[torch.randint(len(candidates), (count,), generator=generator)]
                noise = (
                    0.01 * candidates.std() * torch.randn(drawn.shape, generator=generator).to(candidates.device)
                )
                quantizer.codebook.weight[dead] = drawn + noise
                self.usage[index][dead] = 1.0 / self.usage.shape[1]
                revived += count
            residual = residual - quantizer.out_proj(quantizer.look_up(quantizer.search(projected)))
        return revived

    def perplexity(self) -> Float[Tensor, " codebook"]:
        """Return the perplexity exp(H) of the average usage of each codebook, 1 to the number of codes."""
        share = self.usage / self.usage.sum(1, keepdim=True)
        return torch.exp(-(share * share.clamp_min(1e-12).log()).sum(1))
