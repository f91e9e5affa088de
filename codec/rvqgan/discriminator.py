"""The discriminators of the published codec for C channels: multi-period, multi-scale, multi-resolution.

The architecture is Descript's (Kumar et al. 2023). Each discriminator has C channels at its input and C channels
of logits at its output; for C = 1 the names and shapes of the parameters are the published ones. For C > 1 the
input is normalised with one gain for all channels, so that the level differences between them, which carry the
spatial image, are preserved, or with one for each channel, as the published code does.
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

SLOPE = 0.1  # of the leaky ReLU after every convolution except the last
PEAK = 0.8  # of a normalised signal


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Architecture of the discriminators. The defaults are the published ones, with 16 channels.

    The names of the fields are stored in the configurations of training runs. Values out of range raise
    `InputError`.

    Attributes
    ----------
    channels, sample_rate_hz : int
    periods : tuple of int
        Periods in samples; there is one multi-period discriminator for each.
    rates : tuple of int
        Divisors of the sample rate; there is one multi-scale discriminator for each, and none in the published
        models.
    fft_sizes : tuple of int
        Windows in samples; there is one multi-band spectrogram discriminator for each, with a hop of a quarter.
    bands : tuple of (low, high)
        Bands of the spectrograms, as fractions of the Nyquist frequency.
    period_width, scale_width, spectrum_width : int
        Channels of the first convolution of each kind of discriminator; the other convolutions scale with it.
    gain_per_channel : bool
        Normalise each channel by itself, as the published code does, so that level differences between channels
        are not seen; else each item with one gain.
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
    gain_per_channel: bool = False

    def __post_init__(self):
        limits = dict(
            channels=(1, 256), sample_rate_hz=(8_000, 192_000), period_width=(1, 256), scale_width=(4, 256),
            spectrum_width=(1, 1024),
        )  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise _error(name, value, f"must be an integer from {low} to {high}")
        for name, low, high in (("periods", 1, 1024), ("rates", 1, 64), ("fft_sizes", 32, 32_768)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not all(type(v) is int and low <= v <= high for v in values):
                raise _error(name, values, f"must be a tuple of integers from {low} to {high}")
        if type(self.gain_per_channel) is not bool:
            raise _error("gain_per_channel", self.gain_per_channel, "must be true or false")
        if not self.periods + self.rates + self.fft_sizes:
            raise InputError(
                "discriminator configuration: periods, rates and fft_sizes are empty; at least one is needed"
            )
        if self.scale_width % 4:
            raise _error("scale_width", self.scale_width, "must be a multiple of 4, the channels of a group")
        if any(self.sample_rate_hz % rate for rate in self.rates):
            raise _error("rates", self.rates, f"must divide the sample rate of {self.sample_rate_hz} Hz")
        if any(size % 8 for size in self.fft_sizes):
            raise _error(
                "fft_sizes", self.fft_sizes, "must be multiples of 8, so that hop and padding are integers"
            )
        try:
            fit = bool(self.bands) and all(0 <= low < high <= 1 for low, high in self.bands)
            empty = any(low == high for size in self.fft_sizes for low, high in band_bins(size, self.bands))
        except (TypeError, ValueError):
            fit, empty = False, False
        if not fit:
            raise _error("bands", self.bands, "must be pairs (low, high) with 0 <= low < high <= 1")
        if empty:
            raise _error("bands", self.bands, f"leave one without bins for fft_sizes = {self.fft_sizes}")

    @property
    def min_length(self) -> int:
        """Minimum number of samples of a signal, which the reflection at its edges needs."""
        return max(2, *(p + 1 for p in self.periods), *(5 * size // 8 for size in self.fft_sizes))


def _error(name: str, value: object, demand: str) -> InputError:
    return InputError(f"discriminator configuration: {name} = {value!r} {demand}")


def band_bins(fft_size: int, bands: tuple[tuple[float, float], ...]) -> list[tuple[int, int]]:
    """Return the first bin of each band and the one after its last."""
    bins = fft_size // 2 + 1
    return [(int(low * bins), int(high * bins)) for low, high in bands]


class TimeLastConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with the last two axes of input and output exchanged.

    The published kernels (k, 1) lie along the second last axis, which is the time. CPU libraries vectorise along
    the last one, which has only `period` elements there; here it is the time.
    """

    def forward(self, input: Float[Tensor, "batch channel period step"]) -> Tensor:
        """Cross-correlate along the last axis and add the bias."""
        return conv2d(input, self.weight.transpose(2, 3), self.bias, self.stride[::-1], (0, int(self.padding[0])))


