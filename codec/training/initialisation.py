"""Starting points of a training run: transferred weights, PCA for the convolutions, k-means for the codebooks.

With PyTorch's default weights a network passes no waveform, and its latents are so small beside codebooks of unit
variance that every frame takes the same code; short training never leaves that state. PCA and k-means avoid it in
closed form. They take seconds and do not change the architecture: the result is an ordinary state dict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.checkpoints.channel_transfer import start_from
from codec.coding.front_end import front_end_of
from codec.descript.conversion import read_model
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.layers import ResidualUnit, Snake1d
from codec.rvqgan.quantizer import VectorQuantizer
from codec.training.config import TrainConfig
from codec.training.excerpts import Excerpts, Purpose
from render.common.progress import progress

TRUNK_ALPHA = 0.01  # makes the Snakes between the blocks nearly linear
BRANCH_LEVEL = 0.005  # rms of what a residual unit adds to a trunk of rms 1
WEIGHT_NOISE = 0.005  # relative to the rms of each weight; breaks symmetries and keeps the norms above 0
GAIN_EXPONENT = 0.3  # 0: PCA weights the channels by their power; 1: all alike, as in eq. 3


def initialise(model: RVQGAN, config: TrainConfig, excerpts: Excerpts) -> None:
    """Overwrite the random weights of a model as `TrainConfig.initialisation` says.

    Raises
    ------
    InputError
        If the file of "transfer:FILE" cannot be read or does not match the model.
    """
    device = next(model.parameters()).device
    model.cpu()
    if config.initialisation == "pca":
        audio = excerpts.batch(0, min(96, 24 * config.batch), Purpose.INITIALISATION)
        pca(model, audio, torch.Generator().manual_seed(config.seed))
    elif config.initialisation.startswith("transfer:"):
        path = Path(config.initialisation.removeprefix("transfer:"))
        start_from(model, read_model(path), str(path))
    model.to(device)


@torch.no_grad()
def fit_codebooks(model: RVQGAN, config: TrainConfig, excerpts: Excerpts) -> float:
    """Fit the codebooks to the latents of `fit_batches` batches; return the share of their variance left."""
    device = next(model.parameters()).device
    numbers = progress(range(config.fit_batches), "encode batch for the codebooks", config.fit_batches)
    batches = (excerpts.batch(i, config.batch, Purpose.CODEBOOKS).to(device) for i in numbers)
    latents = torch.cat([model.encoder(batch).transpose(1, 2).flatten(0, 1).cpu() for batch in batches])
    model.quantizer.cpu()
    residual = kmeans(model, latents, torch.Generator().manual_seed(config.seed))
    model.quantizer.to(device)
    return residual


@torch.no_grad()
def pca(model: RVQGAN, audio: Float[Tensor, "batch channel time"], generator: torch.Generator) -> float:
    """Make the encoder a cascade of block PCAs and the decoder its transpose.

    Block by block, the strided convolution takes the leading principal components of non-overlapping patches of
    the previous block's output, and the transposed convolution of the decoder inverts it. Channels for which there
    is no component, and the residual branches, keep small random weights.

    Parameters
    ----------
    model : RVQGAN
        With weight norm (not folded), on the CPU; its weights are overwritten.
    audio : float32 (batch, channel, time)
        Typical signals at the level of the network's input.
    generator : torch.Generator
        Source of the small random weights.

    Returns
    -------
    float
        Signal-to-noise ratio in dB of decoder(encoder(audio)), without quantiser.
    """
    # Any: parametrisation adds attributes at run time
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
    # Principal components are weighted by their power, so that few latents are spent on weak ones
    exponent = GAIN_EXPONENT if front_end_of(model.config).keeps_channels else 0.0
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
    signal, basis = _components(signal, 1, final.weight.shape[0])
    _set(final, _centred(basis.t()[:, :, None], final.weight.shape), generator, spare=0.5)
    inverse = (basis / basis.square().sum(0))[:, :, None]
    _set(head, _centred(inverse, head.weight.shape), generator, spare=0.3)
    _scale_residual_units(model, audio)

    decoded = model(audio, quantize=False).audio
    error = (audio - decoded).square().sum()
    return float(10 * torch.log10(audio.square().sum() / error))


def _components(signal: Tensor, stride: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the leading principal components of patches of `stride` samples, scaled to rms 1 over all of them.

    Returns the component signals (batch, component, time / stride) and the analysis matrix (channel · stride,
    component).
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
    """Return a zero kernel of the given shape with `kernel` (out, in, taps) at its centre, cut to fit."""
    weight = torch.zeros(shape)
    out, channels, taps = (min(a, b) for a, b in zip(kernel.shape, shape, strict=True))
    begin = (shape[2] - taps) // 2
    weight[:out, :channels, begin : begin + taps] = kernel[:out, :channels]
    return weight


def _set(layer: Any, weight: Tensor, generator: torch.Generator, spare: float = 0.0) -> None:
    """Set a weight-normalised layer with a little noise; rows and columns of zeros get noise of gain `spare`."""
    rms = weight.square().mean().sqrt()
    noisy = weight + WEIGHT_NOISE * rms * torch.randn(weight.shape, generator=generator)
    fan_in = weight.shape[1] * weight.shape[2]
    unused = (weight.abs().sum((1, 2), keepdim=True) == 0) | (weight.abs().sum((0, 2), keepdim=True) == 0)
    noisy = noisy + unused * spare * fan_in**-0.5 * torch.randn(weight.shape, generator=generator)
    layer.weight = noisy
    layer.bias.zero_()


def _scale_residual_units(model: RVQGAN, audio: Tensor) -> None:
    """Scale every residual branch to rms 1 inside and to `BRANCH_LEVEL` at its output."""

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
    model: RVQGAN, latents: Float[Tensor, "frame latent"], generator: torch.Generator, iterations: int = 8
) -> float:
    """Fit the codebooks to latents of the encoder, each to the residual of the previous one.

    The projections become the leading principal components of the residual, the rows of the codebook the centroids
    of k-means under the quantiser's own search.

    Parameters
    ----------
    model : RVQGAN
        With weight norm (not folded), on the CPU; its quantiser is overwritten.
    latents : float32 (frame, latent)
    generator : torch.Generator
    iterations : int
        Of k-means. 25 instead of 8 leave 0.0006 less of the variance.

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
        # The noise keeps the norm of each row, by which weight norm divides, above 0 if a latent is constant
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


def _filled(rows: Tensor, candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Fill `rows` up to `count` with noisy draws from `candidates`, if there are fewer data than codes."""
    missing = count - len(rows)
    if missing <= 0:
        return rows
    drawn = candidates[torch.randint(len(candidates), (missing,), generator=generator)]
    noise = 0.01 * candidates.std() * torch.randn(drawn.shape, generator=generator)
    return torch.cat([rows, drawn + noise])
