"""What a step minimises: the losses with their weights, as one gradient at the output of the generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from codec.losses.adversarial import generator_pass
from codec.losses.bands import BAND_COUNT, BAND_WINDOW, erb_bands
from codec.losses.covariance import band_covariance_distance, covariance_distance, relative_covariance_distance
from codec.losses.intensity import intensity_distance
from codec.losses.mel import MEL_SCALES, mel_distance
from codec.losses.stft import Spectra
from codec.losses.waveform import squared_error_distance, waveform_distance
from codec.training.config import ADVERSARIAL, TrainConfig
from codec.training.distributed import Processes

MEMORY = 0.9  # of the running norms


@dataclass(frozen=True)
class MelSample:
    """The channels (all, if None) and scales that the mel distance of one step compares."""

    channels: list[int] | None
    scales: tuple[tuple[int, int], ...]


def draw_mel_sample(config: TrainConfig, channels: int, random: np.random.Generator) -> MelSample:
    """Draw `mel_channels`, channel 0 always, and `mel_scales`: all of them cost more than a small network."""
    kept = min(config.mel_channels or channels, channels)
    others = 1 + random.permutation(channels - 1)[: kept - 1]
    scales = random.permutation(len(MEL_SCALES))[: config.mel_scales or None]
    return MelSample(
        None if kept == channels else [0, *map(int, others)], tuple(MEL_SCALES[s] for s in sorted(scales))
    )


def reconstruction_losses(
    reference: Float[Tensor, "batch channel time"],
    decoded: Float[Tensor, "batch channel time"],
    sample_rate_hz: int,
    config: TrainConfig,
    sample: MelSample,
) -> dict[str, Float[Tensor, ""]]:
    """Every loss between signals that has a weight; each spectrum is computed once."""
    spectra = Spectra(reference), Spectra(decoded)

    def mel() -> Tensor:
        chosen = sample.channels
        pair = spectra if chosen is None else (Spectra(reference[:, chosen]), Spectra(decoded[:, chosen]))
        return mel_distance(*pair, sample_rate_hz, sample.scales)

    def in_bands(distance: Callable[..., Tensor]) -> Tensor:
        bands = erb_bands(sample_rate_hz, BAND_WINDOW, BAND_COUNT).to(decoded.device)
        return distance(*(of(BAND_WINDOW, BAND_WINDOW // 4) for of in spectra), bands)

    reduction = "mean" if config.covariance_reduction == "mean" else "sum"
    known: dict[str, Callable[[], Tensor]] = {
        "mel": mel,
        "covariance": lambda: covariance_distance(reference, decoded, reduction),
        "waveform": lambda: waveform_distance(reference, decoded),
        "squared_error": lambda: squared_error_distance(reference, decoded),
        "band_covariance": lambda: in_bands(band_covariance_distance),
        "relative_covariance": lambda: in_bands(relative_covariance_distance),
        "intensity": lambda: in_bands(intensity_distance),
    }
    return {name: loss() for name, loss in known.items() if config.weights.get(name)}


def output_gradient(
    reference: Float[Tensor, "batch channel time"],
    decoded: Float[Tensor, "batch channel time"],
    sample_rate_hz: int,
    config: TrainConfig,
    sample: MelSample,
    norms: dict[str, Tensor],
    discriminator: nn.Module | None,
    processes: Processes,
) -> tuple[dict[str, Tensor], Float[Tensor, "batch channel time"]]:
    """Return the losses of these items and their weighted gradient at `decoded`.

    With `balance`, the gradient of each loss is divided by the running mean of its norm (Défossez et al. 2022,
    section 3.4), kept in `norms`: otherwise the mel gradient, a hundred times larger than the others, decides
    alone. The norm is that of the whole batch, of which these items are one part of `accumulate` in each process;
    the other parts are taken to be like this one.
    """
    leaf = decoded.detach().float().requires_grad_()
    values = reconstruction_losses(reference, leaf, sample_rate_hz, config, sample)
    if discriminator is not None:
        names = [name for name in ADVERSARIAL if config.weights.get(name)]
        values |= generator_pass(discriminator, reference, leaf, names)
    weights = [config.weights[name] for name in values]
    if not config.balance:
        total = torch.stack([weight * value for weight, value in zip(weights, values.values(), strict=True)]).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    else:
        # losses share their spectra, so that a graph is kept until the last of them is done
        last = len(values) - 1
        parts = [
            torch.autograd.grad(value, leaf, retain_graph=index < last)[0]
            for index, value in enumerate(values.values())
        ]
        squares = processes.sum(torch.stack([part.square().sum() for part in parts]))
        batch_norms = (squares * config.accumulate).sqrt() / (processes.count * config.accumulate)
        gradient = torch.zeros_like(leaf)
        for name, weight, part, norm in zip(values, weights, parts, batch_norms, strict=True):
            norms[name] = MEMORY * norms.get(name, norm) + (1 - MEMORY) * norm
            gradient += weight / (norms[name] + 1e-12) * part
    return {name: value.detach() for name, value in values.items()}, gradient
