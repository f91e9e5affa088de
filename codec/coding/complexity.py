"""What a model costs: ``python -m codec.profile [--model M | --preset paper]``.

Parameters, multiply-accumulates per second of audio, real-time factor, memory and latency, beside one mono codec
of the published architecture for each channel (its operations counted; bench/against_stock.py measures its times).
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import torch

from codec.bitstream.format import PACKET_FRAMES
from codec.coding.pipeline import decode_packets, encode_packets, make_header, survey
from codec.rvqgan.codec import Codec, ModelConfig, count_parameters
from codec.side_info.analysis import REACH
from codec.side_info.klt import HALF
from codec.streaming.stream_codec import StreamDecoder, StreamEncoder


def macs_per_second(config: ModelConfig) -> dict[str, float]:
    """Multiply-accumulates per second of audio of encoder, quantiser and decoder.

    A convolution costs channels_in · channels_out · kernel per output sample, a transposed one per input sample,
    the search in a codebook its rows times its dimensions. Snake, biases and the side layers are not counted.
    """
    rate_hz: float = config.sample_rate_hz
    width, units = config.encoder_dim, len(config.dilations)
    encoder = rate_hz * config.channels * width * 7
    for stride in config.strides:
        encoder += rate_hz * units * width * width * (7 + 1)
        rate_hz /= stride
        encoder += rate_hz * width * (2 * width) * (2 * stride)
        width *= 2
    encoder += rate_hz * width * config.latent_dim * 3

    projections = 2 * config.latent_dim * config.codebook_dim
    quantiser = rate_hz * config.codebooks * (projections + config.codebook_size * config.codebook_dim)

    width = config.decoder_dim
    decoder = rate_hz * config.latent_dim * width * 7
    for stride in reversed(config.strides):
        decoder += rate_hz * width * (width // 2) * (2 * stride)
        rate_hz *= stride
        width //= 2
        decoder += rate_hz * units * width * width * (7 + 1)
    decoder += rate_hz * width * config.channels * 7
    return {"encoder": encoder, "quantiser": quantiser, "decoder": decoder}


def measure(model: Codec, seconds: float) -> dict[str, float]:
    """Times per second of audio and memory, on noise, through the real bit stream."""
    config = model.config
    noise = np.random.default_rng(0).standard_normal((config.channels, round(seconds * config.sample_rate_hz)))
    samples = (0.05 * noise).astype(np.float32)
    short = [samples[:, : config.hop]]
    list(encode_packets(model, make_header(model, bytes(8), survey(short)), short))  # so that all is compiled
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    header = make_header(model, bytes(8), survey([samples]))
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


def profile(model: Codec, seconds: float) -> dict[str, Any]:
    """Everything that the command prints."""
    config = model.config
    mono = ModelConfig(channels=1, sample_rate_hz=config.sample_rate_hz, output_tanh=True)
    network = StreamEncoder(model).latency_samples + StreamDecoder(model).latency_frames * config.hop
    # a packet's layer is known at its end, and the encoder looks into the next packet
    layer = 2 * PACKET_FRAMES * config.hop + 2 * HALF + REACH
    whole = network + (layer if config.side_layers else 0)
    return {
        "channels": config.channels,
        "parameters": count_parameters(model),
        "code_bps": config.bitrate_bps(),
        "macs_per_s": macs_per_second(config),
        "mono_macs_per_s": macs_per_second(mono),
        "latency_s": whole / config.sample_rate_hz,
        "threads": torch.get_num_threads(),
        **measure(model, seconds),
    }