def hidden_convolution(convolution: nn.Module) -> nn.Sequential:
    """Return a weight-normalised convolution, named as in the published state dict, for `feature_maps`."""
    return nn.Sequential(weight_norm(convolution))


def feature_maps(convolutions: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Return the outputs of all convolutions of a cascade, each after its leaky ReLU."""
    maps = []
    for convolution in convolutions:
        x = leaky_relu_(convolution(x), SLOPE)  # in place: the gradient of a convolution does not need its output
        maps.append(x)
    return maps


class PeriodDiscriminator(nn.Module):
    """Discriminator of the signal folded to (batch, channel, time / period, period), convolved along time only."""

    def __init__(self, channels: int, period: int, width: int):
        super().__init__()
        self.period = period
        widths = (channels, width, 4 * width, 16 * width, 32 * width)
        layers = [TimeLastConv2d(a, b, (5, 1), (3, 1), padding=(2, 0)) for a, b in pairwise(widths)]
        layers.append(TimeLastConv2d(32 * width, 32 * width, (5, 1), padding=(2, 0)))
        self.convs = nn.ModuleList(hidden_convolution(layer) for layer in layers)
        self.conv_post = weight_norm(TimeLastConv2d(32 * width, channels, (3, 1), padding=(1, 0)))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Return the feature maps (batch, channel, step, period), the logits last."""
        # As published, a length that is a multiple of the period is padded by a whole period.
        x = pad(x, (0, self.period - x.shape[-1] % self.period), mode="reflect")
        x = x.unflatten(-1, (-1, self.period)).transpose(2, 3)
        # cuDNN is faster with the channels last in memory; oneDNN, for kernels of this shape, without.
        x = x.contiguous(memory_format=torch.channels_last if x.is_cuda else torch.contiguous_format)
        maps = feature_maps(self.convs.children(), x)
        return [m.transpose(2, 3) for m in (*maps, self.conv_post(maps[-1]))]


class ScaleDiscriminator(nn.Module):
    """Discriminator of the waveform at a fraction of its sample rate, with long grouped kernels."""

    def __init__(self, channels: int, rate: int, width: int):
        super().__init__()
        self.rate = rate
        self.register_buffer("low_pass", decimation_filter(rate), persistent=False)
        widths = (width, 4 * width, 16 * width, 64 * width, 64 * width)
        layers = [nn.Conv1d(channels, width, 15, padding=7)]
        layers += [nn.Conv1d(a, b, 41, 4, groups=a // 4, padding=20) for a, b in pairwise(widths)]
        layers.append(nn.Conv1d(64 * width, 64 * width, 5, padding=2))
        self.convs = nn.ModuleList(hidden_convolution(layer) for layer in layers)
        self.conv_post = weight_norm(nn.Conv1d(64 * width, channels, 3, padding=1))

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Return the feature maps (batch, channel, step), the logits last."""
        if self.rate > 1:
            length, reach = x.shape[-1] // self.rate, self.low_pass.shape[-1] // 2
            with torch.autocast(x.device.type, enabled=False):
                padded = pad(x.flatten(0, 1)[:, None], (reach, reach + self.rate), mode="replicate")
                low = conv1d(padded, self.low_pass, stride=self.rate)
            x = low.view(*x.shape[:2], -1)[..., :length]
        maps = feature_maps(self.convs.children(), x)
        return [*maps, self.conv_post(maps[-1])]


def decimation_filter(rate: int, zeros: int = 24, rolloff: float = 0.945) -> Float[Tensor, "1 1 tap"]:
    """Return the low-pass filter before decimation: a sinc with `zeros` zero crossings per side, windowed by cos².

    Its cut-off lies at `rolloff` times half the new rate, and its gain at 0 Hz is 1. It is the resampler of the
    published discriminator (julius 0.2, after J. O. Smith's bandlimited interpolation).
    """
    reach = math.ceil(zeros * rate / rolloff)
    t = (torch.arange(-reach, reach + 1, dtype=torch.float64) * rolloff / rate).clamp(-zeros, zeros)
    taps = torch.sinc(t) * torch.cos(math.pi * t / zeros / 2).square()
    return (taps / taps.sum()).float()[None, None]


class SpectrumDiscriminator(nn.Module):
    """Discriminator of the complex spectrogram (re and im as channels), with convolutions for each band."""

    def __init__(self, channels: int, fft_size: int, bands: tuple[tuple[float, float], ...], width: int):
        super().__init__()
        self.fft_size = fft_size
        self.bins = band_bins(fft_size, bands)

        def layers():
            yield nn.Conv2d(2 * channels, width, (3, 9), padding=(1, 4))
            for _ in range(3):
                yield nn.Conv2d(width, width, (3, 9), (1, 2), padding=(1, 4))
            yield nn.Conv2d(width, width, (3, 3), padding=(1, 1))

        self.band_convs = nn.ModuleList(
            nn.ModuleList(hidden_convolution(layer) for layer in layers()) for _ in bands
        )
        self.conv_post = weight_norm(nn.Conv2d(width, channels, (3, 3), padding=(1, 1)))

    def spectrogram(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch frame bin channel part"]:
        """Return one spectrum per hop, the first centred half a hop into the signal; the parts are re and im."""
        hop = self.fft_size // 4
        edge = (self.fft_size - hop) // 2
        spectrum = stft(x, self.fft_size, hop, (edge, edge + -x.shape[-1] % hop))
        return torch.view_as_real(spectrum).permute(0, 3, 2, 1, 4)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[Tensor]:
        """Return the feature maps (batch, channel, frame, bin) of each band, the logits of all bands last."""
        spectrum = self.spectrogram(x)
        by_band = [
            # Flattened in this order, the copy has the channels last in memory, which is faster for these kernels.
            feature_maps(convolutions.children(), spectrum[:, :, low:high].flatten(3).permute(0, 3, 1, 2))
            for (low, high), convolutions in zip(self.bins, self.band_convs, strict=True)
        ]
        logits = self.conv_post(torch.cat([maps[-1] for maps in by_band], dim=-1))
        return [*(m for maps in by_band for m in maps), logits]


class Discriminator(nn.Module):
    """All discriminators of one `DiscriminatorConfig`: first periods, then rates, then spectrograms."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.config = c = config
        parts: list[nn.Module] = [PeriodDiscriminator(c.channels, p, c.period_width) for p in c.periods]
        parts += [ScaleDiscriminator(c.channels, rate, c.scale_width) for rate in c.rates]
        parts += [SpectrumDiscriminator(c.channels, n, c.bands, c.spectrum_width) for n in c.fft_sizes]
        self.discriminators = nn.ModuleList(parts)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> list[list[Tensor]]:
        """Return the feature maps of every discriminator, its logits last.

        Raises
        ------
        InputError
            If the number of channels differs, or the signal is shorter than `DiscriminatorConfig.min_length`.
        """
        if x.ndim != 3 or x.shape[1] != self.config.channels or x.shape[2] < self.config.min_length:
            raise InputError(
                f"discriminator: signal of shape {tuple(x.shape)}; it must be (items, {self.config.channels} "
                f"channels, at least {self.config.min_length} samples)"
            )
        x = normalised(x, self.config.gain_per_channel)
        return [discriminator(x) for discriminator in self.discriminators]


def normalised(
    x: Float[Tensor, "batch channel time"], gain_per_channel: bool = False
) -> Float[Tensor, "batch channel time"]:
    """Remove the mean of each channel, then scale each item, or each channel, to a peak of 0.8 with one gain."""
    x = x.float().contiguous()  # a decoder's output has the channels last in memory
    x = x - x.mean(-1, keepdim=True)
    return PEAK * x / (x.abs().amax(-1 if gain_per_channel else (1, 2), keepdim=True) + 1e-9)
