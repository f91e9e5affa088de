"""PCA and Opus: the classic way to code Ambisonics at low rates.

Every half second the principal components of the channels are found; the strongest are coded as mono Opus
streams at a constant rate, and the basis that they span is sent beside them (8 bits for each coefficient).
The decoder spreads the components over the channels; what lies outside the basis is lost.

File, all numbers little-endian. Header, 40 bytes:

    0  4  magic "PCAO"            16  4  Opus packets
    4  1  version, 1              20  4  length in samples per channel
    5  1  channels                24  4  bytes of all packets, without their CRCs
    6  1  components              28  2  pre-skip in samples at 48 kHz
    7  1  0                       30  2  samples at 48 kHz between two bases
    8  4  sample rate in Hz       32  4  0
   12  4  bases                   36  4  CRC-32 of bytes 0..35

Then the bases, each components x channels int8 in 1/127 of N3D-scaled channels, and their CRC-32; then the
packets, each followed by its CRC-32 cut to 8 bits. All packets have the same size, or sizes that differ by one
byte: packet i ends at byte floor((i + 1) B / P) of the B bytes of all P. The header fixes the exact length of
the file.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int8
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from listening.opus_codec import libopus
from listening.opus_codec.framing import framed
from listening.opus_codec.ogg_opus import SAMPLE_RATE_HZ, OpusHead
from render.common.errors import InputError
from render.fileio.block_stream import resampled, resampled_length
from render.hoa.scene import Scene, order_of
from render.hoa.spherical_harmonics import sn3d_to_n3d

BASIS_S = 0.5
KBPS_PER_COMPONENT = 16
RATES_KBPS = (8, 256)
_SCALE = 127
_FIELDS = struct.Struct("<4sBBBBIIIIIHHI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size
_CHUNK = 4096


@dataclass(frozen=True)
class Header:
    """What the header says; see the module's docstring."""

    channels: int
    components: int
    sample_rate_hz: int
    bases: int
    packets: int
    length: int
    body_bytes: int
    pre_skip: int
    step: int

    @property
    def total_bytes(self) -> int:
        """Exact size of the file."""
        bases = self.bases * self.components * self.channels + _CRC.size
        return HEADER_BYTES + bases + self.body_bytes + self.packets

    def packet_bytes(self, index: int) -> int:
        """Size of a packet."""
        return (index + 1) * self.body_bytes // self.packets - index * self.body_bytes // self.packets

    def pack(self) -> bytes:
        """Return the 40 bytes of the header."""
        fields = _FIELDS.pack(
            b"PCAO", 1, self.channels, self.components, 0, self.sample_rate_hz, self.bases, self.packets,
            self.length, self.body_bytes, self.pre_skip, self.step, 0,
        )  # fmt: skip
        return fields + _CRC.pack(zlib.crc32(fields))


