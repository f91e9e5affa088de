"""Decode the codes of a ``.dac`` file with the published mono model, as the stock package does.

The stock package cuts signals longer than its window into overlapping chunks and runs every convolution without
padding. Each chunk must be decoded in the same way: a convolution shortens its input at both ends, and a
transposed convolution keeps all of its output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d

from codec.checkpoints.model_file import load
from codec.coding.files import AudioOutput, DecodedAudio
from codec.descript.dac_file import DacFile, read_dac
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.layers import Block, Conv1d, ConvTranspose1d, ResidualUnit
from codec.streaming.stream_codec import StreamDecoder
from render.common.errors import InputError
from render.dsp.loudness import LoudnessMeter
from render.hoa.layout import Layout, Loudspeaker

MAX_CHUNK_FRAMES = 4096  # 48 s; a chunk is decoded at once
_PUSHED_FRAMES = 256


def decode_dac(
    model: RVQGAN, file: DacFile, where: str, threads: int | None = None
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Yield the samples of all channels, block by block, at the sample rate and the level of the model.

    The stock decoder also brings their loudness to `DacFile.input_db` (`decode_dac_at_level`) and resamples them
    to `DacFile.sample_rate`, which is left to the caller.

    Parameters
    ----------
    model : RVQGAN
        With folded weight norm and one channel.
    file : DacFile
    where : str
        Name of the file in error messages.
    threads : int, optional
        PyTorch's number by default.

    Raises
    ------
    InputError
        If the model is not mono, or has fewer codebooks or codes than the file uses, or the file is inconsistent.
    """
    config = model.config
    _, codebooks, _ = file.codes.shape
    if config.channels != 1:
        raise InputError(f"{where}: needs the mono model that coded it; this model has {config.channels} channels")
    if codebooks > config.codebooks or file.codes.max() >= config.codebook_size:
        raise InputError(
            f"{where}: {codebooks} codebooks with codes up to {file.codes.max()}; the model has "
            f"{config.codebooks} of {config.codebook_size}"
        )
    left = decoded_length(model, file)
    for block in _padded(model, file, threads) if file.padding else _chunks(model, file, where):
        yield block[:, :left]
        left -= block.shape[1]
        if left <= 0:
            return
    raise InputError(f"{where}: its codes end {left} samples before the length that it states")


def decoded_length(model: RVQGAN, file: DacFile) -> int:
    """Return the number of samples per channel at the sample rate of the model."""
    return max(1, round(file.original_length * model.config.sample_rate_hz / file.sample_rate))


def decode_dac_at_level(
    model: RVQGAN, file: DacFile, where: str, threads: int | None = None
) -> Iterator[Float32[ndarray, "channel time"]]:
    """Yield the samples at the sample rate of the model, each channel with the loudness that the file states.

    The stock decoder does the same for each channel by itself, so that the level differences between the channels,
    and with them the spatial image, are lost. Everything is decoded twice, first to measure the loudness.
    """
    mono = Layout("0+1+0", (Loudspeaker("M+000", 0.0, 0.0, False),))
    meters = [LoudnessMeter(mono, model.config.sample_rate_hz) for _ in file.codes]
    for block in decode_dac(model, file, where, threads):
        for meter, samples in zip(meters, block, strict=True):
            meter.add(samples[None])
    loudness = [meter.loudness_lufs() for meter in meters]
    gains = [10 ** ((file.input_db - measured) / 20) if np.isfinite(measured) else 1.0 for measured in loudness]
    for block in decode_dac(model, file, where, threads):
        yield block * np.array(gains, np.float32)[:, None]


def decode_dac_file(path: Path, where: str, output: AudioOutput, model_path: Path | None) -> DecodedAudio:
    """Decode a ``.dac`` file with the mono model at `model_path`; `where` names the file in messages.

    Raises
    ------
    InputError
        As in `decode_dac`, or if the file is damaged.
    """
    dac = read_dac(path)
    model, _ = load(model_path, streamed=dac.padding)  # chunks without padding are no stream
    sample_rate_hz = model.config.sample_rate_hz
    output.write(decode_dac_at_level(model, dac, where), dac.channels, sample_rate_hz)
    return DecodedAudio(dac.channels, decoded_length(model, dac), sample_rate_hz)


def _padded(model: RVQGAN, file: DacFile, threads: int | None) -> Iterator[ndarray]:
    decoders = [StreamDecoder(model, threads) for _ in file.codes]
    for start in range(0, file.codes.shape[2], _PUSHED_FRAMES):
        parts = file.codes[:, :, start : start + _PUSHED_FRAMES]
        yield np.concatenate([d.push(codes) for d, codes in zip(decoders, parts, strict=True)])
    yield np.concatenate([decoder.finish() for decoder in decoders])


@torch.inference_mode()
def _chunks(model: RVQGAN, file: DacFile, where: str) -> Iterator[ndarray]:
    if file.chunk_length > MAX_CHUNK_FRAMES:
        raise InputError(f"{where}: chunks of {file.chunk_length} frames; up to {MAX_CHUNK_FRAMES} are decoded")
    for start in range(0, file.codes.shape[2], file.chunk_length):
        codes = torch.from_numpy(file.codes[:, :, start : start + file.chunk_length])
        # One by one, so that the bits of a channel do not depend on the other channels.
        parts = [_unpadded(model.decoder.model, model.quantizer.decode(c[None]))[0].numpy() for c in codes]
        yield np.concatenate(parts)


def _unpadded(layer: nn.Module, x: Float[Tensor, "batch width time"]) -> Float[Tensor, "batch width_out time_out"]:
    """Return the output of a layer or network whose convolutions have no padding."""
    if isinstance(layer, Conv1d):
        return conv1d(x, layer.weight, layer.bias, layer.stride, 0, layer.dilation)
    if isinstance(layer, ConvTranspose1d):
        return conv_transpose1d(x, layer.weight, layer.bias, layer.stride)
    if isinstance(layer, ResidualUnit):
        y = _unpadded(layer.block, x)
        lost = (x.shape[-1] - y.shape[-1]) // 2
        return x[..., lost : x.shape[-1] - lost] + y
    if isinstance(layer, Block | nn.Sequential):
        for part in layer.block if isinstance(layer, Block) else layer:
            x = _unpadded(part, x)
        return x
    return layer(x)
