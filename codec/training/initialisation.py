"""Closed-form starting points: PCA for the convolutions, k-means for the codebooks.

With default weights the network passes no waveform, its latents are tiny beside codebooks of unit
variance, every frame takes the same code and training on few machines never leaves that state. Both
cures take seconds and change nothing in the architecture: the result is a plain state dict.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.layers import ResidualUnit, Snake1d
from codec.rvqgan.quantizer import VectorQuantizer
from render.common.progress import progress

TRUNK_ALPHA = 0.01  # Snakes between the stages nearly linear
BRANCH_LEVEL = 0.005  # rms of what a residual unit adds, beside a trunk of rms 1
WEIGHT_NOISE = 0.005  # relative to the rms of each weight: breaks symmetries, keeps the norms above 0
GAIN_EXPONENT = 0.3  # 0: a channel counts by its power in the analysis; 1: all alike, as in eq. 3
SPARE_LATENTS = 0.0  # share of the latents left to learning alone


@torch.no_grad()
def pca(model: RVQGAN, audio: Float[Tensor, "batch channel time"], generator: torch.Generator) -> float:
    """Make the encoder a cascade of block PCAs and the decoder its transpose.

    Stage by stage, the strided convolution takes the leading principal components of non-overlapping
    patches of what the stage before puts out; the transposed convolution of the decoder undoes it.
    Channels wider than the components needed, and the residual branches, keep small random weights.

    Parameters
    ----------
    model : RVQGAN
        With weight norm (not folded); overwritten.
    audio : float32 (batch, channel, time)
        Typical material at the level that the codec will see.
    generator : torch.Generator
        Source of the small random weights.

    Returns
    -------
    float
        Signal-to-noise ratio in dB of decoder(encoder(audio)), without quantiser.
    """
    # parametrised layers grow attributes that no type knows
    encoder: Any = model.encoder.block
    decoder: Any = [layer for layer in model.decoder.model if not isinstance(layer, nn.Tanh)]
    for layer in model.modules():
        if isinstance(layer, Snake1d):
            layer.alpha.fill_(1.0)
    for part in (encoder, decoder):
        for layer in part:
            for sublayer in (layer, *getattr(layer, "block", ())):
                if isinstance(sublayer, Snake1d):
                    sublayer.alpha.fill_(TRUNK_ALPHA)

    power = audio.square().mean((0, 2)).clamp_min(1e-12)
    # of components each counts by its power, so that few latents go to weak ones
    exponent = 0.0 if model.config.side_layers else GAIN_EXPONENT
    gain = (power.max() / power).clamp_max(1e6).pow(exponent / 2)
    first, last = encoder[0], decoder[-1]
    signal = audio * gain[:, None]
    signal, basis = _components(signal, 1, first.weight.shape[0])
    _set(first, _centred(basis.t()[:, :, None] * gain[None, :, None], first.weight.shape), generator)
    undo = basis[:, :, None] / basis.square().sum(0)[None, :, None] / gain[:, None, None]
    _set(last, _centred(undo, last.weight.shape), generator)

    down = [block.block[-1] for block in encoder[1:-2]]
    up = [block.block[1] for block in reversed(decoder[1:-2])]
    for analysis, synthesis in zip(down, up, strict=True):
        stride, channels = analysis.stride[0], signal.shape[1]
        signal, basis = _components(signal, stride, analysis.weight.shape[0])
        kernel = basis.t().reshape(-1, channels, stride)
        _set(analysis, _centred(kernel, analysis.weight.shape), generator)
        inverse = kernel / basis.square().sum(0)[:, None, None]
        _set(synthesis, _centred(inverse, synthesis.weight.shape), generator)

    final, head = encoder[-1], decoder[0]
    keep = round(final.weight.shape[0] * (1 - SPARE_LATENTS))
    signal, basis = _components(signal, 1, keep)
    _set(final, _centred(basis.t()[:, :, None], final.weight.shape), generator, spare=0.5)
    inverse = (basis / basis.square().sum(0))[:, :, None]
    _set(head, _centred(inverse, head.weight.shape), generator, spare=0.3)
    _scale_residual_units(model, audio)

    decoded = model(audio, quantize=False).audio
    error = (audio - decoded).square().sum()
    return float(10 * torch.log10(audio.square().sum() / error))


def _components(signal: Tensor, stride: int, count: int) -> tuple[Tensor, Tensor]:
    """Leading principal components of patches of `stride` samples, scaled to rms 1 over all of them.

    Returns the component signals (batch, component, time / stride) and the analysis matrix
    (channel · stride, component).
    """
    batch, channels, time = signal.shape
    frames = time // stride
    patches = signal[:, :, : frames * stride].reshape(batch, channels, frames, stride)
    patches = patches.permute(0, 2, 1, 3).reshape(-1, channels * stride)
    covariance = (patches.t() @ patches).double() / len(patches)
    vectors = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :count].float()
    components = patches @ vectors
    scale = components.square().mean().rsqrt()
    components = (components * scale).reshape(batch, frames, -1).transpose(1, 2)
    return components, vectors * scale


def _centred(kernel: Tensor, shape: torch.Size) -> Tensor:
    """Place a kernel (out, in, taps) in the middle of a zero kernel of the given shape, cut to fit."""
    weight = torch.zeros(shape)
    out, channels, taps = (min(a, b) for a, b in zip(kernel.shape, shape, strict=True))
    begin = (shape[2] - taps) // 2
    weight[:out, :channels, begin : begin + taps] = kernel[:out, :channels]
    return weight


def _set(layer: Any, weight: Tensor, generator: torch.Generator, spare: float = 0.0) -> None:
    """Set a weight-normalised layer, with a little noise; rows or columns still 0 get noise of gain `spare`."""
    rms = weight.square().mean().sqrt()
    noisy = weight + WEIGHT_NOISE * rms * torch.randn(weight.shape, generator=generator)
    fan_in = weight.shape[1] * weight.shape[2]
    unused = (weight.abs().sum((1, 2), keepdim=True) == 0) | (weight.abs().sum((0, 2), keepdim=True) == 0)
    noisy = noisy + unused * spare * fan_in**-0.5 * torch.randn(weight.shape, generator=generator)
    layer.weight = noisy
    layer.bias.zero_()


def _scale_residual_units(model: RVQGAN, audio: Tensor) -> None:
    """Let every residual branch work at rms 1 inside and add `BRANCH_LEVEL` at its end."""

    def rescale_to(level: float):
        def hook(layer, _inputs, output):
            deviation = (output - layer.bias[:, None]).std().clamp_min(1e-8)
            factor = level / deviation
            layer.parametrizations.weight.original0.mul_(factor)
            return (output - layer.bias[:, None]) * factor + layer.bias[:, None]

        return hook

    hooks = []
    for unit in model.modules():
        if isinstance(unit, ResidualUnit):
            hooks.append(unit.block[1].register_forward_hook(rescale_to(1.0)))
            hooks.append(unit.block[3].register_forward_hook(rescale_to(BRANCH_LEVEL)))
    model(audio, quantize=False)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def kmeans(
    model: RVQGAN, latents: Float[Tensor, "sample latent"], generator: torch.Generator, iterations: int = 8
) -> float:
    """Fit the codebooks to latents of the encoder, one after the other, each to what the last left over.

    The projections become the leading principal components of the residual, the codebook its k-means
    centroids under the cosine search of the quantiser.

    Returns
    -------
    float
        Power of the residual after all codebooks, relative to the variance of the latents.
    """
    residual = latents
    for quantizer in progress(model.quantizer.codebooks, "fit codebook", len(model.quantizer.codebooks)):
        size, dim = quantizer.codebook.weight.shape
        mean = residual.mean(0)
        vectors = torch.linalg.eigh(torch.cov(residual.t()).double()).eigenvectors
        basis = vectors.flip(1)[:, :dim].float()
        # a little noise: weight norm divides by the norm of each row, and a latent may be constant
        weight = basis + 1e-6 * torch.randn(basis.shape, generator=generator)
        in_proj: Any = quantizer.in_proj
        out_proj: Any = quantizer.out_proj
        in_proj.weight = weight.t()[:, :, None].contiguous()
        out_proj.weight = weight[:, :, None].contiguous()
        in_proj.bias.copy_(-mean @ basis)
        out_proj.bias.copy_(mean)

        projected = (residual - mean) @ basis
        centroids = projected[torch.randperm(len(projected), generator=generator)[:size]]
        centroids = _filled(centroids, projected, size, generator)
        for _ in range(iterations):
            quantizer.codebook.weight.copy_(centroids)
            codes = _search(quantizer, projected)
            counts = torch.bincount(codes, minlength=size)
            sums = torch.zeros_like(centroids).index_add_(0, codes, projected)
            drawn = projected[torch.randint(len(projected), (size,), generator=generator)]
            centroids = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], drawn)
        quantizer.codebook.weight.copy_(centroids)
        coded = centroids[_search(quantizer, projected)]
        residual = residual - (coded @ basis.t() + mean)
    return float(residual.square().sum() / (latents - latents.mean(0)).square().sum())


def _search(quantizer: VectorQuantizer, projected: Tensor) -> Tensor:
    return torch.cat([quantizer.search(part.t()[None])[0] for part in projected.split(4096)])


def _filled(rows: Tensor, pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Fill `rows` up to `count` with noisy draws from `pool`, where the data are fewer than the codes."""
    missing = count - len(rows)
    if missing <= 0:
        return rows
    drawn = pool[torch.randint(len(pool), (missing,), generator=generator)]
    noise = 0.01 * pool.std() * torch.randn(drawn.shape, generator=generator)
    return torch.cat([rows, drawn + noise])