def components(kbps: int) -> int:
    """Principal components that a rate is spent on: one for each 16 kbit/s, 1 to 16."""
    return min(max(kbps // KBPS_PER_COMPONENT, 1), 16)


def check_rate(kbps: int) -> None:
    """Raise `InputError` for a rate that is not coded."""
    low, high = RATES_KBPS
    if not low <= kbps <= high:
        raise InputError(f"PCA and Opus at {kbps} kbit/s; possible are {low} to {high}")


def encode(scene: Scene, kbps: int) -> bytes:
    """Code a scene at a constant rate, everything included: bases, packets, header and checksums.

    Raises
    ------
    InputError
        If libopus is missing, the rate is out of range, or the scene too short to hold the header.
    """
    check_rate(kbps)
    count, step = components(kbps), round(BASIS_S * SAMPLE_RATE_HZ)
    channels, rate_hz = len(scene.samples), scene.sample_rate_hz
    frames = resampled_length(scene.length, rate_hz, SAMPLE_RATE_HZ)
    at_48k = np.concatenate(list(resampled([scene.samples], channels, rate_hz, SAMPLE_RATE_HZ, frames)), axis=1)
    samples = at_48k * sn3d_to_n3d(scene.order)[:, None]
    bases = _bases(samples, count, step)
    strongest = _project(bases, samples, step)

    controls = [(libopus.SET_VBR, 0), (libopus.SET_COMPLEXITY, 10)]
    with libopus.Encoder(count, 255, controls) as encoder:
        pre_skip = encoder.head(rate_hz).pre_skip
        packets = -(-(frames + pre_skip) // libopus.FRAME_SAMPLES)
        header = Header(channels, count, rate_hz, len(bases), packets, scene.length, 0, pre_skip, step)
        beside = header.total_bytes
        header = replace(header, body_bytes=kbps * 1000 * scene.length // rate_hz // 8 - beside)
        if header.body_bytes < 3 * count * packets:
            lack = f"leave no room for the {beside} bytes beside the packets"
            raise InputError(f"{scene.duration_s:.2f} s at {kbps} kbit/s {lack}")
        frames_in = framed([strongest.astype(np.float32)], count, libopus.FRAME_SAMPLES, tail=pre_skip)
        coded = [encoder.encode(frame, header.packet_bytes(index)) for index, frame in enumerate(frames_in)]
    if [len(packet) for packet in coded] != [header.packet_bytes(index) for index in range(packets)]:
        raise RuntimeError("libopus did not keep its constant rate")
    raw = bases.tobytes()
    body = b"".join(packet + _check(packet) for packet in coded)
    return header.pack() + raw + _CRC.pack(zlib.crc32(raw)) + body


def decode(payload: bytes, where: str = "stream") -> Scene:
    """Decode what `encode` made, to its rate and length.

    Raises
    ------
    InputError
        If the bytes are no such file or damaged; names `where` and the byte offset.
    """
    header = parse_header(payload, where)
    at = HEADER_BYTES
    raw = payload[at : at + header.bases * header.components * header.channels]
    at += len(raw) + _CRC.size
    if _CRC.unpack_from(payload, at - _CRC.size)[0] != zlib.crc32(raw):
        raise InputError(f"{where}: byte {HEADER_BYTES}: the bases are damaged (their CRC differs)")
    bases = np.frombuffer(raw, np.int8).reshape(header.bases, header.components, header.channels)
    head = OpusHead(
        header.components, header.pre_skip, header.sample_rate_hz, 0, 255, header.components, 0,
        bytes(range(header.components)),
    )  # fmt: skip
    with libopus.Decoder(head) as decoder:
        parts = [decoder.decode(packet) for packet in _packets(payload, header, at, where)]
    frames = resampled_length(header.length, header.sample_rate_hz, SAMPLE_RATE_HZ)
    strongest = np.concatenate(parts).T[:, header.pre_skip : header.pre_skip + frames]
    spread = _spread(bases, strongest, header.step) / sn3d_to_n3d(order_of(header.channels))[:, None]
    rate_hz = header.sample_rate_hz
    back = resampled([spread.astype(np.float32)], header.channels, SAMPLE_RATE_HZ, rate_hz, header.length)
    return Scene(np.concatenate(list(back), axis=1), rate_hz)


def _packets(payload: bytes, header: Header, at: int, where: str) -> Iterator[bytes]:
    for index in range(header.packets):
        packet = payload[at : at + header.packet_bytes(index)]
        if payload[at + len(packet) : at + len(packet) + 1] != _check(packet):
            raise InputError(f"{where}: packet at byte {at} is damaged (its CRC differs)")
        yield packet
        at += len(packet) + 1


def _check(packet: bytes) -> bytes:
    return bytes([zlib.crc32(packet) & 0xFF])


def parse_header(payload: bytes, where: str) -> Header:
    """Read a header and hold it against the size of the file, before any memory is asked for."""
    if len(payload) < HEADER_BYTES:
        raise InputError(f"{where}: {len(payload)} bytes, a header has {HEADER_BYTES}; the file is cut")
    fields = payload[: _FIELDS.size]
    magic, version, channels, count, zero, rate, bases, packets, length, *rest = _FIELDS.unpack(fields)
    body, skip, step, zeros = rest
    if magic != b"PCAO":
        raise InputError(f"{where}: begins with {magic!r}, not with b'PCAO'; wrong file?")
    if _CRC.unpack_from(payload, _FIELDS.size)[0] != zlib.crc32(fields):
        raise InputError(f"{where}: header damaged (its CRC at byte {_FIELDS.size} differs)")
    header = Header(channels, count, rate, bases, packets, length, body, skip, step)
    frames = resampled_length(length, rate, SAMPLE_RATE_HZ) if rate else 0
    possible = (
        version == 1 and not zero and not zeros and 1 <= count <= channels and step and frames
        and math.isqrt(channels) ** 2 == channels <= 64 and 8000 <= rate <= 192_000
        and bases == -(-frames // step) + 1 and packets == -(-(frames + skip) // libopus.FRAME_SAMPLES) <= body
    )  # fmt: skip
    if not possible:
        raise InputError(f"{where}: impossible header (version {version}, {count} of {channels} components)")
    if len(payload) != header.total_bytes:
        state = "cut" if len(payload) < header.total_bytes else "followed by other bytes"
        told = f"its header says {header.total_bytes}"
        raise InputError(f"{where}: {len(payload)} bytes, {told}; the file is {state}")
    return header


# --------------------------------------------------------------------------------------------------- bases


def _bases(samples: Float64[ndarray, "acn time"], count: int, step: int) -> Int8[ndarray, "basis component acn"]:
    """Principal components around 0, step, 2 step, ..., each in the order and sign nearest to those before."""
    bases: list[ndarray] = []
    for centre in range(0, samples.shape[1] + step, step):
        part = samples[:, max(centre - step, 0) : centre + step]
        covariance = part @ part.T
        covariance[np.diag_indices_from(covariance)] += 1e-9
        basis = np.linalg.eigh(covariance)[1][:, : -count - 1 : -1].T
        if bases:
            likeness = bases[-1].astype(float) @ basis.T
            _, order = linear_sum_assignment(-np.abs(likeness))
            basis = basis[order] * np.where(likeness[np.arange(count), order] < 0, -1, 1)[:, None]
        else:
            basis = basis * np.where(basis[:, :1] < 0, -1, 1)  # W with positive sign
        bases.append(np.round(_SCALE * basis).astype(np.int8))
    return np.stack(bases)


def _interpolated(bases: Int8[ndarray, "basis component acn"], begin: int, end: int, step: int) -> ndarray:
    """Basis (time, component, acn) at every sample from `begin` to `end`, rows of length 1."""
    position = np.arange(begin, end) / step
    index = position.astype(int)
    share = (position - index)[:, None, None]
    wide = bases.astype(np.float64)
    following = wide[np.minimum(index + 1, len(bases) - 1)]
    basis = (1 - share) * wide[index] + share * following
    return basis / np.maximum(np.linalg.norm(basis, axis=2, keepdims=True), 1e-9)


def _project(bases: Int8[ndarray, "basis component acn"], samples: ndarray, step: int) -> ndarray:
    return _applied("tka,at->kt", bases, samples, step, bases.shape[1])


def _spread(bases: Int8[ndarray, "basis component acn"], strongest: ndarray, step: int) -> ndarray:
    return _applied("tka,kt->at", bases, strongest, step, bases.shape[2])


def _applied(product: str, bases: Int8[ndarray, "basis component acn"], signal: ndarray, step: int, rows: int):
    result = np.empty((rows, signal.shape[1]))
    for begin in range(0, signal.shape[1], _CHUNK):
        part = signal[:, begin : begin + _CHUNK]
        basis = _interpolated(bases, begin, begin + part.shape[1], step)
        result[:, begin : begin + _CHUNK] = np.einsum(product, basis, part)
    return result
