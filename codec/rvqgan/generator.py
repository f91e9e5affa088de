"""Encoder and decoder of the generator (Kumar et al. 2023), with C channels at the input and the output."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.layers import Block, ResidualUnit, Snake1d, channels_last, conv, downsample, upsample


class Encoder(nn.Module):
    """Audio (batch, channel, time) to latents (batch, latent, time / hop)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.encoder_dim
        layers: list[nn.Module] = [conv(config.channels, width, 7)]
        for stride in config.strides:
            units = [ResidualUnit(width, dilation) for dilation in config.dilations]
            layers.append(Block(*units, Snake1d(width), downsample(width, 2 * width, stride)))
            width *= 2
        layers += [Snake1d(width), conv(width, config.latent_dim, 3)]
        self.block = nn.Sequential(*layers)

    def forward(self, audio: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch latent frame"]:
        """Return the latents; `time` must be a multiple of the hop."""
        return self.block(channels_last(audio))


class Decoder(nn.Module):
    """Latents (batch, latent, frame) to audio (batch, channel, frame · hop)."""

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
        """Return the audio."""
        return self.model(channels_last(latents))
