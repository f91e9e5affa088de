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

from codec.bitstream.sizes import (
    CODEBOOKS_KEPT,
    PACKET_FRAMES,
    SLOT_FRAMES,
    STANDARD,
    Framing,
    coefficient_bytes,
    envelope_bytes,
    side_info_bytes,
    slot_counts,
)
from codec.rvqgan.config import ModelConfig
from codec.side_info import level_restoration
from codec.side_info.analysis import BANDS, LEVEL_BANDS, band_edges, measure_parameters, window_grid
from codec.side_info.attacks import CONTEXT_SAMPLES, Attack, attenuate_before, find_attacks
from codec.side_info.band_slopes import set_slopes
from codec.side_info.coefficient_coding import CoefficientGrid, decode_detail, encode_detail
from codec.side_info.klt import MDCT_HOP, ForwardKLT, InverseKLT, KLTBasis, inverse_mdct, klt_basis, mdct_of_packet
from codec.side_info.level_restoration import LevelRestorer
from codec.side_info.parameter_coding import SpatialParameters, decode_parameters, encode_parameters
from codec.side_info.periodic_offset import REACH, without_periodic_offset
from codec.side_info.temporal_envelope import (
    REACH_SAMPLES,
    decode_envelope,
    encode_envelope,
    envelope_edges,
    impose_envelope,
    relative_loudness,
    window_count,
)
from codec.side_info.weak_components import nearest_laws
from codec.streaming.rechunk import rechunk, whole_units
from codec.streaming.stream_layers import exact_context_frames
from codec.streaming.threads import on_one_thread

_USUAL_UNITS = 30  # 10.3 kbit/s, and 0.65 kbit/s for the envelope


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
        Codebooks of which a packet has room for at least a part beside the side information.
    side_info_bps : float
        Rate of the side information in bit/s.
    lookahead_samples : int
        Samples after a packet that `forward` waits for.
    lead_in_packets : int
        Packets that a decoder which begins in the middle of a stream must decode and drop. After them all its
        output has the same bits as that of a decoder which began at the beginning.
    """

    has_side_info: bool
    keeps_channels: bool
    codebooks_available: int
    side_info_bps: float
    lookahead_samples: int
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


def front_end_of(config: ModelConfig, framing: Framing = STANDARD, coefficient_units: int = 0) -> FrontEnd:
    """Front end of a model: `SpatialSideInfo` if it was made with `side_layers`, otherwise `Identity`.

    `framing` and `coefficient_units` are those of the header of a stream, `codec.bitstream.format.Header`.
    """
    return SpatialSideInfo(config, framing, coefficient_units) if config.side_layers else Identity(config, framing)


def usual_coefficient_units(config: ModelConfig) -> int:
    """Size of attacks and coefficients that leaves room for two codebooks, at most that for 16 channels.

    The envelope takes a part of the second one.
    """
    if not config.side_layers:
        return 0
    codebook_bytes = SLOT_FRAMES * config.bits_per_code // 8  # in a slot
    left = (config.codebooks - CODEBOOKS_KEPT) * codebook_bytes - side_info_bytes(config.channels, SLOT_FRAMES)
    return min(max(left // coefficient_bytes(1, SLOT_FRAMES), 0), _USUAL_UNITS)


def usual_front_end(config: ModelConfig) -> FrontEnd:
    """Front end of a file with as many coefficients as usual, which a model is trained for."""
    return front_end_of(config, coefficient_units=usual_coefficient_units(config))


class Identity:
    """The paper's codec: the network codes the channels. See `FrontEnd`."""

    has_side_info = False
    keeps_channels = True
    side_info_bps = 0.0
    lookahead_samples = 0

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
            del samples  # before the next one takes memory

    def reversed_side_info(self, side_info: bytes, frames: int, target_frames: int) -> bytes:
        """No side information, backwards."""
        return b""


