"""The spatial layer of a stream: what is measured, sent, and done with it on both sides.

Before the network, the encoder measures each packet (`codec.side_info.analysis`), writes what it found
(`codec.side_info.parameter_coding`)
and turns the channels into the principal components of what it wrote (`codec.side_info.klt`). Behind the
network, the
decoder turns them back, each with the power that was sent, and brings the levels to those sent
(`codec.side_info.level_restoration`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from codec.bitstream.format import PACKET_FRAMES
from codec.rvqgan.codec import contextual_frames
from codec.rvqgan.config import ModelConfig
from codec.side_info import analysis as spatial
from codec.side_info import parameter_coding as spatial_code
from codec.side_info.klt import HALF, Axes, Turn, TurnBack, axes_of
from codec.side_info.level_restoration import Restorer
from codec.streaming.rechunk import rechunk


class Components(NamedTuple):
    """A packet as the network gets it, and the layer that tells the decoder what it is."""

    samples: Float32[ndarray, "channel time"]
    layer: bytes


def codebooks_beside(config: ModelConfig) -> int:
    """Codebooks that all frames of a packet have room for beside the layer."""
    if not config.side_layers:
        return config.codebooks
    bits = 8 * spatial_code.layer_bytes(config.channels, spatial.slots(PACKET_FRAMES)[1])
    return max(1, config.codebooks - -(-bits // (config.bits_per_code * PACKET_FRAMES)))


class Layer:
    """The spatial layer of the streams of a model.

    Attributes
    ----------
    margin : int
        Samples at either end of a packet that are not measured: its neighbours reach there through the network,
        the turn back, and a window. So a damaged packet changes the ends of its neighbours only.
    """

    def __init__(self, config: ModelConfig):
        self._config = config
        self._grid = config.hop, config.sample_rate_hz
        self._widths = np.diff(spatial.band_edges(config.sample_rate_hz))
        self.margin = spatial.WINDOW // 2 + spatial.WINDOW + contextual_frames(config)[1] * config.hop

    def components(
        self, parts: Iterable[Float32[ndarray, "channel time"]], frames: Iterable[int]
    ) -> Iterator[Components]:
        """Principal components of a stream of samples, packet by packet, and their layers.

        `frames` are those of each packet; the samples fill them.
        """
        config = self._config
        turn = Turn(*self._grid)
        for samples, before, length in rechunk(parts, (count * config.hop for count in frames), HALF):
            packet = samples[:, before : before + length]
            found = spatial.measure(packet, *self._grid, self.margin)
            slots = spatial.slots(length // config.hop)[1]
            layer = self._coded(found, spatial_code.layer_bytes(config.channels, slots))
            axes = self._axes(self._sent(layer, length), length)
            yield Components(turn(samples, before, length, axes), layer)

    def channels(
        self,
        parts: Iterable[Float32[ndarray, "channel time"]],
        frames: list[int],
        layers: Iterable[bytes],
    ) -> Iterator[Float32[ndarray, "channel time"]]:
        """Channels of a stream of components, packet by packet, with the image and the levels that were sent.

        A layer that says nothing lets all pass.
        """
        config = self._config
        lengths = [count * config.hop for count in frames]
        turn, restorer = TurnBack(*self._grid, self.margin), Restorer(*self._grid)
        waiting: deque[spatial_code.Parameters | None] = deque()

        def turned() -> Iterator[Float32[ndarray, "channel time"]]:
            for (samples, before, length), layer in zip(rechunk(parts, lengths, HALF), layers, strict=False):
                sent = self._sent(layer, length)
                waiting.append(sent)
                yield turn(samples, before, length, self._axes(sent, length), crc32(layer))

        for samples, before, length in rechunk(turned(), lengths, spatial.REACH):
            yield restorer.restore(samples, before, length, waiting.popleft())

    def mirrored(self, layer: bytes, frames: int, wanted: int) -> bytes:
        """Layer of a packet of `wanted` frames that plays one of `frames` frames backwards, again and again.

        Levels and powers of the network's output are those of its slots: codes mean nothing without them.
        """
        level_slots, slots = spatial.slots(wanted)
        size = spatial_code.layer_bytes(self._config.channels, slots)
        sent = self._sent(layer, frames * self._config.hop)
        if sent is None:
            return layer[:size].ljust(size, b"\0")  # that it says nothing stands at its beginning
        levels, correlations = sent.levels_db[:, :, ::-1], sent.correlations[:, :, ::-1]
        backwards = spatial_code.Parameters(
            sent.heard,
            levels.take(np.arange(level_slots), axis=2, mode="wrap"),
            correlations.take(np.arange(slots), axis=2, mode="wrap"),
        )
        return self._coded(backwards, size)

    def _coded(self, found: spatial_code.Parameters, size: int) -> bytes:
        return spatial_code.encode(found, size, self._config.signal_layout == "ambiX", self._widths)

    def _axes(self, sent: spatial_code.Parameters | None, length: int) -> Axes:
        return axes_of(sent, self._config.channels, length, *self._grid, self.margin)

    def _sent(self, layer: bytes, length: int) -> spatial_code.Parameters | None:
        """What a layer says; None if that is nothing."""
        config = self._config
        level_slots, slots = spatial.slots(length // config.hop)
        grids = (spatial.LEVEL_BANDS, level_slots), (spatial.BANDS, slots)
        return spatial_code.decode(layer, config.channels, *grids, config.signal_layout == "ambiX")
