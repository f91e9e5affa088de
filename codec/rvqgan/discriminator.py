"""The discriminators of the published codec, for C channels: multi-period, multi-scale, multi-resolution.

The architecture is Descript's (Kumar et al. 2023); C channels enter the first convolution of each and C logits
leave the last. Names and shapes of the parameters are the published ones for C = 1. One thing differs for C > 1:
before it is judged, a signal is scaled by one gain for all of its channels, so that the level differences
between them, which carry the spatial image, stay visible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, leaky_relu_, pad
from torch.nn.utils.parametrizations import weight_norm

from codec.losses.stft import stft
from render.common.errors import InputError

SLOPE = 0.1  # of the leaky rectifier after every convolution but the last
PEAK = 0.8


@dataclass(frozen=True)
class DiscriminatorConfig:
    """What the discriminators are made of; the defaults are the published ones, with 16 channels.

    Attributes
    ----------
    channels, sample_rate_hz : int
    periods : tuple of int
        One multi-period discriminator for each, in samples.
    rates : tuple of int
        One multi-scale discriminator for each, at the sample rate divided by it; none in the published models.
    fft_sizes : tuple of int
        One multi-band spectrogram discriminator for each, in samples; the hop is a quarter.
    bands : tuple of (low, high)
        Bands of the spectrograms, in shares of half the sample rate.
    period_width, scale_width, spectrum_width : int
        Channels of the first convolution of each kind; the others follow in proportion.
    """

    channels: int = 16
    sample_rate_hz: int = 44_100
    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    rates: tuple[int, ...] = ()
    fft_sizes: tuple[int, ...] = (2048, 1024, 512)
    bands: tuple[tuple[float, float], ...] = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
    period_width: int = 32
    scale_width: int = 16
    spectrum_width: int = 32

    def __post_init__(self):
        limits = dict(
            channels=(1, 256), sample_rate_hz=(8_000, 192_000), period_width=(1, 256), scale_width=(4, 256),
            spectrum_width=(1, 1024),
        )  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise _error(name, value, f"possible are {low} to {high}")
        for name, low, high in (("periods", 1, 1024), ("rates", 1, 64), ("fft_sizes", 32, 32_768)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not all(type(v) is int and low <= v <= high for v in values):
                raise _error(name, values, f"need whole numbers {low} to {high}")
        if not self.periods + self.rates + self.fft_sizes:
            raise InputError("discriminator configuration: no periods, rates or fft_sizes; need at least one")
        if self.scale_width % 4:
            raise _error("scale_width", self.scale_width, "need a multiple of 4, the channels of a group")
        if any(self.sample_rate_hz % rate for rate in self.rates):
            raise _error("rates", self.rates, f"need divisors of the sample rate {self.sample_rate_hz} Hz")
        if any(size % 8 for size in self.fft_sizes):
            raise _error("fft_sizes", self.fft_sizes, "need multiples of 8: hop and padding are whole samples")
        try:
            fit = bool(self.bands) and all(0 <= low < high <= 1 for low, high in self.bands)
            empty = any(low == high for size in self.fft_sizes for low, high in band_bins(size, self.bands))
        except (TypeError, ValueError):
            fit, empty = False, False
        if not fit:
            raise _error("bands", self.bands, "need pairs (low, high) with 0 <= low < high <= 1")
        if empty:
            raise _error("bands", self.bands, f"one has no bins with fft_sizes = {self.fft_sizes}")

    @property
    def shortest(self) -> int:
        """Samples that a signal must have: reflected edges need them."""
        return max(2, *(p + 1 for p in self.periods), *(5 * size // 8 for size in self.fft_sizes))


def _error(name: str, value: object, need: str) -> InputError:
    return InputError(f"discriminator configuration: {name} = {value!r}; {need}")


def band_bins(fft_size: int, bands: tuple[tuple[float, float], ...]) -> list[tuple[int, int]]:
    """First bin, and the one after the last, of each band."""
    bins = fft_size // 2 + 1
    return [(int(low * bins), int(high * bins)) for low, high in bands]


class TimeLastConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` for an input and output whose last two axes are exchanged.

    The published kernels lie along the axis before the last, (k, 1). CPU libraries make vectors along the last
    axis, which has only `period` elements there and is the time here.
    """

    def forward(self, input: Float[Tensor, "batch channel period step"]) -> Tensor:
        """Cross-correlate along the last axis and add the bias."""
        return conv2d(input, self.weight.transpose(2, 3), self.bias, self.stride[::-1], (0, int(self.padding[0])))


