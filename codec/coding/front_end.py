"""What happens to a signal before and after the network: nothing, as in the paper, or side information.

`Identity` is the paper: the network codes the channels, and a packet consists of codes only. `SpatialSideInfo` is
an extension that the paper does not have: each packet begins with the levels and correlations of its channels, and
the network codes their principal components (`codec.side_info`).

A model is made for one of them. `front_end_of` is the only place that asks which; everything else calls the same
methods for both. They work packet by packet on a grid that begins with the first sample, so that nothing depends
on how a signal arrives.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol
from zlib import crc32

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.sizes import PACKET_FRAMES, SLOT_FRAMES, STANDARD, Framing, side_info_bytes, slot_counts
from codec.rvqgan.config import ModelConfig
from codec.side_info import level_restoration
from codec.side_info.analysis import BANDS, LEVEL_BANDS, band_edges, measure_parameters
from codec.side_info.klt import MDCT_HOP, ForwardKLT, InverseKLT, KLTBasis, klt_basis
from codec.side_info.level_restoration import LevelRestorer
from codec.side_info.parameter_coding import SpatialParameters, decode_parameters, encode_parameters
from codec.streaming.rechunk import rechunk
from codec.streaming.stream_layers import exact_context_frames
from codec.streaming.threads import on_one_thread


class NetworkInput(NamedTuple):
    """A packet as the network codes it, and the side information that leads back to the channels."""

    samples: Float32[ndarray, "channel time"]
    side_info: bytes


class FrontEnd(Protocol):
    """What comes before and after the network of a model.

    Attributes
    ----------
    has_side_info : bool
        Whether packets carry side information.
    keeps_channels : bool
        Whether the network codes the channels themselves: only then can scenes be mixed or rotated for it, and its
        channels be compared as those of a sound field.
    codebooks_available : int
        Codebooks that all frames of a packet have room for beside the side information.
    side_info_bps : float
        Rate of the side information in bit/s.
    lead_in_packets : int
        Packets that a decoder which begins in the middle of a stream must decode and drop. After them all its
        output has the same bits as that of a decoder which began at the beginning.
    """

    has_side_info: bool
    keeps_channels: bool
    codebooks_available: int
    side_info_bps: float
    lead_in_packets: int

    def forward(
        self, signal: Iterable[Float32[ndarray, "channel time"]], packet_frames: Iterable[int]
    ) -> Iterator[NetworkInput]:
        """Turn the blocks of a signal into what the network codes, packet by packet.

        `packet_frames` are the frames of each packet; the samples of the signal fill them.
        """

    def inverse(
        self,
        decoded: Iterable[Float32[ndarray, "channel time"]],
        packet_frames: Sequence[int] | repeat[int],
        side_info: Iterable[bytes],
    ) -> Iterator[Float32[ndarray, "channel time"]]:
        """Turn the blocks that the network decoded into the channels of the signal, packet by packet.

        `side_info` is that of each packet, and is not asked for before the samples of its packet are there.
        """

    def reversed_side_info(self, side_info: bytes, frames: int, target_frames: int) -> bytes:
        """Side information of a packet of `target_frames` frames that plays one of `frames` frames backwards."""


def front_end_of(config: ModelConfig, framing: Framing = STANDARD) -> FrontEnd:
    """Front end of a model: `SpatialSideInfo` if it was made with `side_layers`, otherwise `Identity`."""
    return SpatialSideInfo(config, framing) if config.side_layers else Identity(config, framing)


class Identity:
    """The paper's codec: the network codes the channels. See `FrontEnd`."""

    has_side_info = False
    keeps_channels = True
    side_info_bps = 0.0

    def __init__(self, config: ModelConfig, framing: Framing = STANDARD):
        self._hop = config.hop
        self.codebooks_available = config.codebooks
        self.lead_in_packets = math.ceil(exact_context_frames(config) / framing.packet_frames)

    def forward(
        self, signal: Iterable[Float32[ndarray, "channel time"]], packet_frames: Iterable[int]
    ) -> Iterator[NetworkInput]:
        """Cut the signal into packets."""
        for samples, _, _ in rechunk(signal, (frames * self._hop for frames in packet_frames)):
            yield NetworkInput(samples, b"")

    def inverse(
        self,
        decoded: Iterable[Float32[ndarray, "channel time"]],
        packet_frames: Sequence[int] | repeat[int],
        side_info: Iterable[bytes],
    ) -> Iterator[Float32[ndarray, "channel time"]]:
        """Cut the decoded signal into packets."""
        for samples, _, _ in rechunk(decoded, (frames * self._hop for frames in packet_frames)):
            yield samples

    def reversed_side_info(self, side_info: bytes, frames: int, target_frames: int) -> bytes:
        """No side information, backwards."""
        return b""


