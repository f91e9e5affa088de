"""The multichannel RVQGAN generator: configuration, encoder, decoder.

The architecture is Descript's (Kumar et al. 2023) with C channels at the input and output. The paper leaves
the Tanh at the end away, the published mono model has it. A model for 7.1.4 loudspeaker signals is the same with
C = 12.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codec.rvqgan.layers import Block, ResidualUnit, Snake1d, channels_last, conv, downsample, upsample
from codec.rvqgan.quantizer import ResidualVectorQuantizer
from render.common.errors import InputError
from render.hoa.layout import layout


@dataclass(frozen=True)
class ModelConfig:
    """What a model is made of; the defaults are the paper's 16-channel model at 16 kbit/s.

    Attributes
    ----------
    channels : int
        Audio channels at input and output: (N+1)² of a Scene, or the loudspeakers of a Feed.
    sample_rate_hz : int
    encoder_dim, decoder_dim : int
        Channels after the first convolution of the encoder, and of the decoder.
    strides : tuple of int
        Downsampling factors of the encoder (even); the decoder has them in reverse. Their product is
        the hop, the samples per frame.
    latent_dim, codebooks, codebook_size, codebook_dim : int
    dilations : tuple of int
        One residual unit per entry in every block.
    euclidean_search : bool
        Whether a latent is coded by the nearest row of a codebook instead of that of the largest cosine, as
        published: where levels change much, a code has to say how long it is.
    quantizer_dropout : float
        Share of the training items coded with fewer codebooks.
    output_tanh : bool
        Whether a Tanh limits the output, as in the published mono model.
    side_layers : bool
        Whether streams carry the spatial layer (`codec.side_info.spatial_layer`): band covariances, whose
        principal components the
        network then codes. The hop must be a multiple of 8.
    layout : str
        Name of the loudspeaker layout that the model codes ("4+7+0"), or "" for Ambisonics.
    """

    channels: int = 16
    sample_rate_hz: int = 44_100
    encoder_dim: int = 64
    decoder_dim: int = 1536
    strides: tuple[int, ...] = (2, 4, 8, 8)
    latent_dim: int = 128
    codebooks: int = 18
    codebook_size: int = 1024
    codebook_dim: int = 8
    euclidean_search: bool = False
    dilations: tuple[int, ...] = (1, 3, 9)
    quantizer_dropout: float = 0.5
    output_tanh: bool = False
    side_layers: bool = False
    layout: str = ""

    def __post_init__(self):
        limits = dict(
            channels=(1, 256), sample_rate_hz=(8_000, 192_000), encoder_dim=(1, 1024), decoder_dim=(1, 8192),
            latent_dim=(1, 8192), codebooks=(1, 64), codebook_size=(2, 65_536), codebook_dim=(1, 256),
        )  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise InputError(f"model configuration: {name} = {value!r}; possible are {low} to {high}")
        if not _whole(self.strides, 2, 16) or not 1 <= len(self.strides) <= 8 or any(s % 2 for s in self.strides):
            raise InputError(f"model configuration: strides = {self.strides!r}; need 1 to 8 even numbers 2..16")
        if self.hop > 32_768:
            raise InputError(
                f"model configuration: strides = {self.strides}; a frame may have up to 32768 samples"
            )
        if self.decoder_dim % 2 ** len(self.strides):
            raise InputError(
                f"model configuration: decoder_dim = {self.decoder_dim} cannot be halved "
                f"{len(self.strides)} times; use a multiple of {2 ** len(self.strides)}"
            )
        for name in ("output_tanh", "side_layers", "euclidean_search"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"model configuration: {name} = {getattr(self, name)!r}; need true or false")
        if self.side_layers and self.hop % 8:
            raise InputError(
                f"model configuration: side_layers need a hop that is a multiple of 8, not {self.hop}"
            )
        if type(self.layout) is not str or self.layout.endswith(".toml"):  # a model file names no other files
            raise InputError(f"model configuration: layout = {self.layout!r}; need the name of a standard layout")
        if self.layout and len(layout(self.layout).labels) != self.channels:
            raise InputError(f"model configuration: layout {self.layout} has not {self.channels} channels")
        if type(self.quantizer_dropout) not in (int, float) or not 0.0 <= self.quantizer_dropout <= 1.0:
            raise InputError(f"model configuration: quantizer_dropout = {self.quantizer_dropout!r}; need 0..1")
        if not _whole(self.dilations, 1, 81) or len(self.dilations) > 8:
            raise InputError(f"model configuration: dilations = {self.dilations!r}; need up to 8 in 1..81")

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.strides)

    @property
    def signal_layout(self) -> str:
        """Name of the loudspeaker layout, "ambiX" (ACN/SN3D), or nothing where neither is known."""
        if self.layout:
            return layout(self.layout).name
        return "ambiX" if math.isqrt(self.channels) ** 2 == self.channels else ""

    @property
    def bits_per_code(self) -> int:
        """Bits that a code takes in the bit stream."""
        return math.ceil(math.log2(self.codebook_size))

    def bitrate_bps(self, codebooks: int | None = None) -> float:
        """Rate of the codes in bit/s: 18 · 10 bit · 44100/512 Hz = 15504 for the paper's model."""
        return (codebooks or self.codebooks) * self.bits_per_code * self.sample_rate_hz / self.hop

    def as_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Read a configuration; unknown or missing names raise `InputError`."""
        names = set(cls.__dataclass_fields__)
        # what files say that are older than these names
        older = {"output_tanh": False, "side_layers": True, "layout": "", "euclidean_search": False}
        if not isinstance(values, dict) or set(older) | set(values) != names:
            raise InputError(f"model configuration: need exactly the names {', '.join(sorted(names))}")
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (older | values).items()}
        return cls(**fields)


def _whole(values: Any, low: int, high: int) -> bool:
    """Whether it is a tuple of integers in a range."""
    return isinstance(values, tuple) and all(type(v) is int and low <= v <= high for v in values)


class Encoder(nn.Module):
    """(batch, channels, time) -> (batch, latent_dim, time / hop)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.encoder_dim
        layers: list[nn.Module] = [conv(config.channels, width, 7)]
        for stride in config.strides:
            block = [ResidualUnit(width, dilation) for dilation in config.dilations]
            layers.append(Block(*block, Snake1d(width), downsample(width, 2 * width, stride)))
            width *= 2
        layers += [Snake1d(width), conv(width, config.latent_dim, 3)]
        self.block = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch latent frame"]:
        """Encode; time must be a multiple of the hop."""
        return self.block(channels_last(x))