class SpatialSideInfo:
    """Levels, correlations, envelope, attacks and coefficients as side information, components for the network.

    Before the network, the encoder measures each packet (`codec.side_info.analysis`), codes what it measured
    (`codec.side_info.parameter_coding`) and transforms the channels into the principal components of what it coded
    (`codec.side_info.klt`), of which it codes the strongest up to 4.6 kHz
    (`codec.side_info.coefficient_coding`), the envelope above (`codec.side_info.temporal_envelope`), and attacks
    (`codec.side_info.attacks`). After the network, the decoder removes its offset
    (`codec.side_info.periodic_offset`), puts the coefficients that were sent into their place, transforms the
    components back, each with the power that was sent (`codec.side_info.weak_components`), takes the steps between
    bands from the spectra (`codec.side_info.band_slopes`), imposes the envelope, restores the levels of the
    channels (`codec.side_info.level_restoration`), and turns down what is too loud before attacks. See `FrontEnd`.

    Parameters
    ----------
    config : ModelConfig
    framing : Framing
    coefficient_units : int
        Size of attacks and coefficients, and so of the envelope, as in the header; 0: there are none.
    offset_period : int, optional
        Samples after which the offset of the network repeats: by default those from one frame to the next behind
        the first stage of its decoder. With 0, nothing is removed.
    """

    has_side_info = True
    keeps_channels = False

    def __init__(
        self,
        config: ModelConfig,
        framing: Framing = STANDARD,
        coefficient_units: int = 0,
        offset_period: int | None = None,
    ):
        self._hop, self._sample_rate_hz, self._framing = config.hop, config.sample_rate_hz, framing
        self._channels, self._ambisonic = config.channels, config.signal_layout == "ambiX"
        self._band_widths = np.diff(band_edges(config.sample_rate_hz))
        self._envelope_edges = envelope_edges(config.sample_rate_hz)
        self._units = coefficient_units
        self.lookahead_samples = max(MDCT_HOP, CONTEXT_SAMPLES) if coefficient_units else MDCT_HOP
        self._offset_period = config.hop // config.strides[-1] if offset_period is None else offset_period
        self._offset_reach = REACH * self._offset_period
        context_frames = exact_context_frames(config)

        frames = framing.packet_frames
        replacing = side_info_bytes(config.channels, PACKET_FRAMES)
        replacing += self._envelope_bytes(PACKET_FRAMES) + self._detail_bytes(PACKET_FRAMES)
        codebooks_replaced = 8 * replacing // (config.bits_per_code * PACKET_FRAMES)
        self.codebooks_available = max(1, config.codebooks - codebooks_replaced)
        packet_bytes = self._parameter_bytes(frames) + self._envelope_bytes(frames) + self._detail_bytes(frames)
        self.side_info_bps = 8 * packet_bytes * config.sample_rate_hz / (frames * config.hop)
        # the first packet that is kept begins with the gains of the last slot before it, in whose windows the
        # output of the network must be exact, and with the transform of the packet before it
        window_samples = level_restoration.CONTEXT_SAMPLES + REACH_SAMPLES + MDCT_HOP + self._offset_reach
        window_frames = math.ceil(window_samples / config.hop)
        self.lead_in_packets = 1 + math.ceil((context_frames + window_frames + SLOT_FRAMES) / frames)

    def _parameter_bytes(self, frames: int) -> int:
        return side_info_bytes(self._channels, frames, self._framing)

    def _envelope_bytes(self, frames: int) -> int:
        """One envelope for all channels: W's, which only Ambisonics have."""
        return envelope_bytes(self._units, frames) if self._ambisonic else 0

    def _detail_bytes(self, frames: int) -> int:
        """Bytes of attacks and coefficients."""
        return coefficient_bytes(self._units, frames)

    def forward(
        self, signal: Iterable[Float32[ndarray, "channel time"]], packet_frames: Iterable[int]
    ) -> Iterator[NetworkInput]:
        """Measure each packet and transform it into principal components."""
        transform = ForwardKLT(self._hop, self._sample_rate_hz)
        lengths = (frames * self._hop for frames in packet_frames)
        for samples, before, length in rechunk(signal, lengths, self.lookahead_samples):
            yield on_one_thread(self._forward_packet, transform, samples, before, length)

    def _forward_packet(
        self, transform: ForwardKLT, samples: Float32[ndarray, "channel time"], before: int, length: int
    ) -> NetworkInput:
        frames = length // self._hop
        measured = measure_parameters(samples, before, length, self._hop, self._sample_rate_hz)
        parameters = self._coded(measured, self._parameter_bytes(frames))
        # of what the decoder will know, not of what was measured
        basis = self._basis(self._decoded(parameters, length), length)
        envelope = self._coded_envelope(samples[:1, before : before + length], basis)
        components = transform.transformed(mdct_of_packet(samples, before, length), basis)
        detail = b""
        if self._units:
            grid = transform.grid(components.shape[1], len(basis.gain))
            attacks = find_attacks(samples, before, length)
            laws = None
            if basis.power is not None:
                laws = nearest_laws(basis.power, transform.component_powers(components, basis))
            size = self._detail_bytes(frames)
            coefficients = components[:, 1:]
            detail, counts = encode_detail(attacks, laws, coefficients, basis.power, basis.gain, grid, size)
            transform.turn_down_sent(components, counts)
        return NetworkInput(inverse_mdct(components)[:, :length], parameters + envelope + detail)

    def _coded_envelope(self, w: Float32[ndarray, "1 time"], basis: KLTBasis) -> bytes:
        """Envelope of W in a packet; without levels there is none."""
        size = self._envelope_bytes(w.shape[1] // self._hop)
        if not size:
            return b""
        if basis.power is None:
            return encode_envelope(None, size)
        return encode_envelope(relative_loudness(w, self._envelope_edges)[0], size)

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
        waiting: deque[tuple[SpatialParameters | None, list[Attack]]] = deque()

        def channels() -> Iterator[Float32[ndarray, "channel time"]]:
            network = self._without_offset(decoded) if self._offset_period else decoded
            for (samples, before, length), data in zip(
                rechunk(network, lengths(), MDCT_HOP), side_info, strict=False
            ):
                parameters, envelope, detail = self._split(data, length)
                sent = self._decoded(parameters, length)
                basis = self._basis(sent, length)

                def transformed(
                    samples: ndarray,
                    before: int,
                    length: int,
                    sent: SpatialParameters | None,
                    basis: KLTBasis,
                    envelope: bytes,
                    detail: bytes,
                    seed: int,
                ) -> tuple[ndarray, list[Attack]]:
                    spectrum = mdct_of_packet(samples, before, length)
                    grid = transform.grid(spectrum.shape[1], len(basis.gain))
                    attacks, power, coefficients = decode_detail(detail, basis.power, basis.gain, grid)
                    result = transform.transformed(spectrum, basis._replace(power=power), seed, coefficients)
                    # a network that has all the bits may know more of the spectrum than its levels
                    if sent is not None and self._units:
                        self._set_slopes(result, sent, grid, length)
                    channels = inverse_mdct(result)[:, :length]
                    return self._with_envelope(channels, envelope, basis), attacks

                result, attacks = on_one_thread(
                    transformed, samples, before, length, sent, basis, envelope, detail, crc32(parameters)
                )
                waiting.append((sent, attacks))
                yield result

        for samples, before, length in rechunk(channels(), lengths(), level_restoration.CONTEXT_SAMPLES):
            sent, attacks = waiting.popleft()
            restored = restorer.restore(samples, before, length, sent, bool(attacks))
            attenuate_before(restored, attacks)
            yield restored

    def _set_slopes(
        self,
        spectrum: Float32[ndarray, "channel frame bin"],
        sent: SpatialParameters,
        grid: CoefficientGrid,
        length: int,
    ) -> None:
        """Take the steps at the edges of level bands from the spectra of a packet, in place."""
        powers = 10 ** (sent.levels_db / 10)
        inside = window_grid(length, self._hop).level_slots_of_slot
        levels_db = 10 * np.log10(np.stack([powers[:, :, own].mean(2) for own in inside], 2))
        audible = spectrum[sent.active]
        set_slopes(audible, levels_db, grid.slot_of_frame, band_edges(self._sample_rate_hz))
        spectrum[sent.active] = audible

    def _with_envelope(
        self, channels: Float32[ndarray, "channel time"], data: bytes, basis: KLTBasis
    ) -> Float32[ndarray, "channel time"]:
        """Channels of a packet with the envelope that it sends; without levels it has none."""
        bands = len(self._envelope_edges) - 1
        loudness = decode_envelope(data, window_count(channels.shape[1]), bands)
        if loudness is None or basis.power is None:
            return channels
        return impose_envelope(channels, loudness, self._envelope_edges)

    def _without_offset(
        self, decoded: Iterable[Float32[ndarray, "channel time"]]
    ) -> Iterator[Float32[ndarray, "channel time"]]:
        """Remove the offset of all frames whose periods are there, so that no stream waits for more than these."""
        for samples, before, length in whole_units(decoded, self._hop, self._offset_reach):
            yield without_periodic_offset(samples, before, length, self._offset_period)

    def reversed_side_info(self, side_info: bytes, frames: int, target_frames: int) -> bytes:
        """Levels and correlations in reverse order of the slots, again and again until they suffice.

        The decoder gives its output the levels of its slots, so that repeated codes need the levels they were
        coded with. There is no envelope, and there are no attacks and no coefficients.
        """
        size = self._parameter_bytes(target_frames)
        parameters, _, _ = self._split(side_info, frames * self._hop)
        sent = self._decoded(parameters, frames * self._hop)
        if sent is None:  # its beginning says that it has no parameters
            return parameters[:size].ljust(size, b"\0") + self._no_detail(target_frames)
        level_slots, slots = slot_counts(target_frames)
        levels_db, correlations = sent.levels_db[:, :, ::-1], sent.correlations[:, :, ::-1]
        backwards = SpatialParameters(
            sent.active,
            levels_db.take(np.arange(level_slots), axis=2, mode="wrap"),
            correlations.take(np.arange(slots), axis=2, mode="wrap"),
        )
        return self._coded(backwards, size) + self._no_detail(target_frames)

    def _no_detail(self, frames: int) -> bytes:
        return encode_envelope(None, self._envelope_bytes(frames)) + bytes(self._detail_bytes(frames))

    def _split(self, side_info: bytes, length: int) -> tuple[bytes, bytes, bytes]:
        """Levels and correlations of a packet of `length` samples; its envelope; its attacks and coefficients."""
        first = self._parameter_bytes(length // self._hop)
        second = first + self._envelope_bytes(length // self._hop)
        return side_info[:first], side_info[first:second], side_info[second:]

    def _coded(self, parameters: SpatialParameters, size: int) -> bytes:
        return encode_parameters(parameters, size, self._ambisonic, self._band_widths)

    def _decoded(self, side_info: bytes, length: int) -> SpatialParameters | None:
        """Parameters of a packet of `length` samples; None if the encoder had no room for them."""
        level_slots, slots = slot_counts(length // self._hop)
        level_grid, grid = (LEVEL_BANDS, level_slots), (BANDS, slots)
        return decode_parameters(side_info, self._channels, level_grid, grid, self._ambisonic)

    def _basis(self, sent: SpatialParameters | None, length: int) -> KLTBasis:
        return klt_basis(sent, self._channels, length, self._hop, self._sample_rate_hz)
