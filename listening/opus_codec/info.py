"""Properties of an Ogg Opus file: rates, coding modes and bandwidths, read without libopus."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

from listening.opus_codec import ogg_opus
from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ
from listening.opus_codec.packet import split


@dataclass(frozen=True)
class OpusInfo:
    """Properties of an Ogg Opus file.

    Attributes
    ----------
    family, channels, streams, coupled, pre_skip, input_rate_hz : int
        As in its header.
    output_gain_db : float
    length : int
        Samples per channel at 48 kHz.
    packets : int
    packet_kbps : float
        Bits of the Opus packets over their own duration.
    file_kbps : float
        Bits of the whole file over the duration of the scene.
    modes, bandwidths : dict of str to float
        Share of each coding mode (SILK, hybrid, CELT) and audio bandwidth (NB 4 kHz, MB 6, WB 8, SWB 12,
        FB 20) among the packets of all streams.
    stereo_share : float or None
        Share of stereo among the packets of coupled streams; None without coupled streams.
    stream_modes : tuple of dict
        `modes` of each stream.
    stream_stereo : tuple of float
        Share of stereo among the packets of each coupled stream.
    vendor : str
        The encoder's library.
    comments : tuple of str
        ``NAME=value``.
    """

    family: int
    channels: int
    streams: int
    coupled: int
    pre_skip: int
    input_rate_hz: int
    output_gain_db: float
    length: int
    packets: int
    packet_kbps: float
    file_kbps: float
    modes: dict[str, float]
    bandwidths: dict[str, float]
    stereo_share: float | None
    stream_modes: tuple[dict[str, float], ...]
    stream_stereo: tuple[float, ...]
    vendor: str
    comments: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length / SAMPLE_RATE_HZ

    def __str__(self) -> str:
        in_stereo = "" if self.stereo_share is None else f", coupled streams {self.stereo_share:.1%} stereo"
        lines = [
            f"family {self.family}: {self.channels} channels, {self.streams} streams, {self.coupled} coupled",
            f"{self.duration_s:.3f} s: {self.length} samples at 48 kHz, input at {self.input_rate_hz} Hz",
            f"{self.packet_kbps:.1f} kbit/s in {self.packets} packets, {self.file_kbps:.1f} kbit/s as a file",
            f"pre-skip {self.pre_skip} samples, output gain {self.output_gain_db:g} dB",
            f"modes: {_percentages(self.modes)}{in_stereo}",
            *self._streams(),
            f"bandwidths: {_percentages(self.bandwidths)}",
            f"encoder: {_printable(self.vendor)}",
            *map(_printable, self.comments),
            *(f"remark: {remark}" for remark in self.remarks()),
        ]
        return "\n".join(lines)

    def _streams(self) -> list[str]:
        """One line for each stream, where they differ."""
        stereo = [f", {share:.0%} stereo" for share in self.stream_stereo]
        stereo += [""] * (self.streams - self.coupled)
        lines = [f"{_percentages(modes)}{share}" for modes, share in zip(self.stream_modes, stereo, strict=True)]
        return [f"  stream {number}: {line}" for number, line in enumerate(lines)] if len(set(lines)) > 1 else []

    def remarks(self) -> list[str]:
        """What a listener should know about this coding, in sentences."""
        result = []
        if self.stereo_share is not None and self.stereo_share < 0.9:
            result.append(f"{1 - self.stereo_share:.0%} of the coupled streams' packets fell to mono")
        if (speech := 1 - self.modes.get("CELT", 0.0)) > 0.5:
            result.append(f"{speech:.0%} of the packets are in speech modes, which hold diffuse fields badly")
        if (narrow := 1 - self.bandwidths.get("FB", 0.0)) > 0.1:
            result.append(f"{narrow:.0%} of the packets have less than the full bandwidth")
        nominal = re.search(r"^ENCODER_OPTIONS=bitrate=([1-9]\d{0,8}) ", "\n".join(self.comments), re.MULTILINE)
        if nominal and abs(self.packet_kbps / (kbps := int(nominal[1]) / 1000) - 1) > 0.1:
            result.append(f"the real rate is {self.packet_kbps / kbps:.0%} of the nominal {kbps:g} kbit/s")
        return result


def inspect(ogg: bytes) -> OpusInfo:
    """Describe an Ogg Opus file without decoding it; errors as `decode`."""
    return inspect_file(io.BytesIO(ogg), "Opus stream")


def inspect_file(file: BinaryIO, where: str) -> OpusInfo:
    """As `inspect`, page by page; `where` names the file in messages."""
    head, tags, runs = ogg_opus.read(file, where)
    modes: list[Counter[str]] = [Counter() for _ in range(head.streams)]
    bandwidths, stereo = Counter(), [0] * head.coupled
    packets = packet_bytes = coded_length = length = 0
    for run in runs:
        length += run.length
        for packet in run.packets:
            parts = split(packet, head.streams)
            bandwidths.update(part.configuration.bandwidth for part in parts)
            for stream, part in enumerate(parts):
                modes[stream][part.configuration.mode] += 1
                if stream < head.coupled:
                    stereo[stream] += part.stereo
            packets += 1
            packet_bytes += len(packet)
            coded_length += parts[0].samples
    length -= head.pre_skip
    return OpusInfo(
        head.family,
        head.channels,
        head.streams,
        head.coupled,
        head.pre_skip,
        head.input_rate_hz,
        head.output_gain_q8 / 256,
        length,
        packets,
        _kbps(packet_bytes, coded_length),
        _kbps(file.tell(), length),
        _shares(sum(modes, Counter())),
        _shares(bandwidths),
        sum(stereo) / (packets * head.coupled) if packets and head.coupled else None,
        tuple(_shares(counts) for counts in modes),
        tuple(count / packets for count in stereo) if packets else (),
        tags.vendor,
        tags.comments,
    )


def _kbps(size_bytes: int, length: int) -> float:
    return 8 * size_bytes * SAMPLE_RATE_HZ / 1000 / length if length else 0.0


def _shares(counts: Counter) -> dict[str, float]:
    return {name: count / counts.total() for name, count in counts.most_common()}


def _percentages(shares: dict[str, float]) -> str:
    return ", ".join(f"{share:.1%} {name}" for name, share in shares.items())


def _printable(text: str) -> str:
    """Replace what could steer a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
