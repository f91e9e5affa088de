"""Residual vector quantisation with factorised codebooks (Kumar et al. 2023)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, mse_loss, normalize

from codec.rvqgan.layers import conv
from render.common.errors import InputError


class Quantized(NamedTuple):
    """What `ResidualVectorQuantizer.forward` returns."""

    latents: Float[Tensor, "batch latent frame"]
    codes: Int[Tensor, "batch codebook frame"]
    commitment_loss: Float[Tensor, ""]
    codebook_loss: Float[Tensor, ""]


class VectorQuantizer(nn.Module):
    """One codebook: project to few dimensions, take the row of the largest cosine, project back.

    With `euclidean` it is the nearest row.
    """

    def __init__(self, latent_dim: int, codebook_size: int, codebook_dim: int, euclidean: bool = False):
        super().__init__()
        self.euclidean = euclidean
        self.in_proj = conv(latent_dim, codebook_dim, 1)
        self.out_proj = conv(codebook_dim, latent_dim, 1)
        self.codebook = nn.Embedding(codebook_size, codebook_dim)

    def search(self, projected: Float[Tensor, "batch dim frame"]) -> Int[Tensor, "batch frame"]:
        """Index of the codebook row with the largest cosine to each frame, or the nearest one."""
        if self.euclidean:
            weight = self.codebook.weight
            return (projected.transpose(1, 2) @ weight.t() - 0.5 * weight.square().sum(1)).argmax(2)
        rows = normalize(projected.transpose(1, 2), dim=2)
        return (rows @ normalize(self.codebook.weight, dim=1).t()).argmax(2)

    def look_up(self, codes: Int[Tensor, "batch frame"]) -> Float[Tensor, "batch dim frame"]:
        """Codebook rows (not normalised) of the codes."""
        return embedding(codes, self.codebook.weight).transpose(1, 2)

    def forward(self, residual: Float[Tensor, "batch latent frame"]):
        """Quantise; gradients pass straight through. Losses are means per item, (batch,)."""
        projected = self.in_proj(residual)
        codes = self.search(projected.detach())
        rows = self.look_up(codes)
        commitment = mse_loss(projected, rows.detach(), reduction="none").mean((1, 2))
        codebook = mse_loss(rows, projected.detach(), reduction="none").mean((1, 2))
        straight_through = projected + (rows - projected).detach()
        return self.out_proj(straight_through), codes, commitment, codebook, projected


class ResidualVectorQuantizer(nn.Module):
    """A cascade of codebooks, each coding what the ones before it left over."""

    def __init__(
        self, latent_dim: int, codebooks: int, codebook_size: int, codebook_dim: int, dropout: float,
        euclidean: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.dropout = dropout
        self.quantizers = nn.ModuleList(
            VectorQuantizer(latent_dim, codebook_size, codebook_dim, euclidean) for _ in range(codebooks)
        )

    @property
    def books(self) -> list[VectorQuantizer]:
        """The codebooks, in order."""
        return [quantizer for quantizer in self.quantizers if isinstance(quantizer, VectorQuantizer)]

    def draw(
        self, batch: int, generator: torch.Generator | None = None, most: int | None = None
    ) -> Int[Tensor, " batch"]:
        """Quantiser dropout: how many codebooks count for each item, 1..N for a share `dropout`, else N.

        N is `most`, by default all.
        """
        count = most or len(self.quantizers)
        used = torch.full((batch,), count)
        dropped = int(batch * self.dropout)
        used[:dropped] = torch.randint(1, count + 1, (dropped,), generator=generator)
        return used

    def forward(
        self,
        latents: Float[Tensor, "batch latent frame"],
        generator: torch.Generator | None = None,
        used: Int[Tensor, " batch"] | None = None,
    ) -> Quantized:
        """Quantise for training: only the first `used` codebooks of each item count, by default those of `draw`.

        Every codebook is evaluated for every item, as published; the losses are masked means, summed over the
        codebooks.
        """
        used = (self.draw(len(latents), generator) if used is None else used).to(latents.device)

        residual, total = latents, torch.zeros_like(latents)
        commitment = codebook = latents.new_zeros(())
        all_codes = []
        for index, quantizer in enumerate(self.books):
            quantized, codes, commitment_loss, codebook_loss, _ = quantizer(residual)
            mask = (index < used).to(latents.dtype)
            total = total + quantized * mask[:, None, None]
            residual = residual - quantized
            commitment = commitment + (commitment_loss * mask).mean()
            codebook = codebook + (codebook_loss * mask).mean()
            all_codes.append(codes)
        return Quantized(total, torch.stack(all_codes, 1), commitment, codebook)

    def encode(
        self, latents: Float[Tensor, "batch latent frame"], codebooks: int | None = None
    ) -> Int[Tensor, "batch codebook frame"]:
        """Codes of the first `codebooks` codebooks, 1 to all; all by default."""
        if codebooks is not None and not 1 <= codebooks <= len(self.quantizers):
            raise InputError(f"{codebooks} codebooks; the model has 1 to {len(self.quantizers)}")
        residual, all_codes = latents, []
        for quantizer in self.books[:codebooks]:
            codes = quantizer.search(quantizer.in_proj(residual))
            residual = residual - quantizer.out_proj(quantizer.look_up(codes))
            all_codes.append(codes)
        return torch.stack(all_codes, 1)

    def decode(self, codes: Int[Tensor, "batch codebook frame"]) -> Float[Tensor, "batch latent frame"]:
        """Sum of the contributions of as many codebooks as `codes` has: 1 to all."""
        if not 1 <= codes.shape[1] <= len(self.quantizers):
            raise InputError(f"codes of {codes.shape[1]} codebooks; the model has 1 to {len(self.quantizers)}")
        size = self.books[0].codebook.num_embeddings
        if codes.numel() and not (codes.min() >= 0 and codes.max() < size):
            raise InputError(
                f"codes from {int(codes.min())} to {int(codes.max())}; the codebooks have 0 to {size - 1}"
            )
        parts = zip(self.books, codes.unbind(1), strict=False)
        return torch.stack([q.out_proj(q.look_up(c)) for q, c in parts]).sum(0)
