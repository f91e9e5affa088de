"""Complexity of a model: parameters, operations and time per second of audio, memory and latency."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from codec.bitstream.sizes import LOW_DELAY, STANDARD
from codec.coding.low_delay import delay_samples
from codec.coding.pipeline import decode_packets, encode_packets, make_header, summarise
from codec.rvqgan.codec import RVQGAN, convolutions, count_parameters, meta_model
from codec.rvqgan.config import ModelConfig
from codec.streaming.stream_layers import fastest_layers


def macs_per_second(config: ModelConfig) -> dict[str, float]:
    """Multiply-accumulate operations per second of audio of the encoder, the quantiser and the decoder.

    A convolution applies its kernel once per output sample, a transposed one once per input sample, and a search
    multiplies a latent by every vector of a codebook. Snake, biases and side information are not counted.
    """
    model = meta_model(config)
    frames_per_s = config.sample_rate_hz / config.hop
    projections = _convolution_macs(model.quantizer, frames_per_s)
    searches = sum(quantizer.codebook.weight.numel() for quantizer in model.quantizer.codebooks) * frames_per_s
    return {
        "encoder": _convolution_macs(model.encoder, config.sample_rate_hz),
        "quantiser": projections + searches,
        "decoder": _convolution_macs(model.decoder, frames_per_s),
    }


def _convolution_macs(network: nn.Module, rate_hz: float) -> float:
    """Multiply-accumulate operations per second of a network's convolutions, given the rate of its input."""
    macs = 0.0
    for layer in convolutions(network):
        if isinstance(layer, nn.ConvTranspose1d):
            macs += layer.weight.numel() * rate_hz
            rate_hz *= layer.stride[0]
        else:
            rate_hz /= layer.stride[0]
            macs += layer.weight.numel() * rate_hz
    return macs


def measure(model: RVQGAN, seconds: float) -> dict[str, float]:
    """Measure the time per second of audio and the memory (in MB) of coding `seconds` of noise as a bit stream."""
    config = model.config
    noise = np.random.default_rng(0).standard_normal((config.channels, round(seconds * config.sample_rate_hz)))
    samples = (0.05 * noise).astype(np.float32)
    short = [samples[:, : config.hop]]
    list(encode_packets(model, make_header(model, bytes(8), summarise(short)), short))  # so that all is compiled
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    header = make_header(model, bytes(8), summarise([samples]))
    packets = list(encode_packets(model, header, [samples]))
    middle = time.perf_counter()
    for _ in decode_packets(model, header, packets):
        pass
    end = time.perf_counter()
    return {
        "encode_s_per_s": (middle - begin) / seconds,
        "decode_s_per_s": (end - middle) / seconds,
        "memory_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "memory_above_model_MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def profile(model: RVQGAN, seconds: float) -> dict[str, Any]:
    """Return what codec.profile prints; `mono_macs_per_s` are the operations of a published mono codec.

    The latencies are those of streams: the samples after a moment that must be known before it is played.
    """
    config = model.config
    mono = ModelConfig(channels=1, sample_rate_hz=config.sample_rate_hz, output_tanh=True)
    return {
        "channels": config.channels,
        "parameters": count_parameters(model),
        "code_bps": config.bitrate_bps(),
        "macs_per_s": macs_per_second(config),
        "mono_macs_per_s": macs_per_second(mono),
        "latency_s": delay_samples(model, STANDARD) / config.sample_rate_hz,
        "low_delay_latency_s": delay_samples(model, LOW_DELAY) / config.sample_rate_hz,
        "threads": torch.get_num_threads(),
        "kernel": fastest_layers(next(model.quantizer.parameters()).device).NAME,
        **measure(model, seconds),
    }
