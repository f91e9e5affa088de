"""Residual vector quantisation with factorised codebooks (Kumar et al. 2023)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, mse_loss, normalize

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.layers import conv
from render.common.errors import InputError


class VectorQuantizer(nn.Module):
    """One codebook: project the input to few dimensions, choose a codebook vector, project that back.

    The vector with the largest cosine to the projection is chosen, or the nearest one if `euclidean`.
    """

    def __init__(self, latent_dim: int, codebook_size: int, codebook_dim: int, euclidean: bool = False):
        super().__init__()
        self.euclidean = euclidean
        self.in_proj = conv(latent_dim, codebook_dim, 1)
        self.out_proj = conv(codebook_dim, latent_dim, 1)
        vectors = torch.empty(codebook_size, codebook_dim)
        if not vectors.is_meta:  # normal_ needs seconds there, to import PyTorch's decompositions
            nn.init.normal_(vectors)
        self.codebook = nn.Embedding.from_pretrained(vectors, freeze=False)

    def search(self, projected: Float[Tensor, "batch dim frame"]) -> Int[Tensor, "batch frame"]:
        """Return the index of the codebook vector chosen for each frame."""
        if self.euclidean:
            weight = self.codebook.weight
            return (projected.transpose(1, 2) @ weight.t() - 0.5 * weight.square().sum(1)).argmax(2)
        rows = normalize(projected.transpose(1, 2), dim=2)
        return (rows @ normalize(self.codebook.weight, dim=1).t()).argmax(2)

    def look_up(self, codes: Int[Tensor, "batch frame"]) -> Float[Tensor, "batch dim frame"]:
        """Return the codebook vectors of the codes, with their lengths."""
        return embedding(codes, self.codebook.weight).transpose(1, 2)

    def forward(
        self, residual: Float[Tensor, "batch latent frame"]
    ) -> tuple[Float[Tensor, "batch latent frame"], Int[Tensor, "batch frame"], Tensor, Tensor]:
        """Return the quantised residual, its codes, and for each item (batch,) commitment and codebook loss.

        Gradients pass the quantisation unchanged (straight-through estimator).
        """
        projected = self.in_proj(residual)
        codes = self.search(projected.detach())
        vectors = self.look_up(codes)
        commitment = mse_loss(projected, vectors.detach(), reduction="none").mean((1, 2))
        codebook = mse_loss(vectors, projected.detach(), reduction="none").mean((1, 2))
        straight_through = projected + (vectors - projected).detach()
        return self.out_proj(straight_through), codes, commitment, codebook


class Quantized(NamedTuple):
    """Result of `ResidualVectorQuantizer.forward`."""

    latents: Float[Tensor, "batch latent frame"]
    codes: Int[Tensor, "batch codebook frame"]
    commitment_loss: Float[Tensor, ""]
    codebook_loss: Float[Tensor, ""]


class ResidualVectorQuantizer(nn.Module):
    """A cascade of codebooks, each of which quantises what the previous ones left over."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.dropout = config.quantizer_dropout
        self.codebook_size = config.codebook_size
        self.quantizers = nn.ModuleList(
            VectorQuantizer(
                config.latent_dim, config.codebook_size, config.codebook_dim, euclidean=config.euclidean_search
            )
            for _ in range(config.codebooks)
        )

    @property
    def codebooks(self) -> list[VectorQuantizer]:
        """The vector quantisers, first to last."""
        return [quantizer for quantizer in self.quantizers if isinstance(quantizer, VectorQuantizer)]

    def draw_active_codebooks(
        self, batch: int, generator: torch.Generator | None = None, maximum: int | None = None
    ) -> Int[Tensor, " batch"]:
        """Draw the number of active codebooks of each item (quantiser dropout, Zeghidour et al. 2021).

        For a share `dropout` of the items it is uniformly distributed in 1..N, for the others it is N. N is
        `maximum`, by default the number of all codebooks.
        """
        count = maximum or len(self.quantizers)
        active = torch.full((batch,), count)
        dropped = int(batch * self.dropout)
        active[:dropped] = torch.randint(1, count + 1, (dropped,), generator=generator)
        return active

    def forward(
        self, latents: Float[Tensor, "batch latent frame"], active_codebooks: Int[Tensor, " batch"] | None = None
    ) -> Quantized:
        """Quantise for training.

        Every codebook is evaluated for every item, as in the published code, and all codes are returned. Only the
        first `active_codebooks` of each item contribute to the latents and the losses, by default all of them.
        The losses are means over items, latent dimensions and frames, summed over the codebooks.
        """
        if active_codebooks is None:
            active_codebooks = torch.full((len(latents),), len(self.quantizers))
        active_codebooks = active_codebooks.to(latents.device)
        residual, total = latents, torch.zeros_like(latents)
        commitment = codebook = latents.new_zeros(())
        all_codes = []
        for index, quantizer in enumerate(self.codebooks):
            quantized, codes, commitment_loss, codebook_loss = quantizer(residual)
            mask = (index < active_codebooks).to(latents.dtype)
            total = total + quantized * mask[:, None, None]
            residual = residual - quantized
            commitment = commitment + (commitment_loss * mask).mean()
            codebook = codebook + (codebook_loss * mask).mean()
            all_codes.append(codes)
        return Quantized(total, torch.stack(all_codes, 1), commitment, codebook)

    def encode(
        self, latents: Float[Tensor, "batch latent frame"], codebooks: int | None = None
    ) -> Int[Tensor, "batch codebook frame"]:
        """Return the codes of the first `codebooks` codebooks, by default of all.

        Raises
        ------
        InputError
            If there are not so many codebooks.
        """
        if codebooks is not None and not 1 <= codebooks <= len(self.quantizers):
            raise InputError(f"{codebooks} codebooks; the model has 1 to {len(self.quantizers)}")
        residual, all_codes = latents, []
        for quantizer in self.codebooks[:codebooks]:
            codes = quantizer.search(quantizer.in_proj(residual))
            residual = residual - quantizer.out_proj(quantizer.look_up(codes))
            all_codes.append(codes)
        return torch.stack(all_codes, 1)

    def decode(self, codes: Int[Tensor, "batch codebook frame"]) -> Float[Tensor, "batch latent frame"]:
        """Return the sum of the contributions of the first codebooks, as many as `codes` has.

        Raises
        ------
        InputError
            If `codes` has no codebook or more than the model, or a code that the codebooks do not have.
        """
        if not 1 <= codes.shape[1] <= len(self.quantizers):
            raise InputError(f"codes of {codes.shape[1]} codebooks; the model has 1 to {len(self.quantizers)}")
        if codes.numel() and not (codes.min() >= 0 and codes.max() < self.codebook_size):
            raise InputError(
                f"codes from {int(codes.min())} to {int(codes.max())}; the codebooks have 0 to "
                f"{self.codebook_size - 1}"
            )
        parts = zip(self.codebooks, codes.unbind(1), strict=False)
        return torch.stack([q.out_proj(q.look_up(c)) for q, c in parts]).sum(0)