class Decoder(nn.Module):
    """(batch, latent_dim, frames) -> (batch, channels, frames · hop)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.decoder_dim
        layers: list[nn.Module] = [conv(config.latent_dim, width, 7)]
        for stride in reversed(config.strides):
            units = [ResidualUnit(width // 2, dilation) for dilation in config.dilations]
            layers.append(Block(Snake1d(width), upsample(width, width // 2, stride), *units))
            width //= 2
        layers += [Snake1d(width), conv(width, config.channels, 7)]
        if config.output_tanh:
            layers.append(nn.Tanh())
        self.model = nn.Sequential(*layers)

    def forward(self, latents: Float[Tensor, "batch latent frame"]) -> Float[Tensor, "batch channel time"]:
        """Decode."""
        return self.model(channels_last(latents))


class Codec(nn.Module):
    """Encoder, residual vector quantiser and decoder of one `ModelConfig`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ResidualVectorQuantizer(
            config.latent_dim,
            config.codebooks,
            config.codebook_size,
            config.codebook_dim,
            config.quantizer_dropout,
            config.euclidean_search,
        )
        self.decoder = Decoder(config)
        for module in self.modules():
            if isinstance(module, nn.Conv1d) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def fold_weight_norm(self) -> Codec:
        """Replace every (g, v) pair by the weight g·v/‖v‖: the form that is shipped and run."""
        for module in self.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self

    @property
    def is_folded(self) -> bool:
        """Whether `fold_weight_norm` was called."""
        return not parametrize.is_parametrized(self.encoder.block[0], "weight")


def count_parameters(module: nn.Module) -> int:
    """Trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters())


def contextual_frames(config: ModelConfig) -> tuple[int, int]:
    """Frames of context beyond which encoder and decoder cannot see, rounded up (encoder, decoder).

    The reach to the farther side, added up layer by layer in samples, divided by the hop. A strided
    convolution (kernel 2s, stride s, padding s/2) reaches 1.5 s - 1 samples forward, a transposed one
    1.5 s back.
    """
    units = sum(3 * dilation for dilation in config.dilations)
    encoder, decoder, step = 3.0, 3.0, 1
    for stride in config.strides:
        encoder += (units + 1.5 * stride - 1) * step
        decoder += (units + 1.5 * stride) * step
        step *= stride
    encoder, decoder = encoder + step, decoder + 3 * step
    return math.ceil(encoder / config.hop), math.ceil(decoder / config.hop)
