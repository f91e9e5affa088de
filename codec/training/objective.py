"""What the generator minimises: every loss that has a weight, between reference and decoded signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from codec.losses.adversarial import generator_pass
from codec.losses.bands import BAND_COUNT, BAND_HOP, BAND_WINDOW, erb_bands
from codec.losses.covariance import band_covariance_distance, covariance_distance, relative_covariance_distance
from codec.losses.intensity import intensity_distance
from codec.losses.mel import MEL_SCALES, mel_distance
from codec.losses.stft import Spectra
from codec.losses.waveform import squared_error_distance, waveform_distance
from codec.training.config import ADVERSARIAL, LossSettings


@dataclass(frozen=True)
class MelSubset:
    """The part of the mel distance that one step computes.

    Attributes
    ----------
    channels : list of int or None
        Channels that are compared; None: all.
    scales : tuple of (window, bands)
        Window length in samples and number of mel bands of each scale.
    """

    channels: list[int] | None
    scales: tuple[tuple[int, int], ...]


def draw_mel_subset(config: LossSettings, channels: int, random: np.random.Generator) -> MelSubset:
    """Draw `mel_channels` of the channels, always with channel 0, and `mel_scales` of the scales.

    The full mel distance costs more than a small network.
    """
    kept = min(config.mel_channels or channels, channels)
    others = 1 + random.permutation(channels - 1)[: kept - 1]
    scales = random.permutation(len(MEL_SCALES))[: config.mel_scales or None]
    return MelSubset(
        None if kept == channels else [0, *map(int, others)], tuple(MEL_SCALES[s] for s in sorted(scales))
    )


def reconstruction_losses(
    reference: Float[Tensor, "batch channel time"],
    decoded: Float[Tensor, "batch channel time"],
    sample_rate_hz: int,
    config: LossSettings,
    mel_subset: MelSubset,
) -> dict[str, Float[Tensor, ""]]:
    """Return every loss between signals that has a weight; each spectrum is computed only once."""
    spectra = Spectra(reference), Spectra(decoded)

    def mel() -> Tensor:
        chosen = mel_subset.channels
        a, b = spectra if chosen is None else (of.of_channels(chosen) for of in spectra)
        return mel_distance(a, b, sample_rate_hz, mel_subset.scales)

    def in_bands(distance: Callable[..., Tensor]) -> Tensor:
        bands = erb_bands(sample_rate_hz, BAND_WINDOW, BAND_COUNT).to(decoded.device)
        return distance(*(of(BAND_WINDOW, BAND_HOP) for of in spectra), bands)

    reduction = "mean" if config.covariance_reduction == "mean" else "sum"
    known: dict[str, Callable[[], Tensor]] = {
        "covariance": lambda: covariance_distance(reference, decoded, reduction),
        "waveform": lambda: waveform_distance(reference, decoded),
        "squared_error": lambda: squared_error_distance(reference, decoded),
        "band_covariance": lambda: in_bands(band_covariance_distance),
        "relative_covariance": lambda: in_bands(relative_covariance_distance),
        "intensity": lambda: in_bands(intensity_distance),
        "mel": mel,  # last: of some channels it can take the spectra of all
    }
    return {name: loss() for name, loss in known.items() if config.weights.get(name)}


def generator_losses(
    reference: Float[Tensor, "batch channel time"],
    decoded: Float[Tensor, "batch channel time"],
    sample_rate_hz: int,
    config: LossSettings,
    mel_subset: MelSubset,
    discriminator: nn.Module | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return `reconstruction_losses` and, with a discriminator, the adversarial losses that have a weight."""
    found = reconstruction_losses(reference, decoded, sample_rate_hz, config, mel_subset)
    if discriminator is not None:
        found |= generator_pass(discriminator, reference, decoded, config.weighted(ADVERSARIAL))
    return found
