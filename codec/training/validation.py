"""Validation: how far the network's output is from held-out recordings, in what is heard and in space.

The signals go through encoder, codes and decoder in float32, and through the spatial layer of models that have
one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from codec.bitstream.format import packet_frame_counts
from codec.losses.bands import BAND_COUNT, BAND_WINDOW, erb_bands
from codec.losses.covariance import band_covariance_distance, covariance_distance
from codec.losses.intensity import intensities
from codec.losses.mel import mel_distance
from codec.losses.stft import stft
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.side_info.spatial_layer import Layer, codebooks_beside
from codec.training.distributed import Processes
from codec.training.excerpts import Excerpts
from codec.training.recordings import STEP
from render.common.errors import InputError
from render.hoa.layout import layout

EXCERPT_S = 6.0
LOW_HZ = 500.0


def held_out(material: Excerpts, per_recording: int, items: slice = slice(None)) -> Iterator[Tensor]:
    """Excerpts (1, channel, time) of every recording, evenly spaced, one after the other; of them `items`.

    As many as `per_recording`, or as fit (0, or fewer).
    """
    places = []
    for index, length in enumerate(material.lengths):
        fitting = length // material.frames
        count = min(per_recording or fitting, fitting)
        gap = (length - count * material.frames) / (count + 1)
        places += [(index, round(gap + k * (material.frames + gap))) for k in range(count)]
    for index, start in places[items]:
        samples = torch.empty(material.frames, material.channels, dtype=torch.int16)
        recording = material.recordings[index]
        recording.copy(start, samples.numpy())
        yield (samples.T[None].float() * (material.gains[index] * recording.step)).contiguous()


def excerpt_frames(lengths: list[int], sample_rate_hz: int, hop: int) -> int:
    """6 s, or the shortest recording, in whole frames of the codec."""
    frames = min(int(EXCERPT_S * sample_rate_hz), *lengths)
    frames -= frames % hop
    if frames < BAND_WINDOW:
        raise InputError(
            f"the shortest held-out recording has {min(lengths)} samples; validation needs {BAND_WINDOW}"
        )
    return frames


def groups(config: ModelConfig) -> dict[str, list[int]]:
    """Channels whose level is compared: the orders of a scene, the loudspeakers of a feed, or each channel."""
    if config.layout:
        return {label: [index] for index, label in enumerate(layout(config.layout).labels)}
    order = math.isqrt(config.channels)
    if order**2 == config.channels:
        return {f"order_{n}": list(range(n * n, (n + 1) ** 2)) for n in range(order)}
    return {f"channel_{index}": [index] for index in range(config.channels)}


def columns(config: ModelConfig) -> list[str]:
    """Names of what `distances` returns."""
    spatial = ["direction_deg", "diffuseness"] if config.signal_layout == "ambiX" and config.channels >= 4 else []
    levels = [f"level_{name}_db" for name in groups(config)]
    return ["mel", "covariance", "band_covariance", *spatial, "snr_db", "snr_low_db", *levels]


@torch.no_grad()
def distances(
    reference: Float[Tensor, "1 channel time"], decoded: Float[Tensor, "1 channel time"], config: ModelConfig
) -> dict[str, float]:
    """Distances of one excerpt.

    mel as in training, covariance as eq. 3, band_covariance as its mean over pairs and bands; the angle between
    the directions of the intensity, weighted by its length, and the mean difference of the diffuseness, weighted
    by the energy (DirAC, 20 bands, 58 ms); signal-to-noise ratio of all channels together, and below 500 Hz;
    level of each group of channels, above that of the reference.
    """
    rate = config.sample_rate_hz
    bands = erb_bands(rate, BAND_WINDOW, BAND_COUNT).to(decoded.device)
    x, y = (stft(signal, BAND_WINDOW, BAND_WINDOW // 4) for signal in (reference, decoded))
    pairs = max(config.channels * (config.channels - 1) / 2, 1)
    low = round(LOW_HZ * BAND_WINDOW / rate)
    found = {
        "mel": mel_distance(reference, decoded, rate),
        "covariance": covariance_distance(reference, decoded),
        "band_covariance": band_covariance_distance(x, y, bands) / pairs,
        "snr_db": _decibels(_energy(reference), _energy(reference - decoded)),
        "snr_low_db": _decibels(_energy(x[:, :, :low]), _energy((x - y)[:, :, :low])),
    }
    if "direction_deg" in columns(config):
        (u, e), (v, f) = (intensities(spectrum, bands) for spectrum in (x, y))
        lengths = torch.linalg.vector_norm(u, dim=2), torch.linalg.vector_norm(v, dim=2)
        cosine = (u * v).sum(2) / (lengths[0] * lengths[1]).clamp_min(1e-20)
        angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
        found["direction_deg"] = (angle * lengths[0]).sum() / lengths[0].sum().clamp_min(1e-20)
        diffuse = (1 - length / energy.clamp_min(1e-20) for length, energy in zip(lengths, (e, f), strict=True))
        change = torch.sub(*diffuse).abs()
        found["diffuseness"] = (change * e).sum() / e.sum().clamp_min(1e-20)
    for name, channels in groups(config).items():
        found[f"level_{name}_db"] = _decibels(_energy(decoded[:, channels]), _energy(reference[:, channels]))
    return {name: float(found[name]) for name in columns(config)}


def _energy(x: Tensor) -> Tensor:
    return x.abs().square().sum()


def _decibels(a: Tensor, b: Tensor) -> Tensor:
    """Ratio of energies in dB, limited where one is silent: 16 bits have nothing below."""
    floor = STEP**2
    return 10 * torch.log10((a + floor) / (b + floor))


@torch.no_grad()
def through(model: RVQGAN, item: Float[Tensor, "1 channel time"], quantized: bool) -> Tensor:
    """Encode and decode, through the codes if `quantized`, as many as a file has room for."""
    config = model.config
    if not config.side_layers:
        return _network(model, item, config.codebooks if quantized else None)
    layer, counts = Layer(config), packet_frame_counts(item.shape[-1] // config.hop)
    packets = list(layer.components([item[0].cpu().numpy()], counts))
    components = np.concatenate([packet.samples for packet in packets], axis=1)
    codebooks = codebooks_beside(config) if quantized else None
    decoded = _network(model, torch.from_numpy(components)[None].to(item.device), codebooks)
    channels = layer.channels([decoded[0].cpu().numpy()], counts, [packet.layer for packet in packets])
    return torch.from_numpy(np.concatenate(list(channels), axis=1))[None].to(item.device)


def _network(model: RVQGAN, signal: Float[Tensor, "1 channel time"], codebooks: int | None) -> Tensor:
    if codebooks is None:
        return model(signal, quantize=False).audio
    return model.decode(model.encode(signal, codebooks))


def validate(
    model: RVQGAN, material: Excerpts, per_recording: int, quantized: bool, processes: Processes
) -> dict[str, float]:
    """Mean distances over all held-out excerpts, one in memory at a time; each process takes a share of them."""
    names = columns(model.config)
    sums = torch.zeros(len(names) + 1, dtype=torch.float64)
    model.eval()
    for item in held_out(material, per_recording, slice(processes.rank, None, processes.count)):
        item = item.to(processes.device)
        found = distances(item, through(model, item, quantized), model.config)
        sums += torch.tensor([*(found[name] for name in names), 1.0], dtype=torch.float64)
    model.train()
    *totals, count = processes.sum(sums.to(processes.device)).tolist()
    return {name: total / count for name, total in zip(names, totals, strict=True)}