class SpatialSideInfo:
    """Levels and correlations as side information, principal components for the network. See `FrontEnd`.

    Before the network, the encoder measures each packet (`codec.side_info.analysis`), codes what it measured
    (`codec.side_info.parameter_coding`) and transforms the channels into the principal components of what it coded
    (`codec.side_info.klt`). After the network, the decoder transforms the components back, each with the power
    that was sent, and restores the levels of the channels (`codec.side_info.level_restoration`).
    """

    has_side_info = True
    keeps_channels = False

    def __init__(self, config: ModelConfig, framing: Framing = STANDARD):
        self._hop, self._sample_rate_hz, self._framing = config.hop, config.sample_rate_hz, framing
        self._channels, self._ambisonic = config.channels, config.signal_layout == "ambiX"
        self._band_widths = np.diff(band_edges(config.sample_rate_hz))
        context_frames = exact_context_frames(config)

        frames = framing.packet_frames
        packet_bits = 8 * side_info_bytes(config.channels, frames, framing)
        replacing_bits = 8 * side_info_bytes(config.channels, PACKET_FRAMES)
        codebooks_replaced = -(-replacing_bits // (config.bits_per_code * PACKET_FRAMES))
        self.codebooks_available = max(1, config.codebooks - codebooks_replaced)
        self.side_info_bps = packet_bits * config.sample_rate_hz / (frames * config.hop)
        # the first packet that is kept begins with the gains of the last slot before it, in whose windows the
        # output of the network must be exact, and with the transform of the packet before it
        window_frames = math.ceil((level_restoration.CONTEXT_SAMPLES + MDCT_HOP) / config.hop)
        self.lead_in_packets = 1 + math.ceil((context_frames + window_frames + SLOT_FRAMES) / frames)

    def forward(
        self, signal: Iterable[Float32[ndarray, "channel time"]], packet_frames: Iterable[int]
    ) -> Iterator[NetworkInput]:
        """Measure each packet and transform it into principal components."""
        transform = ForwardKLT(self._hop, self._sample_rate_hz)
        for samples, before, length in rechunk(signal, (frames * self._hop for frames in packet_frames), MDCT_HOP):
            yield on_one_thread(self._forward_packet, transform, samples, before, length)

    def _forward_packet(
        self, transform: ForwardKLT, samples: Float32[ndarray, "channel time"], before: int, length: int
    ) -> NetworkInput:
        measured = measure_parameters(samples, before, length, self._hop, self._sample_rate_hz)
        side_info = self._coded(measured, side_info_bytes(self._channels, length // self._hop, self._framing))
        # of what the decoder will know, not of what was measured
        basis = self._basis(self._decoded(side_info, length), length)
        return NetworkInput(transform(samples, before, length, basis), side_info)

    def inverse(
        self,
        decoded: Iterable[Float32[ndarray, "channel time"]],
        packet_frames: Sequence[int] | repeat[int],
        side_info: Iterable[bytes],
    ) -> Iterator[Float32[ndarray, "channel time"]]:
        """Transform principal components into channels and restore their levels.

        Packets without parameters, for which the encoder had no room, pass unchanged.
        """

        def lengths() -> Iterator[int]:
            return (frames * self._hop for frames in packet_frames)

        transform = InverseKLT(self._hop, self._sample_rate_hz)
        restorer = LevelRestorer(self._hop, self._sample_rate_hz)
        waiting: deque[SpatialParameters | None] = deque()

        def channels() -> Iterator[Float32[ndarray, "channel time"]]:
            for (samples, before, length), data in zip(
                rechunk(decoded, lengths(), MDCT_HOP), side_info, strict=False
            ):
                sent = self._decoded(data, length)
                waiting.append(sent)
                basis = self._basis(sent, length)
                yield on_one_thread(transform, samples, before, length, basis, crc32(data))

        for samples, before, length in rechunk(channels(), lengths(), level_restoration.CONTEXT_SAMPLES):
            yield restorer.restore(samples, before, length, waiting.popleft())

    def reversed_side_info(self, side_info: bytes, frames: int, target_frames: int) -> bytes:
        """Levels and correlations in reverse order of the slots, again and again until they suffice.

        The decoder gives its output the levels of its slots, so that repeated codes need the levels they were
        coded with.
        """
        size = side_info_bytes(self._channels, target_frames, self._framing)
        sent = self._decoded(side_info, frames * self._hop)
        if sent is None:
            return side_info[:size].ljust(size, b"\0")  # its beginning says that it has no parameters
        level_slots, slots = slot_counts(target_frames)
        levels_db, correlations = sent.levels_db[:, :, ::-1], sent.correlations[:, :, ::-1]
        backwards = SpatialParameters(
            sent.active,
            levels_db.take(np.arange(level_slots), axis=2, mode="wrap"),
            correlations.take(np.arange(slots), axis=2, mode="wrap"),
        )
        return self._coded(backwards, size)

    def _coded(self, parameters: SpatialParameters, size: int) -> bytes:
        return encode_parameters(parameters, size, self._ambisonic, self._band_widths)

    def _decoded(self, side_info: bytes, length: int) -> SpatialParameters | None:
        """Parameters of a packet of `length` samples; None if the encoder had no room for them."""
        level_slots, slots = slot_counts(length // self._hop)
        level_grid, grid = (LEVEL_BANDS, level_slots), (BANDS, slots)
        return decode_parameters(side_info, self._channels, level_grid, grid, self._ambisonic)

    def _basis(self, sent: SpatialParameters | None, length: int) -> KLTBasis:
        return klt_basis(sent, self._channels, length, self._hop, self._sample_rate_hz)
