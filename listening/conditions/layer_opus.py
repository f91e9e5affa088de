"""``layer_opus_<kbps>`` and ``layer_only``: the codec's spatial layer with Opus, or with noise, for its network.

The layer is the front end of the proposed codec, unchanged (`codec.coding.front_end.SpatialSideInfo`): levels and
correlations at 3.2 kbit/s, principal components, and a decoder that gives every component its power and restores
the levels. In ``layer_opus_<kbps>`` the strongest components are coded by Opus as mono streams at a constant rate
that fills the total; all others are left to the layer, which fills them with noise. In ``layer_only`` all
components are noise, so that it shows what the layer does by itself. `listening.conditions.parametric_file`
describes the file, whose side information is that of all packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.sizes import packet_frame_counts, side_info_bytes
from listening.conditions.alignment import OPUS_MAX_LAG, aligned
from listening.conditions.condition import Condition, ConditionKind, ExpectedProperties, Rendition
from listening.conditions.condition_id import ConditionId, IdForm
from listening.conditions.parametric_file import OVERHEAD_BYTES, ParametricFile, parse, with_opus
from listening.opus_codec.codec import version
from render.common.errors import InputError
from render.hoa.scene import Scene

if TYPE_CHECKING:
    from codec.coding.front_end import NetworkInput, SpatialSideInfo

MAGIC = b"LYOP"
KBPS_PER_COMPONENT = 12
"""Every further component needs so much of what the layer leaves."""
RATES_KBPS = (10, 160)
NOISE_SEED = 1
_NOISE_RMS = (
    0.3  # well above any component, since the layer attenuates without limit and amplifies by 9 dB at most
)
_LAYER_KBPS = 4.3
LAYER_ONLY = IdForm("layer_only")
LAYER_OPUS = IdForm("layer_opus_<kbps>", range(1, 1000), 16)


def components(kbps: int) -> int:
    """Number of components that Opus codes: one for each 12 kbit/s beside the layer, at least one."""
    return min(max(int((kbps - _LAYER_KBPS) // KBPS_PER_COMPONENT), 1), 16)


def _layer(channels: int, sample_rate_hz: int) -> tuple[SpatialSideInfo, int]:
    """Front end of a codec with the published hop, and the hop."""
    from codec.coding.front_end import SpatialSideInfo  # and PyTorch: only where the layer is used
    from codec.rvqgan.config import ModelConfig

    config = replace(ModelConfig(), channels=channels, sample_rate_hz=sample_rate_hz, side_layers=True)
    return SpatialSideInfo(config, offset_period=0), config.hop


def encode(scene: Scene, kbps: int) -> bytes:
    """Encode a scene at a constant rate that includes everything; 0 kbit/s: the layer alone.

    Raises
    ------
    InputError
        If libopus is missing, or the scene is so short that the layer leaves no room for Opus.
    """
    from codec.coding.pipeline import level_gain_q8_db, summarise

    channels, rate_hz = len(scene.samples), scene.sample_rate_hz
    layer, hop = _layer(channels, rate_hz)
    gain_q8_db = level_gain_q8_db(summarise([scene.samples]).rms)
    about = ParametricFile(channels, rate_hz, scene.length, gain_q8_db, b"")
    frames = -(-scene.length // hop)
    padded = np.pad(scene.samples * np.float32(about.gain), ((0, 0), (0, frames * hop - scene.length)))
    packets: list[NetworkInput] = list(layer.forward([padded], packet_frame_counts(frames)))
    about = replace(about, side_info=b"".join(packet.side_info for packet in packets))
    if not kbps:
        return about.pack(MAGIC)
    strongest = np.concatenate([packet.samples[: components(kbps)] for packet in packets], axis=1)[
        :, : scene.length
    ]
    total = kbps * 1000 * scene.length // rate_hz // 8 - OVERHEAD_BYTES - len(about.side_info)
    return with_opus(about, np.ascontiguousarray(strongest, np.float32), total).pack(MAGIC)


def decode(payload: bytes, where: str = "stream") -> Scene:
    """Decode a file of `encode`.

    Raises
    ------
    InputError
        If the bytes are not such a file, or are damaged.
    """
    file = parse(payload, MAGIC, where)
    layer, hop = _layer(file.channels, file.sample_rate_hz)
    frames = packet_frame_counts(-(-file.length // hop))
    sizes = [side_info_bytes(file.channels, count) for count in frames]
    if len(file.side_info) != sum(sizes):
        raise InputError(f"{where}: {len(file.side_info)} bytes of side information, not {sum(sizes)}")
    ends = np.cumsum(sizes)
    side_info = [file.side_info[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    total = sum(frames) * hop
    network = _opus_components(file, total, where) if file.streams else _noise(file.channels, total)
    samples = np.concatenate(list(layer.inverse([network], frames, iter(side_info))), axis=1)
    return Scene(samples[:, : file.length] / np.float32(file.gain), file.sample_rate_hz)


def _opus_components(file: ParametricFile, total: int, where: str) -> Float32[ndarray, "component time"]:
    """Components that Opus coded; all others are silent, for the layer to fill."""
    result = np.zeros((file.channels, total), np.float32)
    result[: file.streams, : file.length] = file.decoded(where)
    return result


def _noise(channels: int, total: int) -> Float32[ndarray, "component time"]:
    random = np.random.Generator(np.random.Philox(key=NOISE_SEED))
    return (_NOISE_RMS * random.standard_normal((channels, total))).astype(np.float32)


def create(condition_id: ConditionId, _parameters: Mapping[str, Any]) -> Condition:
    """Condition that sends a scene through the layer, with Opus at the rate in the id or with noise.

    Raises
    ------
    InputError
        If libopus is missing or the rate is out of range.
    """
    kbps = condition_id.number or 0
    if condition_id.form == LAYER_ONLY.template:
        return Condition(
            condition_id.text,
            __name__,
            lambda scene: Rendition(decode(payload := encode(scene, 0)), payload, ".lyop"),
            {"noise_seed": NOISE_SEED},
            ExpectedProperties(follows_waveform=False, is_codec=True),
        )
    low, high = RATES_KBPS
    if not low <= kbps <= high:
        raise InputError(f"the spatial layer with Opus at {kbps} kbit/s; possible are {low} to {high}")
    return Condition(
        condition_id.text,
        __name__,
        lambda scene: _rendition(scene, kbps),
        {"kbps": kbps, "components": components(kbps), "libopus": version()},
        ExpectedProperties(constant_kbps=kbps, is_codec=True),
    )


def _rendition(scene: Scene, kbps: int) -> Rendition:
    payload = encode(scene, kbps)
    shifted, lag = aligned(scene, decode(payload), OPUS_MAX_LAG)
    return Rendition(shifted, payload, ".lyop", {"lag_compensated_samples": lag})


KIND = ConditionKind(create, (LAYER_OPUS,), needs_libopus=True, needs_codec=True)
KIND_WITHOUT_OPUS = ConditionKind(create, (LAYER_ONLY,), needs_codec=True)
