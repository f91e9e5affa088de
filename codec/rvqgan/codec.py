"""The multichannel RVQGAN: encoder, residual vector quantiser and decoder.

The architecture is that of Descript's audio codec (Kumar et al. 2023) with C channels at the input and the output,
as the paper proposes it for Ambisonics. A model of 7.1.4 loudspeaker signals is the same network with C = 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.generator import Decoder, Encoder
from codec.rvqgan.quantizer import ResidualVectorQuantizer
from render.common.errors import InputError


class Reconstruction(NamedTuple):
    """Result of `RVQGAN.forward`; all values are float32, and `codes` are integers.

    Attributes
    ----------
    audio : (batch, channel, time)
    latents : (batch, latent, frame)
        Output of the encoder, before quantisation.
    codes : (batch, codebook, frame) or None
        Codes of all codebooks. They and the two losses are None if the latents were not quantised.
    commitment_loss, codebook_loss : scalar or None
        See `ResidualVectorQuantizer.forward`.
    """

    audio: Float[Tensor, "batch channel time"]
    latents: Float[Tensor, "batch latent frame"]
    codes: Int[Tensor, "batch codebook frame"] | None = None
    commitment_loss: Float[Tensor, ""] | None = None
    codebook_loss: Float[Tensor, ""] | None = None


class RVQGAN(nn.Module):
    """The codec of one `ModelConfig`.

    Parameters
    ----------
    config : ModelConfig
    weight_norm : bool
        Whether every convolution is parametrised by gain and direction (Salimans and Kingma 2016), as in training.
        Without it the model is in the form in which it is stored and run; see `fold_weight_norm`.

    Attributes
    ----------
    takes_channels : bool
        Whether the network codes channels of audio. It is false for a model file that was made for a front end,
        whose network codes what that makes of the channels: `encode`, `decode` and `forward` then raise
        `InputError`, because with channels they would silently give something else than the codec.
    stored : callable, optional
        Reads a layer of the encoder or the decoder with its weights, where these stay in the model file. Such a
        network only runs as a stream (`codec.streaming`), which holds them in the form that it computes with.
    """

    def __init__(self, config: ModelConfig, weight_norm: bool = True):
        super().__init__()
        self.config = config
        self.takes_channels = True
        self.stored: Callable[[nn.Module], nn.Module] | None = None
        self.encoder = Encoder(config)
        self.quantizer = ResidualVectorQuantizer(config)
        self.decoder = Decoder(config)
        for layer in convolutions(self):
            if (
                isinstance(layer, nn.Conv1d) and layer.bias is not None
            ):  # as published: not those of transposed ones
                nn.init.zeros_(layer.bias)
            if weight_norm:
                parametrizations.weight_norm(layer)

    def encode(
        self, audio: Float[Tensor, "batch channel time"], codebooks: int | None = None
    ) -> Int[Tensor, "batch codebook frame"]:
        """Return the codes of the audio.

        Parameters
        ----------
        audio : float (batch, channel, time)
            `time` must be a multiple of the hop.
        codebooks : int, optional
            Number of codebooks to use, counted from the first; all by default. A number that the model does not
            have raises `InputError`.
        """
        self._check_runs()
        return self.quantizer.encode(self.encoder(audio), codebooks)

    def decode(self, codes: Int[Tensor, "batch codebook frame"]) -> Float[Tensor, "batch channel time"]:
        """Return the audio of codes of the first 1 to all codebooks; invalid codes raise `InputError`."""
        self._check_runs()
        return self.decoder(self.quantizer.decode(codes))

    def forward(
        self,
        audio: Float[Tensor, "batch channel time"],
        active_codebooks: Int[Tensor, " batch"] | None = None,
        quantize: bool = True,
    ) -> Reconstruction:
        """Encode, quantise and decode, with gradients, as in training.

        Under autocast, only the encoder and the decoder compute in reduced precision: in bfloat16 another code
        would often be the nearest.

        Parameters
        ----------
        audio : float (batch, channel, time)
            `time` must be a multiple of the hop.
        active_codebooks : int (batch,), optional
            Number of codebooks that contribute to each item (`ResidualVectorQuantizer.draw_active_codebooks`);
            all by default.
        quantize : bool
            Whether the latents are quantised; otherwise they enter the decoder as they are.
        """
        self._check_runs()
        latents = self.encoder(audio).float()
        if not quantize:
            return Reconstruction(self.decoder(latents).float(), latents)
        with torch.autocast(audio.device.type, enabled=False):
            quantized = self.quantizer(latents, active_codebooks)
        return Reconstruction(
            self.decoder(quantized.latents).float(),
            latents,
            quantized.codes,
            quantized.commitment_loss,
            quantized.codebook_loss,
        )

    def _check_runs(self) -> None:
        if self.stored is not None:
            raise InputError(
                "the weights of this network are in its file, for streams; load it without `streamed`"
            )
        if not self.takes_channels:
            raise InputError(
                "this network codes what its front end makes of the channels, not the channels; hoa.load() gives "
                "the whole codec (docs/python.md)"
            )

    def fold_weight_norm(self) -> RVQGAN:
        """Replace gain g and direction v of every convolution by its weight g·v/‖v‖, and return the model."""
        for layer in convolutions(self):
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        return self

    @property
    def is_folded(self) -> bool:
        """Whether the convolutions have plain weights."""
        return not any(parametrize.is_parametrized(layer, "weight") for layer in convolutions(self))


def convolutions(network: nn.Module) -> list[nn.Conv1d | nn.ConvTranspose1d]:
    """Return the convolutions of a network in the order in which the signal passes them."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)]


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def contextual_frames(config: ModelConfig) -> tuple[int, int]:
    """Return the frames of context beyond which the encoder and the decoder cannot see, rounded up.

    An output depends on the inputs up to `encoder` or `decoder` frames before and after it, not beyond.
    """
    model = meta_model(config)
    encoder = _reach(model.encoder, samples=1) / config.hop
    decoder = _reach(model.decoder, samples=config.hop) / config.hop
    return math.ceil(encoder), math.ceil(decoder)


def _reach(network: nn.Module, samples: int) -> int:
    """Return the reach of a network to its farther side in audio samples, of which its input has one in `samples`.

    A convolution of kernel k, dilation d and padding p reaches (k - 1)·d - p inputs forward. A transposed one
    reaches k - p outputs back.
    """
    reach = 0
    for layer in convolutions(network):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        if isinstance(layer, nn.ConvTranspose1d):
            samples //= stride
            reach += (kernel - padding) * samples
        else:
            reach += ((kernel - 1) * layer.dilation[0] - padding) * samples
            samples *= stride
    return reach


def meta_model(config: ModelConfig) -> RVQGAN:
    """Return a folded model without memory for its parameters (on PyTorch's "meta" device).

    It describes the architecture: names, shapes, strides and the order of layers can be read from it.
    """
    with torch.device("meta"):
        return RVQGAN(config, weight_norm=False)