def activated(convolution: nn.Module) -> nn.Sequential:
    """Weight-normalised convolution, named as in the published state dict; see `run`."""
    return nn.Sequential(weight_norm(convolution))


def run(convolutions: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Outputs of all convolutions of a cascade, each after its leaky rectifier."""
    maps = []
    for convolution in convolutions:
        x = leaky_relu_(convolution(x), SLOPE)  # in place: the convolution does not need its output any more
        maps.append(x)
    return maps


class PeriodDiscriminator(nn.Module):
    """Every p-th sample beside each other: (batch, channel, time / p, p), convolved along time only."""

    def __init__(self, channels: int, period: int, width: int):
        super().__init__()
        self.period = period
        widths = (channels, width, 4 * width, 16 * width, 32 * width)
        layers = [TimeLastConv2d(a, b, (5, 1), (3, 1), padding=(2, 0)) for a, b in pairwise(widths)]
        layers.append(TimeLastConv2d(32 * width, 32 * width, (5, 1), padding=(2, 0)))
        self.convs = nn.ModuleList(activated(layer) for layer in layers)
        self.conv_post = weight_norm(TimeLastConv2d(32 * width, channels, (3, 1), padding=(1, 0)))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Feature maps (batch, channel, step, period), the logits last."""
        # as published, a length that is a multiple of the period grows by a whole period
        x = pad(x, (0, self.period - x.shape[-1] % self.period), mode="reflect")
        x = x.unflatten(-1, (-1, self.period)).transpose(2, 3)
        # cuDNN convolves channels-last; oneDNN is faster without, with kernels of this shape
        x = x.contiguous(memory_format=torch.channels_last if x.is_cuda else torch.contiguous_format)
        maps = run(self.convs.children(), x)
        return [m.transpose(2, 3) for m in (*maps, self.conv_post(maps[-1]))]


class ScaleDiscriminator(nn.Module):
    """The waveform at a fraction of its sample rate, through long grouped kernels."""

    def __init__(self, channels: int, rate: int, width: int):
        super().__init__()
        self.rate = rate
        self.register_buffer("low_pass", decimation_filter(rate), persistent=False)
        widths = (width, 4 * width, 16 * width, 64 * width, 64 * width)
        layers = [nn.Conv1d(channels, width, 15, padding=7)]
        layers += [nn.Conv1d(a, b, 41, 4, groups=a // 4, padding=20) for a, b in pairwise(widths)]
        layers.append(nn.Conv1d(64 * width, 64 * width, 5, padding=2))
        self.convs = nn.ModuleList(activated(layer) for layer in layers)
        self.conv_post = weight_norm(nn.Conv1d(64 * width, channels, 3, padding=1))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Feature maps (batch, channel, step), the logits last."""
        if self.rate > 1:
            frames, reach = x.shape[-1] // self.rate, self.low_pass.shape[-1] // 2
            with torch.autocast(x.device.type, enabled=False):
                padded = pad(x.flatten(0, 1)[:, None], (reach, reach + self.rate), mode="replicate")
                low = conv1d(padded, self.low_pass, stride=self.rate)
            x = low.view(*x.shape[:2], -1)[..., :frames]
        maps = run(self.convs.children(), x)
        return [*maps, self.conv_post(maps[-1])]


def decimation_filter(rate: int, zeros: int = 24, rolloff: float = 0.945) -> Float[Tensor, "1 1 tap"]:
    """Low-pass before decimation: sinc of `zeros` zero crossings on each side under a squared cosine.

    The corner lies at `rolloff` times half the new rate and the gain at 0 Hz is 1: the resampler of the published
    discriminator (julius 0.2, after J. O. Smith's bandlimited interpolation).
    """
    reach = math.ceil(zeros * rate / rolloff)
    t = (torch.arange(-reach, reach + 1, dtype=torch.float64) * rolloff / rate).clamp(-zeros, zeros)
    taps = torch.sinc(t) * torch.cos(math.pi * t / zeros / 2).square()
    return (taps / taps.sum()).float()[None, None]


class SpectrumDiscriminator(nn.Module):
    """Complex spectrogram, real and imaginary parts as channels, with convolutions of its own for every band."""

    def __init__(self, channels: int, fft_size: int, bands: tuple[tuple[float, float], ...], width: int):
        super().__init__()
        self.fft_size = fft_size
        self.bins = band_bins(fft_size, bands)

        def layers():
            yield nn.Conv2d(2 * channels, width, (3, 9), padding=(1, 4))
            for _ in range(3):
                yield nn.Conv2d(width, width, (3, 9), (1, 2), padding=(1, 4))
            yield nn.Conv2d(width, width, (3, 3), padding=(1, 1))

        self.band_convs = nn.ModuleList(nn.ModuleList(activated(layer) for layer in layers()) for _ in bands)
        self.conv_post = weight_norm(nn.Conv2d(width, channels, (3, 3), padding=(1, 1)))

    def spectrogram(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch frame bin channel part"]:
        """One frame per hop, the first centred half a hop into the signal; parts: re, im."""
        hop = self.fft_size // 4
        edge = (self.fft_size - hop) // 2
        spectrum = stft(x, self.fft_size, hop, (edge, edge + -x.shape[-1] % hop))
        return torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Feature maps (batch, channel, frame, bin) band by band, the logits of all bands last."""
        spectrum = self.spectrogram(x)
        by_band = [
            # flattened in this order, the copy has the channels last in memory, where these kernels are faster
            run(convolutions.children(), spectrum[:, :, low:high].flatten(3).permute(0, 3, 1, 2))
            for (low, high), convolutions in zip(self.bins, self.band_convs, strict=True)
        ]
        logits = self.conv_post(torch.cat([maps[-1] for maps in by_band], dim=-1))
        return [*(m for maps in by_band for m in maps), logits]


class Discriminator(nn.Module):
    """All discriminators of one `DiscriminatorConfig`: periods, then rates, then spectrograms."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.config = c = config
        parts: list[nn.Module] = [PeriodDiscriminator(c.channels, p, c.period_width) for p in c.periods]
        parts += [ScaleDiscriminator(c.channels, rate, c.scale_width) for rate in c.rates]
        parts += [SpectrumDiscriminator(c.channels, n, c.bands, c.spectrum_width) for n in c.fft_sizes]
        self.discriminators = nn.ModuleList(parts)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[list[Tensor]]:
        """Feature maps of every discriminator, its logits last.

        Raises
        ------
        InputError
            For another number of channels, or a signal shorter than `DiscriminatorConfig.shortest`.
        """
        if x.ndim != 3 or x.shape[1] != self.config.channels or x.shape[2] < self.config.shortest:
            raise InputError(
                f"discriminator: signal of shape {tuple(x.shape)}; need (items, {self.config.channels} channels, "
                f"{self.config.shortest} samples or more)"
            )
        x = levelled(x)
        return [discriminator(x) for discriminator in self.discriminators]


def levelled(x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
    """Remove the mean of each channel, then scale each item, by one gain for all channels, to a peak of 0.8."""
    x = x.float().contiguous()  # a decoder's output has the channels last in memory
    x = x - x.mean(-1, keepdim=True)
    return PEAK * x / (x.abs().amax((1, 2), keepdim=True) + 1e-9)