class CodebookUsage:
    """Slow average of how often each code is used, to revive codes that died.

    The average forgets with `decay` per step; a code used less than `threshold` times its fair share is
    moved to a latent seen lately.
    """

    def __init__(self, model: RVQGAN, decay: float = 0.99, threshold: float = 0.03):
        self.quantizers = model.quantizer.codebooks
        self.decay, self.threshold = decay, threshold
        size, device = model.config.codebook_size, self.quantizers[0].codebook.weight.device
        self.usage = torch.full((len(self.quantizers), size), 1.0 / size, device=device)

    def update(self, codes: Int[Tensor, "batch codebook frame"]) -> None:
        """Take in the codes of one step."""
        flat = codes.transpose(0, 1).flatten(1)
        # counts are whole numbers: their sums do not depend on the order, on no device
        counts = torch.zeros_like(self.usage).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
        self.usage.mul_(self.decay).add_(counts / flat.shape[1], alpha=1 - self.decay)

    @torch.no_grad()
    def revive(self, latents: Float[Tensor, "batch latent frame"], generator: torch.Generator) -> int:
        """Move dead codes to projections of `latents`; return how many there were."""
        revived, residual = 0, latents
        for index, quantizer in enumerate(self.quantizers):
            projected = quantizer.in_proj(residual)
            pool = projected.transpose(1, 2).reshape(-1, projected.shape[1])
            dead = self.usage[index] * self.usage.shape[1] < self.threshold
            count = int(dead.sum())
            if count:
                drawn = pool[torch.randint(len(pool), (count,), generator=generator)]
                noise = 0.01 * pool.std() * torch.randn(drawn.shape, generator=generator).to(pool.device)
                quantizer.codebook.weight[dead] = drawn + noise
                self.usage[index][dead] = 1.0 / self.usage.shape[1]
                revived += count
            residual = residual - quantizer.out_proj(quantizer.look_up(quantizer.search(projected)))
        return revived

    def perplexity(self) -> Float[Tensor, " codebook"]:
        """Perplexity exp(H) of the average usage of each codebook."""
        share = self.usage / self.usage.sum(1, keepdim=True)
        return torch.exp(-(share * share.clamp_min(1e-12).log()).sum(1))
