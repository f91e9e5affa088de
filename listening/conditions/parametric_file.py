"""Files of parametric conditions: side information, and Opus streams at a constant rate.

All numbers are little-endian:

    0   4  magic, of the condition        16  4  bytes of the side information
    4   1  version, 1                     20  4  bytes of all Opus packets
    5   1  channels                       24  2  gain in 1/256 dB, signed
    6   1  Opus streams, all mono         26  2  pre-skip in samples at 48 kHz
    7   1  lag, signed, see below         28     side information
    8   4  sample rate in Hz                     Opus packets of 20 ms, one after the other
    12  4  length in samples per channel      4  CRC-32 of all bytes before it

The sizes of the packets differ by one byte at most: packet i of P ends at byte floor((i + 1) B / P) of the B bytes
of all packets, where P follows from the length. Opus comes out about two samples early in its speech modes and on
time in its music mode; the lag is what the encoder measured, in samples of the scene, and the decoder undoes it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from listening.opus_codec import libopus
from listening.opus_codec.codec import decode_mono_streams, framed
from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ
from render.common.errors import InputError
from render.dsp.block_processing import resampled, resampled_length

_HEADER = struct.Struct("<4sBBBbIIIIhH")
_CRC = struct.Struct("<I")
OVERHEAD_BYTES = _HEADER.size + _CRC.size
MIN_PACKET_BYTES = 3  # of a mono stream, which then holds next to nothing
MAX_CHANNELS = 64
MAX_LAG = 8


@dataclass(frozen=True)
class ParametricFile:
    """Content of a file.

    Attributes
    ----------
    channels : int
        Of the scene.
    sample_rate_hz, length : int
        Of the scene; samples per channel.
    gain_q8_db : int
        Gain that was applied before coding, in 1/256 dB.
    side_info : bytes
    streams : int
        Number of mono signals in the Opus packets.
    pre_skip : int
        Delay of the Opus coder in samples at 48 kHz.
    opus : bytes
        All Opus packets.
    lag : int
        Samples by which the decoded streams come after the original ones, within ± `MAX_LAG`.
    """

    channels: int
    sample_rate_hz: int
    length: int
    gain_q8_db: int
    side_info: bytes
    streams: int = 0
    pre_skip: int = 0
    opus: bytes = b""
    lag: int = 0

    def pack(self, magic: bytes) -> bytes:
        """Return the bytes of the file."""
        body = _HEADER.pack(
            magic, 1, self.channels, self.streams, self.lag, self.sample_rate_hz, self.length, len(self.side_info),
            len(self.opus), self.gain_q8_db, self.pre_skip,
        ) + self.side_info + self.opus  # fmt: skip
        return body + _CRC.pack(zlib.crc32(body))

    @property
    def gain(self) -> float:
        """The gain as a factor."""
        return 10 ** (self.gain_q8_db / (20 * 256))

    def decoded(self, where: str = "stream") -> Float32[ndarray, "stream time"]:
        """Decode the Opus streams, at the rate and with the length of the scene.

        Raises
        ------
        InputError
            If a packet is corrupted, or has another duration; the message names `where`.
        """
        length = resampled_length(self.length, self.sample_rate_hz, SAMPLE_RATE_HZ)
        sizes = packet_sizes(len(self.opus), packet_count(length, self.pre_skip))
        packets = (self.opus[end - size : end] for end, size in zip(np.cumsum(sizes), sizes, strict=True))
        pcm = decode_mono_streams(packets, self.streams, where)
        at_48k = np.ascontiguousarray(pcm.T[:, self.pre_skip : self.pre_skip + length])
        back = resampled([at_48k], self.streams, SAMPLE_RATE_HZ, self.sample_rate_hz, self.length)
        return _advanced(np.concatenate(list(back), axis=1), self.lag)


def _advanced(signals: Float32[ndarray, "stream time"], by: int) -> Float32[ndarray, "stream time"]:
    """Signals that begin `by` samples earlier, with zeros where nothing is known."""
    padded = np.pad(signals, ((0, 0), (max(-by, 0), max(by, 0))))
    return padded[:, max(by, 0) : max(by, 0) + signals.shape[1]]


def packet_count(length_48k: int, pre_skip: int) -> int:
    """Number of packets for a signal of `length_48k` samples at 48 kHz."""
    return -(-(length_48k + pre_skip) // libopus.FRAME_SAMPLES)


def packet_sizes(total: int, count: int) -> list[int]:
    """Sizes of `count` packets of `total` bytes together."""
    return [(index + 1) * total // count - index * total // count for index in range(count)]


def with_opus(file: ParametricFile, signals: Float32[ndarray, "stream time"], total_bytes: int) -> ParametricFile:
    """Encode mono signals at a constant rate and add them to a file.

    Parameters
    ----------
    file : ParametricFile
        Without Opus streams.
    signals : float32 (stream, time)
        At the rate and with the length of the scene.
    total_bytes : int
        Size of all packets together.

    Raises
    ------
    InputError
        If libopus is missing, or the packets would be too small.
    """
    streams = len(signals)
    length = resampled_length(file.length, file.sample_rate_hz, SAMPLE_RATE_HZ)
    blocks = resampled([signals], streams, file.sample_rate_hz, SAMPLE_RATE_HZ, length)
    at_48k = np.concatenate(list(blocks), axis=1)
    with libopus.Encoder(streams, 255, [(libopus.SET_VBR, 0), (libopus.SET_COMPLEXITY, 10)]) as encoder:
        pre_skip = encoder.head(file.sample_rate_hz).pre_skip
        sizes = packet_sizes(total_bytes, packet_count(length, pre_skip))
        if total_bytes < MIN_PACKET_BYTES * streams * len(sizes):
            raise InputError(f"{total_bytes} bytes are left for {len(sizes)} Opus packets of {streams} streams")
        frames = framed([at_48k], streams, libopus.FRAME_SAMPLES, tail=pre_skip)
        packets = [encoder.encode(frame, size) for frame, size in zip(frames, sizes, strict=True)]
    if list(map(len, packets)) != sizes:
        raise RuntimeError("libopus did not keep its constant rate")
    coded = replace(file, streams=streams, pre_skip=pre_skip, opus=b"".join(packets))
    return replace(coded, lag=_lag(signals, coded.decoded()))


def _lag(signals: Float32[ndarray, "stream time"], decoded: Float32[ndarray, "stream time"]) -> int:
    """Lag of the decoded signals at which they fit best, all streams together."""
    lags = range(-MAX_LAG, MAX_LAG + 1)
    return max(lags, key=lambda lag: (float(np.vdot(signals, _advanced(decoded, lag))), -abs(lag)))


def parse(payload: bytes, magic: bytes, where: str) -> ParametricFile:
    """Read a file and check it before any memory is allocated.

    Raises
    ------
    InputError
        If the bytes are not such a file, or are damaged or cut; the message names `where`.
    """
    if len(payload) < OVERHEAD_BYTES:
        raise InputError(f"{where}: {len(payload)} bytes, the smallest file has {OVERHEAD_BYTES}; the file is cut")
    found, version, channels, streams, lag, rate_hz, length, *rest = _HEADER.unpack_from(payload)
    side, packets, gain, skip = rest
    if found != magic:
        raise InputError(f"{where}: begins with {found!r} instead of {magic!r}; is it the right file?")
    if len(payload) != (expected := OVERHEAD_BYTES + side + packets):
        state = "cut" if len(payload) < expected else "followed by other bytes"
        raise InputError(f"{where}: {len(payload)} bytes, its header says {expected}; the file is {state}")
    if _CRC.unpack_from(payload, len(payload) - _CRC.size)[0] != zlib.crc32(payload[: -_CRC.size]):
        raise InputError(f"{where}: the file is damaged (its CRC differs)")
    possible = version == 1 and abs(lag) <= MAX_LAG and 0 < channels <= MAX_CHANNELS and length
    possible = possible and 8000 <= rate_hz <= 192_000
    if possible and streams:
        count = packet_count(resampled_length(length, rate_hz, SAMPLE_RATE_HZ), skip)
        possible = streams <= channels and packets >= count
    if not possible or bool(streams) != bool(packets):
        raise InputError(f"{where}: impossible header (version {version}, {streams} streams, {channels} channels)")
    begin = _HEADER.size
    opus = payload[begin + side : begin + side + packets]
    return ParametricFile(channels, rate_hz, length, gain, payload[begin : begin + side], streams, skip, opus, lag)
