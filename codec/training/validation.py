"""Validation: distances in timbre, level and space between held-out recordings and what the codec makes of them.

The signals pass front end, encoder, codes and decoder in float32, as they do in a stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from codec.bitstream.sizes import packet_frame_counts
from codec.coding.front_end import usual_front_end
from codec.losses.bands import BAND_COUNT, BAND_HOP, BAND_WINDOW, erb_bands
from codec.losses.covariance import band_covariance_distance, covariance_distance
from codec.losses.intensity import intensities
from codec.losses.mel import mel_distance
from codec.losses.stft import stft
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from codec.training.distributed import Processes
from codec.training.recordings import INT16_SCALE, NormalisedRecording
from render.common.errors import InputError
from render.hoa.layout import layout

LOW_HZ = 500.0


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Held-out recordings, and which excerpts of them are validated.

    Attributes
    ----------
    recordings : list of NormalisedRecording
    length : int
        Samples per channel of an excerpt.
    per_recording : int
        Excerpts of each recording, at most as many as fit without overlap; 0: as many as fit.
    """

    recordings: list[NormalisedRecording]
    length: int
    per_recording: int

    def positions(self) -> list[tuple[NormalisedRecording, int]]:
        """Return recording and first sample of every excerpt, evenly spaced in each recording."""
        positions = []
        for recording in self.recordings:
            fitting = recording.length // self.length
            count = min(self.per_recording or fitting, fitting)
            gap = (recording.length - count * self.length) / (count + 1)
            positions += [(recording, round(gap + k * (self.length + gap))) for k in range(count)]
        return positions

    def excerpts(self, part: slice = slice(None)) -> Iterator[Float[Tensor, "1 channel time"]]:
        """Read the excerpts one after the other, or those of them that `part` selects."""
        for recording, start in self.positions()[part]:
            samples = torch.empty(self.length, recording.samples.about.channels, dtype=torch.int16)
            recording.samples.copy(start, samples.numpy())
            yield (samples.T[None].float() * recording.factor).contiguous()


def excerpt_length(lengths: list[int], sample_rate_hz: int, hop: int, seconds: float) -> int:
    """Return the length of validation excerpts in samples: `seconds` or the shortest recording, in whole hops.

    Raises
    ------
    InputError
        If the shortest of the recordings, whose lengths in samples are given, is too short for a spectrum.
    """
    length = min(int(seconds * sample_rate_hz), *lengths)
    length -= length % hop
    if length < BAND_WINDOW:
        raise InputError(
            f"the shortest held-out recording has {min(lengths)} samples; validation needs {BAND_WINDOW}"
        )
    return length


def channel_groups(config: ModelConfig) -> dict[str, list[int]]:
    """Return the channels whose level is compared: orders of a scene, loudspeakers of a feed, or each."""
    if config.layout:
        return {label: [index] for index, label in enumerate(layout(config.layout).labels)}
    order = math.isqrt(config.channels)
    if order**2 == config.channels:
        return {f"order_{n}": list(range(n * n, (n + 1) ** 2)) for n in range(order)}
    return {f"channel_{index}": [index] for index in range(config.channels)}


def columns(config: ModelConfig) -> list[str]:
    """Return the names of the distances that `distances` returns for a model."""
    spatial = ["direction_deg", "diffuseness"] if config.signal_layout == "ambiX" and config.channels >= 4 else []
    levels = [f"level_{name}_db" for name in channel_groups(config)]
    return ["mel", "covariance", "band_covariance", *spatial, "snr_db", "snr_low_db", *levels]


@torch.no_grad()
def distances(
    reference: Float[Tensor, "1 channel time"], decoded: Float[Tensor, "1 channel time"], config: ModelConfig
) -> dict[str, float]:
    """Return the distances between an excerpt and its decoded version.

    - ``mel``: as in training (`codec.losses`), the sum over seven scales
    - ``covariance``: eq. 3 of the paper
    - ``band_covariance``: eq. 3 in ERB bands, mean over pairs of channels and bands
    - ``direction_deg``: angle between the intensity vectors, weighted by the length of the reference's
      (DirAC, 20 bands, 58 ms; Ambisonics only)
    - ``diffuseness``: mean difference of the diffuseness, weighted by the reference's energy (Ambisonics only)
    - ``snr_db``, ``snr_low_db``: signal-to-noise ratio of all channels together, and below 500 Hz
    - ``level_<group>_db``: level of each group of channels (`channel_groups`) relative to the reference
    """
    rate = config.sample_rate_hz
    bands = erb_bands(rate, BAND_WINDOW, BAND_COUNT).to(decoded.device)
    x, y = (stft(signal, BAND_WINDOW, BAND_HOP) for signal in (reference, decoded))
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
    for name, channels in channel_groups(config).items():
        found[f"level_{name}_db"] = _decibels(_energy(decoded[:, channels]), _energy(reference[:, channels]))
    return {name: float(found[name]) for name in columns(config)}


def _energy(x: Tensor) -> Tensor:
    return x.abs().square().sum()


def _decibels(a: Tensor, b: Tensor) -> Tensor:
    """Return the ratio of two energies in dB, limited where one is silent: 16 bits resolve nothing below."""
    floor = INT16_SCALE**2
    return 10 * torch.log10((a + floor) / (b + floor))


@torch.no_grad()
def decoded_excerpt(
    model: RVQGAN, excerpt: Float[Tensor, "1 channel time"], quantized: bool
) -> Float[Tensor, "1 channel time"]:
    """Encode and decode an excerpt.

    If `quantized` it passes the codes, of all codebooks of which a file has at least a part.
    """
    front_end = usual_front_end(model.config)
    counts = packet_frame_counts(excerpt.shape[-1] // model.config.hop)
    packets = list(front_end.forward([excerpt[0].cpu().numpy()], counts))
    signal = np.concatenate([packet.samples for packet in packets], axis=1)
    codebooks = front_end.codebooks_available if quantized else None
    decoded = _network(model, torch.from_numpy(signal)[None].to(excerpt.device), codebooks)
    channels = front_end.inverse([decoded[0].cpu().numpy()], counts, [packet.side_info for packet in packets])
    return torch.from_numpy(np.concatenate(list(channels), axis=1))[None].to(excerpt.device)


def _network(model: RVQGAN, signal: Float[Tensor, "1 channel time"], codebooks: int | None) -> Tensor:
    if codebooks is None:
        return model(signal, quantize=False).audio
    return model.decode(model.encode(signal, codebooks))


def validate(model: RVQGAN, validation: ValidationSet, quantized: bool, group: Processes) -> dict[str, float]:
    """Return the means of `distances` over all held-out excerpts.

    Only one excerpt is in memory at a time, and each process takes its share of them.
    """
    names = columns(model.config)
    sums = torch.zeros(len(names) + 1, dtype=torch.float64)
    model.eval()
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        for excerpt in validation.excerpts(slice(group.rank, None, group.count)):
            excerpt = excerpt.to(group.device)
            found = distances(excerpt, decoded_excerpt(model, excerpt, quantized), model.config)
            sums += torch.tensor([*(found[name] for name in names), 1.0], dtype=torch.float64)
    model.train()
    *totals, count = group.all_reduce_sum(sums.to(group.device)).tolist()
    return {name: total / count for name, total in zip(names, totals, strict=True)}
